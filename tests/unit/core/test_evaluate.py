import pytest
import torch
from torch.nn import functional as F

from carryover.core.evaluate import Evaluation, count_right, evaluate
from carryover.core.rng import generator


def split_of(sizes: list[int]):
    draw = generator(0, "split")
    images = torch.randn(sum(sizes), 1, 2, 2, generator=draw)
    labels = torch.randint(0, 4, (sum(sizes),), generator=draw)
    return list(zip(images.split(sizes), labels.split(sizes), strict=True))


def predict(images: torch.Tensor) -> torch.Tensor:
    """Three nets whose logits are the four pixels, taken 1, 2 and 3 times."""
    return images.flatten(2) * torch.arange(1, len(images) + 1)[:, None, None]


def test_accuracy_and_loss_are_those_of_all_images_whatever_the_batches():
    images, labels = (torch.cat(parts) for parts in zip(*split_of([11]), strict=True))
    for sizes in ([11], [4, 4, 3], [1] * 11):
        found = evaluate(predict, split_of(sizes), 3)
        for index in range(3):
            logits = (index + 1) * images.flatten(1)
            assert found["accuracy"][index] == (logits.argmax(1) == labels).sum().item() / 11
            assert found["loss"][index] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-6)


def test_an_accuracy_is_the_fraction_that_python_computes():
    """Not its nearest fp32: tables would show its digits."""
    right = torch.zeros(7, 1, 2, 2)
    right[:, 0, 0, 0] = 1
    found = evaluate(predict, [(right, torch.tensor([0, 0, 0, 1, 1, 1, 1]))], 1)
    assert found["accuracy"] == [3 / 7]


def test_an_empty_split_has_no_accuracy():
    with pytest.raises(AssertionError, match="empty split"):
        evaluate(predict, [], 3)


@pytest.mark.parametrize(
    ("epoch", "measured"), [(0, []), (1, ["val"]), (2, []), (3, ["val"]), (4, ["val", "test"])]
)
def test_the_curve_is_measured_every_so_often_and_every_split_at_the_end(epoch, measured):
    evaluation = Evaluation({"val": split_of([3]), "test": split_of([4])}, 3, 5, 2, ["val"])
    asked = []
    found = evaluation.after(epoch, lambda: asked.append(epoch) or predict)
    assert list(found) == measured
    assert len(asked) == bool(measured)  # nets are fixed once, and only if they are needed
    assert all(len(values) == 3 for metrics in found.values() for values in metrics.values())


def test_no_curve_leaves_the_last_epoch():
    evaluation = Evaluation({"test": split_of([4])}, 3, 4, 1, ["none"])
    assert [list(evaluation.after(epoch, lambda: predict)) for epoch in range(4)] == [[], [], [], ["test"]]


def test_the_curve_may_have_several_splits_and_begin_before_the_first_step():
    splits = {"val": split_of([3]), "test": split_of([4])}
    both = Evaluation(splits, 3, 4, 1, ["val", "test"], start=True)
    assert list(both.before(lambda: predict)) == list(both.after(0, lambda: predict)) == ["val", "test"]
    assert Evaluation(splits, 3, 4, 1, ["val"]).before(lambda: predict) == {}


def test_right_predictions_are_counted_for_each_net():
    logits = torch.tensor([[[1.0, 2.0], [2.0, 1.0], [0.0, 5.0]], [[2.0, 1.0], [2.0, 1.0], [2.0, 1.0]]])
    labels = torch.tensor([[1, 0, 0], [1, 1, 1]])
    assert count_right(logits, labels).tolist() == [2, 0]
