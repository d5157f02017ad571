"""Paired differences over seeds: effect, confidence interval, and what they say about a claim.

Two runs of one seed start from the same random weights and scores and see the same batches, so each seed gives
one difference d_1 .. d_n of accuracies, and the noise that the two share cancels. Every claim is a region, low to
high, that the mean difference is said to lie in; its bounds (margins) are fixed with the claim, before any result.
All tests have a chance of error of 2.5 % to each side. There is no correction for the number of claims.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf, nan, sqrt

import numpy as np
from scipy.special import stdtr, stdtrit  # scipy.stats takes half a second longer to import

LEVEL = 0.95
"""Confidence level of the two-sided intervals."""

ERROR = (1 - LEVEL) / 2
"""Chance of error to one side."""

_NO_SPREAD = 1e-9  # accuracies are multiples of 1 / images: what is smaller is rounding


class Verdict(StrEnum):
    """What the results say about a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided"
    UNTESTED = "not tested"


@dataclass(frozen=True)
class Region:
    """The mean differences that a claim allows, bounds left out."""

    low: float = -inf
    high: float = inf


@dataclass(frozen=True)
class Effect:
    """A mean paired difference with its standard error and confidence interval; n is the number of pairs.

    Where all differences are equal there is no interval: `error`, `low` and `high` are nan.
    """

    mean: float
    error: float
    low: float
    high: float
    n: int


def paired_effect(differences: Sequence[float]) -> Effect:
    """Estimate a mean difference from one difference per seed.

    With mean m and standard deviation s = sqrt(sum (d_i - m)^2 / (n - 1)), the standard error is s / sqrt(n) and
    the interval m +- t s / sqrt(n), t the 97.5 % point of Student's distribution with n - 1 degrees of freedom.
    It is exact for normal differences. Raises ValueError for fewer than two differences.
    """
    values = np.asarray(differences, dtype=float)
    n = len(values)
    if n < 2:
        raise ValueError(f"an interval needs two seeds or more: got {n}")
    mean = float(values.mean())
    if float(np.ptp(values)) < _NO_SPREAD:
        return Effect(mean, nan, nan, nan, n)
    error = float(values.std(ddof=1)) / sqrt(n)
    half = float(stdtrit(n - 1, 1 - ERROR)) * error
    return Effect(mean, error, mean - half, mean + half, n)


def contradiction(effect: Effect, region: Region) -> float:
    """Give the p-value against "the mean difference lies in the region"; nan without an interval.

    p = min(P(T <= (m - low) / e), P(T >= (m - high) / e)) with e the standard error and T Student's with n - 1
    degrees of freedom. It is below 2.5 % exactly when the interval lies outside of the region.
    """
    below = float(stdtr(effect.n - 1, (effect.mean - region.low) / effect.error))
    above = float(stdtr(effect.n - 1, (region.high - effect.mean) / effect.error))
    return min(below, above)


def supports(effect: Effect, region: Region) -> bool:
    """Tell whether the whole interval lies in the region.

    For a region with two bounds this is the pair of one-sided tests (TOST) that shows equivalence; for one bound
    it is the one-sided t test.
    """
    return effect.low > region.low and effect.high < region.high


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number: Holm's step-down, p_(k) -> max over j <= k of (m - j + 1) p_(j), at most 1."""
    m = len(p_values)
    adjusted = [0.0] * m
    largest = 0.0
    for rank, index in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (m - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def judge(parts: Sequence[tuple[Effect, Region]]) -> list[Verdict]:
    """Judge the parts of one claim.

    A part does not hold when the test against it stays below 2.5 % after Holm's correction over the parts. Otherwise
    it holds when its interval lies in its region, and is undecided when not, or when there is no interval.
    """
    p_values = [contradiction(effect, region) for effect, region in parts]
    adjusted = holm([1.0 if np.isnan(p) else p for p in p_values])
    return [_verdict(effect, region, p) for (effect, region), p in zip(parts, adjusted, strict=True)]


def _verdict(effect: Effect, region: Region, adjusted: float) -> Verdict:
    if adjusted < ERROR:
        return Verdict.FAILS
    return Verdict.HOLDS if supports(effect, region) else Verdict.UNDECIDED


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """Judge a claim by its parts: intersection-union for "holds", union-intersection for "does not hold".

    A claim holds only if every part holds; each part is tested at the full level, since all must pass. It does not
    hold if any part does not (Holm's correction has paid for the many chances). It is not tested if no part is,
    and undecided in all other cases.
    """
    found = set(verdicts)
    if Verdict.FAILS in found:
        return Verdict.FAILS
    if found <= {Verdict.UNTESTED}:
        return Verdict.UNTESTED
    return Verdict.HOLDS if found == {Verdict.HOLDS} else Verdict.UNDECIDED
