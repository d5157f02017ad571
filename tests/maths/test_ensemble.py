"""Ensembles: averaged probabilities, calibration and disagreement."""

from itertools import combinations
from math import exp, log

import pytest
import torch

from carryover.core import rng
from carryover.transfer import ensemble


@pytest.fixture
def drawn():
    """Logits of four members for 60 examples of 5 classes, with labels that they often get right."""
    draw = rng.generator(0, "ensemble")
    labels = torch.randint(5, (60,), generator=draw)
    logits = torch.randn(4, 60, 5, generator=draw)
    logits[:, torch.arange(60), labels] += 1.5
    return logits, labels


def probabilities(logits):
    """Average softmax over the members, one number at a time."""
    rows = []
    for example in range(logits.shape[1]):
        members = []
        for member in logits[:, example].tolist():
            total = sum(exp(z) for z in member)
            members.append([exp(z) / total for z in member])
        rows.append([sum(values) / len(members) for values in zip(*members, strict=True)])
    return rows


def test_probabilities_are_averaged_not_logits(drawn):
    logits, _ = drawn
    expected = torch.tensor(probabilities(logits.double()), dtype=torch.float64)
    torch.testing.assert_close(ensemble.averaged(logits).exp(), expected)


def test_an_ensemble_can_be_right_where_each_vote_is_split():
    logits = torch.tensor([[[4.0, 0.0, 3.9]], [[0.0, 4.0, 3.9]]])
    label = torch.tensor([2])
    assert ensemble.accuracy(logits, label) == 0
    assert ensemble.accuracy(ensemble.averaged(logits), label) == 1


def test_measures_are_those_of_a_count_by_hand(drawn):
    logits, labels = drawn
    averaged, found = probabilities(logits.double()), ensemble.measure_ensemble(logits, labels)
    right = [
        max(range(5), key=row.__getitem__) == label
        for row, label in zip(averaged, labels.tolist(), strict=True)
    ]
    assert found["accuracy"] == pytest.approx(sum(right) / 60)
    members = [(member.argmax(-1) == labels).sum().item() / 60 for member in logits]
    assert found["member_accuracy"] == pytest.approx(sum(members) / 4)
    nll = [-log(row[label]) for row, label in zip(averaged, labels.tolist(), strict=True)]
    assert found["nll"] == pytest.approx(sum(nll) / 60)
    bins = [[] for _ in range(15)]
    for row, is_right in zip(averaged, right, strict=True):
        bins[next(b for b in range(15) if max(row) <= (b + 1) / 15)].append((is_right, max(row)))
    gaps = [
        len(held) / 60 * abs(sum(r for r, _ in held) / len(held) - sum(c for _, c in held) / len(held))
        for held in bins
        if held
    ]
    assert sum(map(bool, bins)) > 5
    assert found["ece"] == pytest.approx(sum(gaps))
    pairs = [
        (first.argmax(-1) != second.argmax(-1)).sum().item() / 60 for first, second in combinations(logits, 2)
    ]
    assert found["disagreement"] == pytest.approx(sum(pairs) / len(pairs))
    assert 0.1 < found["disagreement"] < 1


def test_one_member_is_its_own_ensemble_and_disagrees_with_none(drawn):
    logits, labels = drawn
    found = ensemble.measure_ensemble(logits[:1], labels)
    assert found["accuracy"] == found["member_accuracy"]
    assert found["disagreement"] == 0
    expected = torch.nn.functional.cross_entropy(logits[0].double(), labels).item()
    assert found["nll"] == pytest.approx(expected)


def test_members_that_never_agree_disagree_fully():
    logits = torch.eye(3)[:, None].expand(3, 7, 3)  # member k predicts class k
    assert ensemble.disagreement(logits) == 1


def test_confidence_that_is_right_as_often_as_it_says_has_no_calibration_error():
    scores = torch.tensor([0.75, 0.25], dtype=torch.float64).log().expand(8, 2)
    assert ensemble.calibration_error(scores, torch.tensor([0] * 6 + [1] * 2)) == pytest.approx(0)
    assert ensemble.calibration_error(scores, torch.tensor([0] * 2 + [1] * 6)) == pytest.approx(0.5)


def test_confidence_on_the_edge_of_two_bins_is_in_the_lower_one():
    scores = torch.tensor([[0.5, 0.3, 0.2], [0.4, 0.3, 0.3], [0.8, 0.1, 0.1]], dtype=torch.float64).log()
    # right with 0.5 and wrong with 0.4 nearly make up for each other; wrong with 0.8 is on its own
    error = ensemble.calibration_error(scores, torch.tensor([0, 1, 1]), num_bins=2)
    assert error == pytest.approx((0.5 - 0.4) / 3 + 0.8 / 3)


def test_certain_predictions_are_finite_in_every_measure():
    logits = torch.tensor([[[200.0, -200.0]], [[200.0, -200.0]]])
    assert ensemble.measure_ensemble(logits, torch.tensor([0])) == {
        "accuracy": 1, "member_accuracy": 1, "nll": 0, "ece": 0, "disagreement": 0
    }  # fmt: skip
    # two members, each certain of its own class: half a chance for either
    split = torch.tensor([[[200.0, -200.0]], [[-200.0, 200.0]]])
    assert ensemble.measure_ensemble(split, torch.tensor([0]))["nll"] == pytest.approx(log(2))


def test_predictions_are_collected_member_by_member_in_the_order_of_the_split():
    images, labels = torch.arange(10.0).reshape(5, 2, 1, 1), torch.arange(5)
    split = [(images[:3], labels[:3]), (images[3:], labels[3:])]
    members = [lambda x, k=k: (k * x).flatten(2) for k in (1, 10)]
    logits, collected = ensemble.predictions(members, split)
    torch.testing.assert_close(logits, torch.stack([images.flatten(1), 10 * images.flatten(1)]))
    assert collected.tolist() == [0, 1, 2, 3, 4]
