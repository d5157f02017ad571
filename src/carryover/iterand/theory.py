"""The re-sampling lemma: how many random weights must be looked at until one lies near its goal.

A slot is a weight from U[-1, 1] that may be drawn again, R times in all.
Source: IteRand, supplement, for that setting alone.
Departs: the lemma is our reconstruction, and no constant here or in `theory_network` is the paper's. The
fragment of the supplement that we could read has lost its epsilons. Taken literally, its n >= 2 log(1/delta)
with one draw for each slot misses far more often than delta (0.77 at eps = delta = 0.1), while
n >= (2/eps) log(1/delta) holds. The tie between the two forms, R >= 1/eps, is ours too.
"""

from collections.abc import Sequence
from math import ceil, exp, log, log1p, sqrt

import numpy as np
from jaxtyping import Float, Int

from carryover.core import rng
from carryover.iterand.theory_settings import TheorySettings

Row = dict[str, object]

_DRAWS_AT_ONCE = 2**16  # they stay in the cache
_MOST_SUMMANDS = 20
_GRID = np.linspace(-1, 1, 201)


def numpy_stream(seed: int, *path: str | int) -> np.random.Generator:
    """Make the numpy generator of a named stream of the theory."""
    return np.random.default_rng(rng.stream_key(seed, "theory", *path))


def hit_probability(alpha: float, eps: float) -> float:
    """Give the chance q that one draw from U[-1, 1] lies within `eps` of `alpha`.

    It is eps inside and eps / 2 at alpha = +-1, so that the ends are the hardest goals.
    Source: IteRand, supplement (re-sampling lemma); our reconstruction.
    """
    assert -1 <= alpha <= 1, f"a weight from U[-1, 1] cannot reach alpha = {alpha}"
    return (min(alpha + eps, 1) - max(alpha - eps, -1)) / 2


def miss_probability(alpha: float, eps: float, num_slots: int, num_draws: int) -> float:
    """Give the chance (1 - q)^(n R) that no slot comes within `eps` of `alpha`.

    Only the product of slots (n) and draws for each slot (R) counts: a redraw buys width one for one.
    Source: IteRand, supplement (re-sampling lemma); our reconstruction.
    """
    return exp(num_slots * num_draws * log1p(-hit_probability(alpha, eps)))


def miss_bound(eps: float, num_slots: int, num_draws: int) -> float:
    """Bound the miss probability for every goal in [-1, 1] by exp(-n R eps / 2).

    Source: IteRand, supplement (re-sampling lemma); our reconstruction.
    """
    return exp(-num_slots * num_draws * eps / 2)


def smallest_slots(alpha: float, eps: float, delta: float, num_draws: int) -> int:
    """Give the smallest number of slots that misses `alpha` with a chance of at most `delta`; exact.

    Source: IteRand, supplement (re-sampling lemma); our reconstruction.
    """
    return ceil(log(delta) / (num_draws * log1p(-hit_probability(alpha, eps))))


def slots_bound(eps: float, delta: float, num_draws: int) -> int:
    """Give a number of slots that suffices for every goal: n R >= (2 / eps) log(1 / delta).

    With R >= 1 / eps it is at most 2 log(1 / delta), the form that the paper's fragment shows.
    Source: IteRand, supplement (re-sampling lemma); our reconstruction.
    """
    return ceil(2 / (eps * num_draws) * log(1 / delta))


