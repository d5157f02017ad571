"""Differences over seeds and tasks: one effect, and an interval that is about new seeds and about new tasks.

All methods are tested on the same tasks, and those of one seed begin with the same random net. So each seed s and
task t give one difference d_st, in which what the two share cancels. Its mean varies with both: another seed trains
another net, other tasks have other classes and images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit  # scipy.stats takes half a second longer to import

from carryover.claims.statistics import ERROR, Effect, Region

_NO_SPREAD = 1e-9  # as for seeds alone: what is smaller is rounding


@dataclass(frozen=True)
class CrossedEffect(Effect):
    """A mean over seeds and tasks; n is the number of seeds, and `error` times Student's t of n gives the interval."""

    tasks: int
    """Number of tasks; of all of them where several sets of tasks are compared."""
    sd_seeds: float
    """Standard deviation over seeds of the means over tasks."""
    half_seeds: float
    """Half the 95 % interval that these spread alone would give, for the same tasks."""
    half_tasks: float
    """Half the 95 % interval over tasks alone, of the means over these very seeds."""


def crossed_effect(groups: Sequence[Float[np.ndarray, "seeds _"]]) -> CrossedEffect:
    """Estimate a mean from one difference for each seed and task; groups have tasks of their own and are added up.

    With S seeds, A = (variance over seeds of the means over tasks) / S, and for each group of T tasks
    B = (variance over its tasks of the means over seeds) / T, half the interval is sqrt(t_S^2 A + sum t_T^2 B), t the
    97.5 % points of Student's distribution with S - 1 and T - 1 degrees of freedom: the half-widths of the intervals
    over seeds alone and over tasks alone, added as squares. Where d_st is the sum of normal effects of seed, task and
    both, the interval is conservative: A and B are independent, what belongs to seed and task at once is counted in
    both, and for such weights the chance of error is at most the nominal one (S. K. Banerjee, Sankhya A 23, 1961).
    Raises ValueError for fewer than two seeds or tasks.
    """
    num_seeds = len(groups[0])
    if num_seeds < 2 or min(each.shape[1] for each in groups) < 2:
        raise ValueError(
            f"an interval needs two seeds and two tasks or more: got {[g.shape for g in groups]}"
        )
    by_seed = np.sum([each.mean(axis=1) for each in groups], axis=0)
    mean, sd_seeds = float(np.mean(by_seed)), float(np.std(by_seed, ddof=1))
    half_seeds = _student(num_seeds) * sd_seeds / sqrt(num_seeds)
    halves = [_student(g.shape[1]) * float(g.mean(axis=0).std(ddof=1)) / sqrt(g.shape[1]) for g in groups]
    half_tasks = sqrt(sum(half**2 for half in halves))
    half = sqrt(half_seeds**2 + half_tasks**2)
    tasks = sum(each.shape[1] for each in groups)
    if half < _NO_SPREAD:
        return CrossedEffect(mean, nan, nan, nan, num_seeds, tasks, sd_seeds, half_seeds, half_tasks)
    error = half / _student(num_seeds)
    return CrossedEffect(
        mean, error, mean - half, mean + half, num_seeds, tasks, sd_seeds, half_seeds, half_tasks
    )


def exact_effect(values: Sequence[float], region: Region) -> Effect:
    """Give the value that is furthest out of a region, or closest to its end, of values that all lie there as claimed.

    It has no error to speak of; the range of all values stands in the place of an interval.
    Raises ValueError for fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f"a range needs two seeds or more: got {len(values)}")
    worst = min(values, key=lambda value: min(value - region.low, region.high - value))
    return Effect(worst, _NO_SPREAD, min(values), max(values), len(values))


def _student(count: int) -> float:
    return float(stdtrit(count - 1, 1 - ERROR))
