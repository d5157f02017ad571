"""Sections 1.4 and 1.6: what a redraw event draws, and how often."""

from math import sqrt

import pytest
import torch
from scipy.stats import kstest

from carryover.core.rng import generator
from carryover.sparse.init import DISTRIBUTIONS, draw_weights
from carryover.sparse.masks import keep_top
from carryover.sparse.randomize import redraw_pruned_, redraw_stream

SHAPE, FAN_IN = (200, 150), 150
BOUND, CONSTANT = sqrt(6 / FAN_IN), sqrt(2 / FAN_IN)


def layer(distribution: str, seed: int = 0):
    """Weights and mask of one layer."""
    weight = draw_weights(distribution, SHAPE, FAN_IN, generator(seed, "weights", "a"))
    scores = draw_weights("ku", SHAPE, FAN_IN, generator(seed, "scores", "a"))
    return weight, keep_top(scores, 0.6)


def redraw(weight, mask, distribution: str, prob: float, event: int, seed: int = 0):
    return redraw_pruned_(weight, mask, FAN_IN, distribution, prob, redraw_stream(seed, "a", event))


@pytest.mark.parametrize("prob", [0.01, 0.1, 0.5])
@pytest.mark.parametrize(("distribution", "share"), [("ku", 1.0), ("sc", 0.5)])
@pytest.mark.parametrize("event", range(1, 6))
def test_the_number_of_changed_weights_is_binomial(distribution, share, prob, event):
    weight, mask = layer(distribution)
    before, pruned = weight.clone(), int((mask == 0).sum())
    who = redraw(weight, mask, distribution, prob, event)
    for observed, chance in ((who, prob), (weight != before, prob * share)):
        spread = sqrt(pruned * chance * (1 - chance))
        assert abs(int(observed.sum()) - pruned * chance) < 5 * spread


@pytest.mark.parametrize("prob", [0.1, 1.0])
def test_pruned_weights_still_follow_their_distribution_after_many_events(prob):
    weight, mask = layer("ku")
    for event in range(1, 118):
        redraw(weight, mask, "ku", prob, event)
    pruned = weight[mask == 0].double()
    assert kstest(pruned.numpy(), "uniform", (-BOUND, 2 * BOUND)).pvalue > 1e-3
    assert pruned.var().item() == pytest.approx(2 / FAN_IN, rel=0.02)
    assert abs(pruned.mean().item()) < 5 * CONSTANT / sqrt(len(pruned))


def test_signs_stay_balanced_after_many_events():
    weight, mask = layer("sc")
    for event in range(1, 118):
        redraw(weight, mask, "sc", 0.1, event)
    pruned = weight[mask == 0].double()
    assert pruned.var().item() == pytest.approx(2 / FAN_IN, rel=0.02)
    assert abs(pruned.sign().mean().item()) < 5 / sqrt(len(pruned))


def test_weights_never_leave_the_support_of_their_distribution():
    uniform, mask = layer("ku")
    signed, _ = layer("sc")
    for event in range(1, 118):
        for weight, distribution in ((uniform, "ku"), (signed, "sc")):
            redraw(weight, mask, distribution, 0.5, event)
    assert uniform.abs().max() <= BOUND
    assert set(signed.unique().tolist()) == {x.item() for x in torch.tensor([-CONSTANT, CONSTANT])}


@pytest.mark.parametrize(
    ("distribution", "variance", "bound"),
    [
        ("ku", 2 / FAN_IN, BOUND),
        ("sc", 2 / FAN_IN, CONSTANT),
        ("kn", 2 / FAN_IN, None),
        ("u", 1 / 3, 1.0),
        ("hidden", 1 / (3 * FAN_IN), 1 / sqrt(FAN_IN)),
    ],
)
def test_each_distribution_has_its_variance_and_its_bound(distribution, variance, bound):
    values = draw_weights(distribution, SHAPE, FAN_IN, generator(0, "weights", "a"))
    assert values.var().item() == pytest.approx(variance, rel=0.02)
    assert abs(values.mean().item()) < 5 * sqrt(variance / values.numel())
    if bound:
        assert values.abs().max().item() == pytest.approx(bound, rel=1e-3)
        assert values.abs().max() <= torch.tensor(bound)


def test_every_distribution_is_tested_here():
    assert set(DISTRIBUTIONS) == {"ku", "sc", "kn", "u", "hidden"}
