from math import sqrt

import numpy as np
import pytest
from scipy.stats import t as student

from carryover.claims.metaticket_statistics import CrossedEffect, crossed_effect, exact_effect
from carryover.claims.statistics import Region, Verdict, judge, paired_effect, supports


def crossed(draw, seeds, tasks, spreads, count=1):
    """Draw differences whose true mean is 0, with spreads over seeds, tasks, and both."""
    of_seed, of_task, both = spreads
    shapes = ((count, seeds, 1), (count, 1, tasks), (count, seeds, tasks))
    return sum(s * draw.normal(size=shape) for s, shape in zip((of_seed, of_task, both), shapes, strict=True))


def test_the_halves_over_seeds_and_over_tasks_are_added_as_squares():
    values = np.array([[0.1, 0.3, 0.2], [0.2, 0.5, 0.2]])
    effect = crossed_effect([values])
    by_seed, by_task = values.mean(1), values.mean(0)
    seeds = student.ppf(0.975, 1) * by_seed.std(ddof=1) / sqrt(2)
    tasks = student.ppf(0.975, 2) * by_task.std(ddof=1) / sqrt(3)
    assert effect.mean == pytest.approx(0.25)
    assert (effect.half_seeds, effect.half_tasks) == pytest.approx((seeds, tasks))
    assert effect.high - effect.mean == pytest.approx(sqrt(seeds**2 + tasks**2))
    assert effect.mean - effect.low == pytest.approx(sqrt(seeds**2 + tasks**2))
    assert effect.sd_seeds == pytest.approx(by_seed.std(ddof=1))
    assert (effect.n, effect.tasks) == (2, 3)


def test_without_a_spread_over_tasks_it_is_the_paired_interval_over_seeds():
    by_seed = [0.01, 0.03, 0.05]
    effect = crossed_effect([np.repeat([by_seed], 4, axis=0).T])
    alone = paired_effect(by_seed)
    assert (effect.mean, effect.low, effect.high, effect.error) == pytest.approx(
        (alone.mean, alone.low, alone.high, alone.error)
    )
    assert effect.half_tasks == pytest.approx(0)


def test_without_a_spread_over_seeds_it_is_the_paired_interval_over_tasks():
    by_task = [0.01, 0.03, 0.05, 0.02]
    effect = crossed_effect([np.repeat([by_task], 2, axis=0)])
    alone = paired_effect(by_task)
    assert (effect.low, effect.high) == pytest.approx((alone.low, alone.high))
    assert effect.half_seeds == pytest.approx(0)


def test_groups_with_tasks_of_their_own_are_added_up_and_each_brings_its_own_tasks():
    draw = np.random.default_rng(0)
    one, other = draw.normal(size=(3, 5)), draw.normal(size=(3, 9))
    both, first, second = crossed_effect([one, other]), crossed_effect([one]), crossed_effect([other])
    assert both.mean == pytest.approx(first.mean + second.mean)
    assert both.half_tasks == pytest.approx(sqrt(first.half_tasks**2 + second.half_tasks**2))
    assert both.sd_seeds == pytest.approx(np.std(one.mean(1) + other.mean(1), ddof=1))
    assert both.tasks == 14


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(
    "spreads", [(0, 0, 1), (0.01, 0, 1), (0.2, 0, 1), (0, 0.8, 1), (0.1, 0.8, 1), (1, 0.1, 0.1)]
)
def test_the_interval_holds_the_truth_at_least_as_often_as_it_says(seeds, spreads):
    values = crossed(np.random.default_rng(1), seeds, 100, spreads, count=1000)
    effects = [crossed_effect([each]) for each in values]
    held = np.mean([effect.low < 0 < effect.high for effect in effects])
    assert held > 0.95 - 3 * sqrt(0.95 * 0.05 / 1000)


def test_tasks_that_all_seeds_find_hard_do_not_make_the_interval_of_many_tasks_wide():
    draw = np.random.default_rng(2)
    narrow = crossed_effect([crossed(draw, 3, 400, (0.0, 0.05, 0.05))[0]])
    assert narrow.high - narrow.low < 0.05


def test_equal_differences_have_no_interval():
    effect = crossed_effect([np.full((3, 4), 0.1)])
    assert effect.mean == pytest.approx(0.1)
    assert np.isnan([effect.error, effect.low, effect.high]).all()
    assert judge([(effect, Region(low=0.0))]) == [Verdict.UNDECIDED]


@pytest.mark.parametrize("shape", [(1, 10), (3, 1)])
def test_one_seed_or_one_task_gives_no_interval(shape):
    with pytest.raises(ValueError, match="two seeds and two tasks"):
        crossed_effect([np.zeros(shape)])


def test_the_interval_decides_as_the_statistics_of_all_claims_do():
    effect = crossed_effect([np.array([[0.1, 0.11, 0.12], [0.1, 0.12, 0.13]])])
    assert isinstance(effect, CrossedEffect)
    assert supports(effect, Region(low=0.0)) == (effect.low > 0)
    edge = Region(high=effect.low - 1e-9)
    inside = Region(high=effect.low + 1e-9)
    assert judge([(effect, edge)]) == [Verdict.FAILS]
    assert judge([(effect, inside)]) == [Verdict.UNDECIDED]


def test_what_is_claimed_of_every_value_is_judged_by_the_worst():
    nothing = Region(-1e-4, 1e-4)

    def verdict(values, region=nothing):
        return judge([(exact_effect(values, region), region)])[0]

    assert verdict([0.0, 0.0, 1e-8]) is Verdict.HOLDS
    assert verdict([0.0, 0.0]) is Verdict.HOLDS
    assert verdict([0.01, 0.01]) is Verdict.FAILS
    assert verdict([0.0, 0.0, 0.01]) is Verdict.FAILS
    point = Region(low=-0.01)
    assert verdict([-0.005, 0.02, -0.009], point) is Verdict.HOLDS
    assert verdict([-0.20, -0.15, -0.10], point) is Verdict.FAILS
    assert verdict([0.20, 0.15, -0.011], point) is Verdict.FAILS
    assert exact_effect([0.20, 0.15, -0.011], point).mean == -0.011
    with pytest.raises(ValueError, match="two seeds"):
        exact_effect([0.0], nothing)