def observed_misses(
    alphas: Sequence[float],
    eps: float,
    num_slots: int,
    num_draws: int,
    trials: int,
    draw: np.random.Generator,
) -> Int[np.ndarray, " alphas"]:
    """Count for each goal the trials in which none of n x R uniform draws comes within `eps` of it.

    Every draw is made, chunk by chunk; nothing of the exact formula is used. The goals share the draws.
    Source: IteRand, supplement (re-sampling lemma); our reconstruction.
    """
    draws = num_slots * num_draws
    chunk = max(1, _DRAWS_AT_ONCE // draws)
    misses = np.zeros(len(alphas), dtype=np.int64)
    for start in range(0, trials, chunk):
        values = draw.uniform(-1, 1, (min(chunk, trials - start), draws))
        misses += [np.count_nonzero(np.abs(values - alpha).min(axis=1) > eps) for alpha in alphas]
    return misses


def miss_rows(settings: TheorySettings) -> list[Row]:
    """Simulate the lemma at R = ceil(1 / eps) and n = ceil(2 log(1 / delta)): experiment 1.

    `standard_error` is the one that the exact probability predicts, so that no miss at all still has one.
    Departs: the experiment is ours.
    """
    rows: list[Row] = []
    for case in settings.lemma_cases:
        eps, num_draws, num_slots = case.eps, ceil(1 / case.eps), ceil(2 * log(1 / case.delta))
        draw = numpy_stream(settings.seed, "lemma", repr(eps), repr(case.delta))
        trials = settings.lemma_trials
        misses = observed_misses(settings.lemma_alphas, eps, num_slots, num_draws, trials, draw)
        for alpha, missed in zip(settings.lemma_alphas, misses.tolist(), strict=True):
            exact = miss_probability(alpha, eps, num_slots, num_draws)
            rows.append(
                {
                    "eps": eps,
                    "delta": case.delta,
                    "alpha": alpha,
                    "num_draws": num_draws,
                    "num_slots": num_slots,
                    "trials": trials,
                    "misses": missed,
                    "observed": missed / trials,
                    "standard_error": sqrt(exact * (1 - exact) / trials),
                    "exact": exact,
                    "bound": miss_bound(eps, num_slots, num_draws),
                }
            )
    return rows


def width_rows(settings: TheorySettings) -> list[Row]:
    """Tabulate the smallest number of slots against the number of draws at alpha = 1, exactly: experiment 2.

    Departs: the experiment is ours.
    """
    return [
        {
            "eps": case.eps,
            "delta": case.delta,
            "alpha": 1.0,
            "num_draws": num_draws,
            "exact": smallest_slots(1.0, case.eps, case.delta, num_draws),
            "bound": slots_bound(case.eps, case.delta, num_draws),
        }
        for case in settings.width_cases
        for num_draws in settings.width_draws
    ]


def summands_needed(eps: Sequence[float], draws: Float[np.ndarray, " most"]) -> Int[np.ndarray, " eps"]:
    """Give for each eps how many of the draws, in order, make every goal of a grid a subset sum.

    The grid has 201 goals on [-1, 1], and any subset may be added, the empty one included. All 2^n sums are
    formed. Where all the draws do not suffice, the answer is one more than there are.
    Source: Pensia et al. 2020 (pruning alone, as a subset-sum problem); IteRand compares itself with it.
    """
    wanted = np.asarray(eps)
    needed = np.full(len(wanted), len(draws) + 1)
    sums = np.array([-np.inf, 0.0, np.inf])
    for count, value in enumerate(draws, 1):
        sums = np.sort(np.concatenate([sums, sums[1:-1] + value]))
        above = np.searchsorted(sums, _GRID)
        worst = np.minimum(_GRID - sums[above - 1], sums[above] - _GRID).max()
        needed[(worst <= wanted) & (needed > count)] = count
        if worst <= wanted.min():
            break
    return needed


def subset_sum_rows(settings: TheorySettings) -> list[Row]:
    """Compare three ways to have a weight within eps of its goal with a chance of 1 - delta: experiment 3.

    `subset sum`: any subset of n weights may be added; n is simulated, and `low` to `high` is its range when
    the rank of the quantile moves by one standard error. `drawn once`: the best of n weights counts; exact.
    `redrawn`: one weight, drawn R times; exact. The first reaches all goals of the grid with the same n
    draws, the others one goal, the hardest (alpha = 1).
    Departs: the experiment is ours.
    """
    draws = numpy_stream(settings.seed, "subset sum").uniform(-1, 1, (settings.subset_trials, _MOST_SUMMANDS))
    needed = np.sort([summands_needed(settings.subset_eps, trial) for trial in draws], axis=0)
    rows: list[Row] = []
    for eps, counts in zip(settings.subset_eps, needed.T, strict=True):
        once = smallest_slots(1.0, eps, settings.subset_delta, 1)
        rows += [
            _comparison("subset sum", eps, settings, _quantile(counts, 1 - settings.subset_delta), 1),
            _comparison("drawn once", eps, settings, (once, once, once), 1),
            _comparison("redrawn", eps, settings, (1, 1, 1), once),
        ]
    return rows


def _quantile(counts: Int[np.ndarray, " trials"], fraction: float) -> tuple[int, int, int]:
    """Give a quantile of sorted counts, and it again with its rank one standard error lower and higher."""
    trials = len(counts)
    error = sqrt(trials * fraction * (1 - fraction))
    ranks = [ceil(trials * fraction + shift - 1e-9) for shift in (0.0, -error, error)]  # 285.0000001 is 285
    middle, low, high = (int(counts[min(max(rank, 1), trials) - 1]) for rank in ranks)
    if middle > _MOST_SUMMANDS:
        raise ValueError(
            f"subset_eps: {_MOST_SUMMANDS} weights reach the smallest eps in fewer than 1 - subset_delta = "
            f"{fraction} of the trials; raise subset_eps or subset_delta"
        )
    return middle, low, high


def _comparison(
    method: str, eps: float, settings: TheorySettings, slots: tuple[int, int, int], num_draws: int
) -> Row:
    return {
        "method": method,
        "eps": eps,
        "delta": settings.subset_delta,
        "num_draws": num_draws,
        "num_slots": slots[0],
        "low": slots[1],
        "high": slots[2],
        "trials": settings.subset_trials if method == "subset sum" else None,
    }
