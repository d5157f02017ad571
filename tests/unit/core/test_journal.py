import json

import pytest
import torch

from carryover.core.evaluate import Evaluation
from carryover.core.journal import DIVERGED, Journal
from carryover.core.loop import Step
from carryover.core.resume import NoResume

STEPS = 3
EPOCHS = 2


class Bar:
    shown: list[int]

    def __init__(self):
        self.shown = []

    def update(self, step, **postfix):
        self.shown.append(step)


class Kept:
    """A `Resume` in memory; `when` are the steps after which it wants to save."""

    def __init__(self, *when):
        self.when, self.asked, self.notes, self.saved, self.steps = when, 0, "{}", None, []

    def restore(self):
        return self.saved

    def due(self):
        self.asked += 1
        return self.asked in self.when

    def save(self, step, state, notes):
        self.saved, self.notes = {n: t.clone() for n, t in state.items()}, notes
        self.steps.append(step)


def new(resume=None, seeds=(4, 7), **more):
    images, labels = torch.zeros(5, 1, 1, 2), torch.tensor([0, 0, 0, 1, 1])
    evaluation = Evaluation({"test": [(images, labels)]}, len(seeds), EPOCHS, 1, ["test"], **more)
    return Journal(seeds, evaluation, resume or NoResume(), Bar())


def state():
    return {"a": torch.ones(2, 3), "n": torch.ones(2, dtype=torch.int64)}


def step(index, batch_size=4):
    images = torch.zeros(2, batch_size, 1, 1, 2)
    labels = torch.zeros(2, batch_size, dtype=torch.int64)
    return Step(index, index // STEPS, 0.1, images, labels, index % STEPS == STEPS - 1)


def predictor():
    return lambda images: torch.stack((torch.ones(2, 5), torch.zeros(2, 5)), dim=-1)


def walk(journal, losses, start=0, num_right=None):
    """Close steps with these losses of the two nets; the last batch of an epoch has 2 images, the others 4."""
    for index, values in enumerate(losses, start):
        right = None if num_right is None else torch.tensor(num_right[index])
        journal.close(step(index, 2 if index % STEPS == 2 else 4), torch.tensor(values), predictor, right)
    return [(r["seed"], r["split"], r["step"], r["metric"], r["value"]) for r in journal.rows]


def test_an_epochs_loss_is_the_mean_over_its_examples():
    journal = new()
    assert journal.restore(state()) == 0
    rows = walk(journal, [[1.0, 0.0], [2.0, 0.0], [5.0, 10.0]])
    assert rows[:2] == [(4, "train", 3, "loss", 2.2), (7, "train", 3, "loss", 2.0)]
    assert rows[2:4] == [(4, "test", 3, "accuracy", 0.6), (7, "test", 3, "accuracy", 0.6)]
    assert [row[3] for row in rows] == ["loss", "loss", "accuracy", "accuracy", "loss", "loss"]


def test_each_epoch_starts_its_sum_anew():
    journal = new()
    journal.restore(state())
    rows = walk(journal, [[1.0, 1.0]] * 3 + [[2.0, 3.0]] * 3)
    losses = [row for row in rows if row[1] == "train"]
    assert losses == [
        (4, "train", 3, "loss", 1.0),
        (7, "train", 3, "loss", 1.0),
        (4, "train", 6, "loss", 2.0),
        (7, "train", 6, "loss", 3.0),
    ]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 2.5 * DIVERGED])
def test_a_net_that_diverged_is_recorded_once_emptied_and_left_out(bad):
    journal, tensors = new(), state()
    journal.restore(tensors)
    rows = walk(journal, [[1.0, 1.0], [1.0, bad], [1.0, 1.0]] + [[1.0, bad]] * 3)
    assert [row for row in rows if row[0] == 7] == [(7, "train", 3, "diverged", 1.0)]
    assert [row[:4] for row in rows if row[0] == 4] == [
        (4, "train", 3, "loss"),
        (4, "test", 3, "accuracy"),
        (4, "test", 3, "loss"),
        (4, "train", 6, "loss"),
        (4, "test", 6, "accuracy"),
        (4, "test", 6, "loss"),
    ]
    assert tensors["a"].tolist() == [[1, 1, 1], [0, 0, 0]]
    assert tensors["n"].tolist() == [1, 0]
    assert journal.alive == [True, False]


def test_a_training_is_over_and_saved_when_every_net_has_diverged():
    resume = Kept()
    journal = new(resume)
    journal.restore(state())
    walk(journal, [[float("nan"), 1.0]] * 3)
    assert not journal.over
    walk(journal, [[1.0, float("nan")]] * 3)
    assert journal.over
    assert resume.steps[-1] == 3


def test_a_high_loss_below_the_limit_is_no_divergence():
    journal = new()
    journal.restore(state())
    walk(journal, [[0.9 * DIVERGED, 1.0]] * 3)
    assert journal.alive == [True, True]


