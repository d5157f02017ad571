from itertools import combinations, product
from math import inf, isnan

import numpy as np
import pytest
from scipy import stats

from carryover.claims.statistics import (
    ERROR,
    Region,
    Verdict,
    combine,
    contradiction,
    holm,
    judge,
    paired_effect,
    supports,
)

HOLDS, FAILS, UNDECIDED, UNTESTED = Verdict
REGIONS = [Region(low=0.0), Region(low=-0.01), Region(high=0.3), Region(low=-0.02, high=0.02), Region()]


def samples(count, n, mean=0.0, seed=0):
    return np.random.default_rng([seed, n]).normal(mean, 1.0, (count, n)).tolist()


def test_effect_and_interval_of_a_case_done_by_hand():
    effect = paired_effect([1.0, 2.0, 3.0])  # s = 1, and t = 4.302653 for two degrees of freedom
    assert effect.n == 3
    assert effect.mean == 2.0
    assert effect.error == pytest.approx(3**-0.5)
    assert effect.high - 2.0 == pytest.approx(4.302653 * 3**-0.5, abs=1e-6)
    assert 2.0 - effect.low == pytest.approx(effect.high - 2.0)


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_the_interval_is_that_of_the_one_sample_t_test(n):
    for sample in samples(20, n, mean=0.3):
        effect, known = paired_effect(sample), stats.ttest_1samp(sample, 0.0)
        interval = known.confidence_interval(0.95)
        assert (effect.low, effect.high) == pytest.approx((interval.low, interval.high))
        assert effect.mean / effect.error == pytest.approx(known.statistic)


@pytest.mark.parametrize("n", [2, 5])
def test_intervals_of_normal_differences_cover_the_truth_95_times_in_100(n):
    count, truth = 4000, 0.7
    effects = [paired_effect(sample) for sample in samples(count, n, truth)]
    covered = sum(effect.low < truth < effect.high for effect in effects) / count
    assert covered == pytest.approx(0.95, abs=4 * (0.95 * 0.05 / count) ** 0.5)


def test_two_seeds_are_the_least():
    with pytest.raises(ValueError, match="two seeds or more: got 1"):
        paired_effect([0.5])


@pytest.mark.parametrize("equal", [[0.25, 0.25, 0.25], [0.3 - 0.1, 0.2, 1.2 - 1.0]])
def test_equal_differences_give_no_interval_and_decide_nothing(equal):
    effect = paired_effect(equal)
    assert isnan(effect.error)
    assert isnan(effect.low)
    assert not supports(effect, Region(low=0.0))
    assert judge([(effect, Region(low=0.0)), (effect, Region(high=0.0))]) == [UNDECIDED, UNDECIDED]


@pytest.mark.parametrize("n", [2, 5])
def test_p_values_against_a_claim_are_those_of_one_sided_t_tests(n):
    for sample in samples(20, n):
        effect = paired_effect(sample)
        less = stats.ttest_1samp(sample, 0.2, alternative="less").pvalue
        greater = stats.ttest_1samp(sample, 0.4, alternative="greater").pvalue
        assert contradiction(effect, Region(low=0.2)) == pytest.approx(less)
        assert contradiction(effect, Region(high=0.4)) == pytest.approx(greater)
        assert contradiction(effect, Region(low=0.2, high=0.4)) == pytest.approx(min(less, greater))


def test_a_claim_that_allows_everything_cannot_be_contradicted():
    assert contradiction(paired_effect([-5.0, -6.0]), Region()) == 1.0


def test_a_region_with_two_bounds_is_tested_by_two_one_sided_tests():
    region, found = Region(low=-0.8, high=0.8), set()
    for sample in samples(200, 6, seed=1):
        below = stats.ttest_1samp(sample, region.low, alternative="greater").pvalue
        above = stats.ttest_1samp(sample, region.high, alternative="less").pvalue
        supported = supports(paired_effect(sample), region)
        assert supported == (max(below, above) < ERROR)
        found.add(supported)
    assert found == {True, False}


def test_a_claim_is_contradicted_exactly_when_its_interval_lies_outside():
    outside = set()
    for sample, region in product(samples(60, 4, seed=2, mean=0.5), REGIONS):
        effect = paired_effect(sample)
        away = effect.high < region.low or effect.low > region.high
        assert (contradiction(effect, region) < ERROR) == away
        assert not (away and supports(effect, region))
        outside.add(away)
    assert outside == {True, False}


def test_holm_is_the_closed_test_with_bonferroni_inside():
    draw = np.random.default_rng(3)
    for m in (1, 2, 4, 5):
        p = draw.uniform(0, 0.4, m).round(2).tolist()  # rounding makes ties
        subsets = [s for size in range(1, m + 1) for s in combinations(range(m), size)]
        closed = [max(min(1.0, len(s) * min(p[j] for j in s)) for s in subsets if i in s) for i in range(m)]
        assert holm(p) == pytest.approx(closed)
    assert holm([]) == []


def test_one_contradicted_part_of_many_needs_a_smaller_p_value():
    against = paired_effect([-0.3, -0.1, -0.25, -0.05, -0.2])
    fine = paired_effect([0.9, 1.0, 1.1, 1.05, 0.95])
    better = Region(low=0.0)
    assert ERROR / 4 < contradiction(against, better) < ERROR
    assert judge([(against, better)]) == [FAILS]
    assert judge([(fine, better), *[(against, better)], *[(fine, better)] * 2]) == [
        HOLDS,
        UNDECIDED,
        HOLDS,
        HOLDS,
    ]
    clear = paired_effect([-0.3, -0.31, -0.29, -0.3, -0.32])
    assert judge([(fine, better), (clear, better), (fine, better)]) == [HOLDS, FAILS, HOLDS]


def test_true_claims_of_many_parts_are_called_false_at_most_25_times_in_1000():
    count, parts, better = 1500, 8, Region(low=0.0)
    wrong = 0
    for trial in range(count):
        effects = [paired_effect(sample) for sample in samples(parts, 5, seed=trial)]  # all at the border
        wrong += combine(judge([(effect, better) for effect in effects])) is FAILS
    assert wrong / count <= ERROR + 4 * (ERROR * (1 - ERROR) / count) ** 0.5


def test_false_claims_are_said_to_hold_at_most_25_times_in_1000_however_good_other_parts_are():
    count, better = 4000, Region(low=0.0)
    good = (paired_effect([5.0, 5.1, 4.9]), better)
    held = sum(
        combine(judge([good, (paired_effect(sample), better), good])) is HOLDS
        for sample in samples(count, 5, seed=9)
    )
    assert held / count == pytest.approx(ERROR, abs=4 * (ERROR * (1 - ERROR) / count) ** 0.5)


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([], UNTESTED),
        ([UNTESTED, UNTESTED], UNTESTED),
        ([HOLDS, HOLDS], HOLDS),
        ([HOLDS, UNDECIDED], UNDECIDED),
        ([HOLDS, UNTESTED], UNDECIDED),
        ([UNDECIDED, UNTESTED], UNDECIDED),
        ([HOLDS, FAILS, UNDECIDED, UNTESTED], FAILS),
    ],
)
def test_a_claim_holds_with_all_its_parts_and_falls_with_one(parts, verdict):
    assert combine(parts) is verdict


def test_regions_leave_their_bounds_out():
    effect = paired_effect([0.5, 1.5])
    assert supports(effect, Region(effect.low - 1e-9, effect.high + 1e-9))
    assert not supports(effect, Region(low=effect.low))
    assert not supports(effect, Region(-inf, effect.high))
