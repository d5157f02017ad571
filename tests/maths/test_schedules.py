"""Section 3.1: learning rates by epoch, with the values printed there."""

from typing import Any

import pytest

from carryover.core.optim import cosine, schedule_of, warmup_cosine


def as_printed(rate: float) -> Any:
    """Half a unit of the last printed digit: 4 digits of the small ones, 7 decimals of the others."""
    return pytest.approx(rate, rel=0, abs=5e-9 if rate < 1e-4 else 5e-8)


@pytest.mark.parametrize(("epoch", "expected"), [(0, 0.1), (1, 0.0999753), (50, 0.05), (99, 2.467e-5)])
def test_cosine_has_the_values_of_the_cifar_recipe(epoch: int, expected: float):
    assert cosine(0.1, epoch, 100) == as_printed(expected)


def test_cosine_falls_at_every_epoch_and_never_reaches_zero():
    rates = [cosine(0.3, epoch, 68) for epoch in range(68)]
    assert rates[0] == 0.3
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 68
    assert rates[-1] > 0


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [(0, 0.02), (4, 0.1), (5, 0.1), (6, 0.0999727), (99, 2.734e-5), (100, 1e-5), (104, 1e-5)],
)
def test_warmup_cosine_has_the_values_of_the_imagenet_recipe(epoch: int, expected: float):
    assert warmup_cosine(0.1, epoch, 5, 95, 1e-5) == as_printed(expected)


def test_warmup_rises_in_equal_steps():
    assert [warmup_cosine(1.0, epoch, 5, 95, 0.0) for epoch in range(5)] == [0.2, 0.4, 0.6, 0.8, 1.0]


def test_schedules_have_the_names_of_the_config():
    assert [schedule_of("constant", 0.1, 3)(epoch) for epoch in range(3)] == [0.1] * 3
    assert schedule_of("cosine", 0.1, 100)(50) == cosine(0.1, 50, 100)
    imagenet = schedule_of("warmup-cosine", 0.1, 105)
    assert [imagenet(epoch) for epoch in range(105)] == [
        warmup_cosine(0.1, epoch, 5, 95, 1e-5) for epoch in range(105)
    ]


def test_a_training_too_short_for_its_warmup_is_refused():
    with pytest.raises(ValueError, match="more than 10 epochs, got 10"):
        schedule_of("warmup-cosine", 0.1, 10)
    assert schedule_of("warmup-cosine", 0.1, 11)(5) == 0.1
