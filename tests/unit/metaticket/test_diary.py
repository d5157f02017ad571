"""What is written down along a meta-training, and what is saved."""

import json

import pytest
import torch
from metaticket_problems import Bar, Memory

from carryover.core.resume import NoResume, OutOfTime
from carryover.metaticket.batching import Outer
from carryover.metaticket.diary import DIVERGED, Diary, Diverged
from carryover.metaticket.learner import Learner


def found(loss, accuracy, tasks=4):
    """What an outer step learned of its tasks; losses lie around their mean."""
    spread = torch.tensor([-0.5, -0.25, 0.25, 0.5])[:tasks]
    return Outer({}, {}, loss + spread, torch.full((tasks,), float(accuracy)))


def learner(sparsity=0.25):
    scores = torch.arange(4.0)
    return Learner(
        {"w": torch.ones(4)}, {"w": "body"}, {}, (), {"w": scores}, {"w": torch.tensor(4 * sparsity)}
    )


def diary_of(num_steps=6, every=3, resume=None, score="accuracy"):
    diary = Diary(7, num_steps, every, resume or NoResume(), Bar(), score)
    state = {"weights/w": torch.zeros(2)}
    return diary, state, diary.restore(state)


def table(rows):
    return [(row["split"], row["step"], row["metric"], row["value"]) for row in rows]


def test_rows_hold_the_means_since_the_last_rows_and_then_sparsity_and_validation():
    diary, _, start = diary_of()
    assert start == 0
    diary.validate = lambda: {"loss": 0.5, "accuracy": 0.75}
    for step, (loss, accuracy) in enumerate([(1, 0.5), (2, 0.25), (3, 0.75), (4, 1.0), (5, 0.0), (9, 0.5)]):
        diary.close(step, found(loss, accuracy), learner())
    assert table(diary.rows) == [
        ("train", 3, "loss", 2.0),
        ("train", 3, "accuracy", 0.5),
        ("none", 3, "sparsity/w", 0.25),
        ("val", 3, "loss", 0.5),
        ("val", 3, "accuracy", 0.75),
        ("train", 6, "loss", 6.0),
        ("train", 6, "accuracy", 0.5),
        ("none", 6, "sparsity/w", 0.25),
        ("val", 6, "loss", 0.5),
        ("val", 6, "accuracy", 0.75),
    ]
    assert {row["seed"] for row in diary.rows} == {7}


def test_a_mean_is_over_tasks_not_over_steps():
    diary, _, _ = diary_of(num_steps=2, every=2)
    diary.close(0, found(1.0, 1.0, tasks=1), learner())
    diary.close(1, found(3.0, 0.0, tasks=3), learner())
    # one task of loss 0.5; three of 2.5, 2.75 and 3.25
    assert table(diary.rows)[:2] == [("train", 2, "loss", 2.25), ("train", 2, "accuracy", 0.25)]


@pytest.mark.parametrize(
    ("every", "steps"), [(0, [7]), (7, [7]), (9, [7]), (3, [3, 6, 7]), (1, [1, 2, 3, 4, 5, 6, 7])]
)
def test_rows_are_written_every_so_many_steps_and_after_the_last_one(every, steps):
    diary, _, _ = diary_of(num_steps=7, every=every)
    for step in range(7):
        diary.close(step, found(1.0, 0.5), learner())
    assert [row["step"] for row in diary.rows if row["metric"] == "loss"] == steps


def test_a_regression_is_written_down_by_the_name_of_its_score():
    diary, _, _ = diary_of(num_steps=1, score="mse")
    diary.close(0, found(1.0, 4.0), learner())
    assert [row["metric"] for row in diary.rows] == ["loss", "mse", "sparsity/w"]


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), 4 * DIVERGED])
def test_a_training_that_diverges_ends_and_keeps_what_was_measured_before(loss):
    diary, _, _ = diary_of(resume=(resume := Memory()))
    for step in range(3):
        diary.close(step, found(1.0, 0.5), learner())
    before = list(diary.rows)
    diary.close(3, found(loss, 0.5), learner())
    diary.close(4, found(1.0, 0.5), learner())
    with pytest.raises(Diverged, match="seed 7 diverged within the 3 steps before step 6"):
        diary.close(5, found(1.0, 0.5), learner())
    assert diary.rows[:-1] == before
    assert table(diary.rows[-1:]) == [("train", 6, "diverged", 1.0)]
    assert resume.saves == 0


def test_a_loss_below_the_limit_has_not_diverged():
    diary, _, _ = diary_of(num_steps=1)
    diary.close(0, Outer({}, {}, torch.tensor([DIVERGED]), torch.tensor([0.5])), learner())
    assert table(diary.rows)[0] == ("train", 1, "loss", DIVERGED)


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5, 6])
def test_the_saved_state_has_rows_sums_and_tensors_and_tells_the_next_step(stop):
    whole, _, _ = diary_of()
    for step in range(6):
        whole.close(step, found(step, 0.5), learner())
    resume = Memory(stop_at=stop)
    diary, state, _ = diary_of(resume=resume)
    state["weights/w"] += stop
    for step in range(stop - 1):
        diary.close(step, found(step, 0.5), learner())
    with pytest.raises(OutOfTime):
        diary.close(stop - 1, found(stop - 1, 0.5), learner())
    again, restored, start = diary_of(resume=resume)
    assert start == stop
    assert restored["weights/w"].tolist() == [stop, stop]
    for step in range(start, 6):
        again.close(step, found(step, 0.5), learner())
    assert again.rows == whole.rows


def test_tensors_are_restored_in_place_though_they_ask_for_gradients():
    resume = Memory(stop_at=1)
    diary = Diary(7, 2, 0, resume, Bar(), "accuracy")
    saved = torch.tensor([1.0, 2.0], requires_grad=True)
    diary.restore({"weights/w": saved})
    with pytest.raises(OutOfTime):
        diary.close(0, found(1.0, 0.5), learner())
    own = torch.zeros(2, requires_grad=True)
    assert Diary(7, 2, 0, resume, Bar(), "accuracy").restore({"weights/w": own}) == 1
    assert own.tolist() == [1, 2]
    assert own.is_leaf
    assert own.requires_grad


def test_a_state_is_saved_when_it_is_due_and_after_the_last_step():
    class Often(Memory):
        def due(self):
            return True

    for resume, saves in ((Memory(), 1), (Often(), 6)):
        diary, _, _ = diary_of(resume=resume)
        for step in range(6):
            diary.close(step, found(1.0, 0.5), learner())
        assert resume.saves == saves
        assert json.loads(resume.notes)["step"] == 6


def test_progress_is_told_of_every_step():
    class Told:
        steps = []

        def update(self, step, **postfix):
            self.steps.append(step)

    diary = Diary(7, 3, 0, NoResume(), Told(), "accuracy")
    diary.restore({"weights/w": torch.zeros(2)})
    for step in range(3):
        diary.close(step, found(1.0, 0.5), learner())
    assert Told.steps == [1, 2, 3]


def test_sums_are_exact_over_many_steps():
    """In fp64: a single sum of fp32 would stop counting."""
    diary, _, _ = diary_of(num_steps=3000, every=0)
    one = Outer({}, {}, torch.tensor([1e4 / 3]), torch.tensor([1 / 3]))
    for step in range(3000):
        diary.close(step, one, learner())
    values = {row["metric"]: row["value"] for row in diary.rows}
    assert values["loss"] == pytest.approx(one.losses.double().item(), rel=1e-12)
    assert values["accuracy"] == pytest.approx(one.scores.double().item(), rel=1e-12)
