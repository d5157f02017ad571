"""Section 1.6 and oracle T16: the outer rate before each step."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import meta_ticket as published

from carryover.metaticket.schedule import outer_rate


@given(st.floats(1e-4, 100), st.integers(0, 50), st.integers(1, 200))
def test_the_warm_up_starts_low_and_the_cosine_goes_from_the_peak_down_to_almost_nothing(
    lr, num_warmup, num_more
):
    num_steps = num_warmup + num_more
    rates = [outer_rate("cosine", lr, step, num_warmup, num_steps) for step in range(num_steps)]
    assert rates[0] == pytest.approx(lr / (num_warmup + 1))
    assert rates[num_warmup] == lr
    assert all(before < after for before, after in pairwise(rates[: num_warmup + 1]))
    assert all(before > after for before, after in pairwise(rates[num_warmup:]))
    assert rates[-1] > 0
    assert rates[-1] <= lr * (2.5 / num_more**2 if num_more > 1 else 1)  # half a cosine is flat at its end
    assert rates == pytest.approx(
        [published.outer_rate(lr, i, num_warmup, num_steps) for i in range(num_steps)]
    )


def test_the_published_rates():
    """10 at most, 1000 of 30,000 steps of warm-up."""
    rates = [outer_rate("cosine", 10.0, step, 1000, 30_000) for step in (0, 499, 999, 1000, 15_500, 29_999)]
    assert rates == pytest.approx([10 / 1001, 5000 / 1001, 10_000 / 1001, 10, 5, 2.934e-8], rel=1e-3)


@pytest.mark.parametrize("num_warmup", [0, 5])
def test_a_constant_rate_knows_no_warm_up(num_warmup):
    assert {outer_rate("constant", 0.1, step, num_warmup, 20) for step in range(20)} == {0.1}


@pytest.mark.parametrize("num_warmup", [20, 30])
def test_a_warm_up_as_long_as_the_training_never_reaches_the_peak(num_warmup):
    rates = [outer_rate("cosine", 1.0, step, num_warmup, 20) for step in range(20)]
    assert rates == [(step + 1) / (num_warmup + 1) for step in range(20)]
