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


def new(resume=None, seeds=(4, 7)):
    images, labels = torch.zeros(5, 1, 1, 2), torch.tensor([0, 0, 0, 1, 1])
    evaluation = Evaluation({"test": [(images, labels)]}, len(seeds), EPOCHS, 1, "test")
    return Journal(seeds, evaluation, resume or NoResume(), Bar())


def state():
    return {"a": torch.ones(2, 3), "n": torch.ones(2, dtype=torch.int64)}


def step(index, batch_size=4):
    images = torch.zeros(2, batch_size, 1, 1, 2)
    labels = torch.zeros(2, batch_size, dtype=torch.int64)
    return Step(index, index // STEPS, 0.1, images, labels, index % STEPS == STEPS - 1)


def predictor():
    return lambda images: torch.stack((torch.ones(2, 5), torch.zeros(2, 5)), dim=-1)


def walk(journal, losses, start=0):
    """Close steps with these losses of the two nets; the last batch of an epoch has 2 images, the others 4."""
    for index, values in enumerate(losses, start):
        journal.close(step(index, 2 if index % STEPS == 2 else 4), torch.tensor(values), predictor)
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