def test_notes_are_taken_of_the_living():
    journal = new()
    journal.restore(state())
    walk(journal, [[1.0, float("nan")]] * 3)
    journal.note(3, "num_kept", [5.0, 6.0])
    assert journal.rows[-1] == {"seed": 4, "split": "none", "step": 3, "metric": "num_kept", "value": 5.0}


def test_a_state_is_saved_when_due_and_after_the_last_step():
    resume = Kept(2, 3)
    journal = new(resume)
    journal.restore(state())
    walk(journal, [[1.0, 1.0]] * 6)
    assert resume.steps == [2, 3, 6]
    assert set(resume.saved) == {"a", "n", "epoch_loss_sum"}
    assert json.loads(resume.notes)["step"] == 6


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("bad", [1.0, float("nan")])
def test_a_journal_goes_on_where_it_was_saved(stop, bad):
    losses = [[0.1 * i, bad if i == 1 else 0.3] for i in range(6)]
    resume, tensors = Kept(stop), state()
    first = new(resume)
    first.restore(tensors)
    tensors["a"][0] = 5.0
    walk(first, losses[:stop])
    second, fresh = new(resume), state()
    assert second.restore(fresh) == stop
    assert all(torch.equal(fresh[name], tensors[name]) for name in fresh)
    uninterrupted = new()
    uninterrupted.restore(state())
    assert walk(second, losses[stop:], stop) == walk(uninterrupted, losses)
    assert second.alive == uninterrupted.alive


def test_progress_is_shown_after_every_step():
    journal = new()
    journal.restore(state())
    walk(journal, [[1.0, 1.0]] * 4)
    assert journal._progress.shown == [1, 2, 3, 4]


RIGHT = [[4, 0], [3, 1], [2, 0], [4, 4], [4, 4], [2, 2]]


def test_an_epochs_accuracy_is_the_fraction_of_right_predictions_if_it_is_asked_for():
    journal = new(training=True)
    assert journal.counts_right
    journal.restore(state())
    rows = walk(journal, [[1.0, 1.0]] * 6, num_right=RIGHT)
    assert [row for row in rows if row[1] == "train" and row[3] == "accuracy"] == [
        (4, "train", 3, "accuracy", 0.9),
        (7, "train", 3, "accuracy", 0.1),
        (4, "train", 6, "accuracy", 1.0),
        (7, "train", 6, "accuracy", 1.0),
    ]
    assert not new().counts_right


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
def test_right_predictions_are_counted_on_where_they_were_saved(stop):
    resume = Kept(stop)
    first = new(resume, training=True)
    first.restore(state())
    walk(first, [[1.0, 1.0]] * stop, num_right=RIGHT)
    second, whole = new(resume, training=True), new(training=True)
    whole.restore(state())
    assert second.restore(state()) == stop
    rest = walk(second, [[1.0, 1.0]] * (6 - stop), stop, RIGHT)
    assert rest == walk(whole, [[1.0, 1.0]] * 6, num_right=RIGHT)


def test_a_curve_may_begin_before_the_first_step():
    journal = new(start=True)
    assert journal.restore(state()) == 0
    journal.begin(predictor)
    assert [(r["split"], r["step"], r["metric"]) for r in journal.rows] == [
        ("test", 0, metric) for metric in ("accuracy", "accuracy", "loss", "loss")
    ]
    without = new()
    without.restore(state())
    without.begin(predictor)
    assert without.rows == []


class Watching:
    """A `Recorder` that notes what it is told, and has a tensor of its own."""

    def __init__(self, resume):
        self.told, self.own, self.resume = [], torch.zeros(2), resume

    def state(self):
        return {"own": self.own}

    def start(self, step, alive):
        self.told.append(("start", step, list(alive)))

    def keep(self, step, measured, alive):
        assert step not in self.resume.steps, "a recorder is asked before the state is saved"
        self.own += 1
        self.told.append((step, sorted(measured), list(alive)))


def test_a_recorder_sees_every_step_before_it_is_saved_and_is_restored_with_the_training():
    resume = Kept(2)
    first, watching = new(resume, start=True), Watching(resume)
    first.restore(state(), watching)
    first.begin(predictor)
    walk(first, [[1.0, 1.0], [1.0, float("nan")], [1.0, 1.0]])
    both = [True, True]
    assert watching.told == [
        ("start", 0, both), (0, ["test"], both), (1, [], both), (2, [], both), (3, ["test"], [True, False])
    ]  # fmt: skip
    assert watching.own.tolist() == [4, 1]  # those of a net that diverged were cleared before the last step's
    second, other = new(resume, start=True), Watching(Kept())
    assert second.restore(state(), other) == 2
    assert other.told == [("start", 2, both)]
    assert other.own.tolist() == [3, 3]
