"""A whole network by pruning and re-sampling: the construction, its width, and how often it works.

One target layer becomes two layers of the random network, F x = F relu(x) - F relu(-x). For each input j some
hidden units read x_j through a weight near +1 and as many through one near -1; output k reads the first
through a weight near F[k, j] and the second through one near -F[k, j]. All other weights are pruned.
Source: IteRand, supplement, theorem A.1, for the setting alone: twice the depth, weights from U[-1, 1] that
are drawn R times, target matrices with a Frobenius norm of at most 1.
Departs: the construction and all its constants are ours. What the theorem asks of the width, and what exactly
it concludes, was not available to us; our result has the form of the paper's claim, a constant factor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, exp, log, log1p, prod, sqrt

import numpy as np
from jaxtyping import Float, Int

from carryover.iterand.theory import Row, hit_probability, numpy_stream
from carryover.iterand.theory_settings import TargetNet, TheorySettings

_NUM_INPUTS = 64

Matrices = Sequence[Float[np.ndarray, "_ _"]]


def num_edges(dims: Sequence[int]) -> int:
    """Count the weights that must be near their goals with one hidden unit per input and sign (N_e).

    Source: IteRand, supplement (theorem A.1); our construction.
    """
    return sum(2 * inputs * (1 + outputs) for inputs, outputs in pairwise(dims))


def error_bound(dims: Sequence[int], tolerance: float) -> float:
    """Bound the output error on inputs of norm at most 1 when every weight is within `tolerance` of its goal.

    Layer i adds at most eta_i = 3 sqrt(2) e sqrt(d_{i-1} d_i) times the norm of its input, the whole net at
    most exp(sum_i eta_i) - 1.
    Source: IteRand, supplement (theorem A.1); our construction.
    """
    return exp(3 * sqrt(2) * tolerance * sum(sqrt(a * b) for a, b in pairwise(dims))) - 1


def edge_tolerance(dims: Sequence[int], eps: float) -> float:
    """Give the distance e from its goal that each weight may have for an output error of at most `eps`.

    e = eps / (6 sqrt(2) sum_i sqrt(d_{i-1} d_i)); valid for eps <= 2.
    Source: IteRand, supplement (theorem A.1); our construction.
    """
    return eps / (6 * sqrt(2) * sum(sqrt(a * b) for a, b in pairwise(dims)))


def sufficient_draws(dims: Sequence[int], eps: float, delta: float) -> int:
    """Give a number of draws with which one hidden unit per input and sign suffices.

    R = (2 / e) log(N_e / delta). The width is then 2 d_{i-1}: twice the target's, whatever eps and delta.
    Source: IteRand, supplement (theorem A.1); our construction.
    """
    return ceil(2 / edge_tolerance(dims, eps) * log(num_edges(dims) / delta))


def sufficient_units(dims: Sequence[int], eps: float, delta: float, num_draws: int) -> int:
    """Give a number n of hidden units per input and sign that suffices when each weight is drawn R times.

    n >= log(2 sum_i d_{i-1} d_i / delta) / -log(1 - s^2), s = 1 - (1 - e/2)^R: two weights of a unit must be
    right at once, so that n falls like 1 / R^2 while R e is small.
    Source: IteRand, supplement (theorem A.1); our construction.
    """
    if num_draws >= sufficient_draws(dims, eps, delta):
        return 1
    reach = 1 - exp(num_draws * log1p(-edge_tolerance(dims, eps) / 2))
    pairs = 2 * sum(a * b for a, b in pairwise(dims))
    return ceil(log(pairs / delta) / -log1p(-(reach**2)))


def reach_probability(targets: Matrices, tolerance: float, num_draws: int) -> float:
    """Give the exact chance that every weight of the construction, one unit each, comes near its goal.

    A product over the independent weights of 1 - (1 - q)^R, with q as the goal has it.
    Source: IteRand, supplement (theorem A.1); our construction.
    """

    def reached(goal: float) -> float:
        return 1 - exp(num_draws * log1p(-hit_probability(goal, tolerance)))

    inner = sum(2 * target.shape[1] for target in targets)
    outer = prod(reached(goal) ** 2 for target in targets for goal in target.ravel().tolist())
    return float(reached(1.0) ** inner * outer)


def draw_target(dims: Sequence[int], draw: np.random.Generator) -> list[Float[np.ndarray, "_ _"]]:
    """Draw a target network: Gaussian matrices scaled to the largest Frobenius norm that is allowed, 1.

    Source: IteRand, supplement (theorem A.1), for the norm; the distribution is ours.
    """
    matrices = [draw.standard_normal((outputs, inputs)) for inputs, outputs in pairwise(dims)]
    return [matrix / np.linalg.norm(matrix) for matrix in matrices]


@dataclass(frozen=True)
class NetworkTrials:
    """What random networks did: one entry for each."""

    draws_needed: Int[np.ndarray, " trials"]
    """Draws until the slowest weight first came near its goal: all weights are reachable iff it is <= R."""
    errors: Float[np.ndarray, " trials"]
    """Largest output error over the probe inputs, once every weight is near its goal."""


def simulate(targets: Matrices, tolerance: float, trials: int, draw: np.random.Generator) -> NetworkTrials:
    """Build `trials` random networks weight by weight and measure them against the target.

    A weight's first success is geometric, and the successful value uniform on the interval of hits: these two
    are drawn in place of up to R numbers. The error is measured on random inputs of norm 1, so that it is a
    lower estimate of the supremum.
    Departs: the experiment is ours.
    """
    inputs = draw.standard_normal((_NUM_INPUTS, targets[0].shape[1]))
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    wanted, built = inputs, np.broadcast_to(inputs, (trials, *inputs.shape))
    needed = np.zeros(trials, dtype=np.int64)
    for depth, target in enumerate(targets):
        if depth > 0:
            wanted, built = np.maximum(wanted, 0), np.maximum(built, 0)
        wanted = wanted @ target.T
        outputs = np.zeros((trials, _NUM_INPUTS, target.shape[0]))
        for sign in (1, -1):
            read, first = _near(np.full((1, target.shape[1]), float(sign)), tolerance, trials, draw)
            needed = np.maximum(needed, first)
            write, first = _near(sign * target, tolerance, trials, draw)
            needed = np.maximum(needed, first)
            outputs += np.maximum(read * built, 0) @ write.swapaxes(1, 2)
        built = outputs
    return NetworkTrials(needed, np.linalg.norm(built - wanted, axis=2).max(axis=1))


def _near(
    goals: Float[np.ndarray, "rows columns"],
    tolerance: float,
    trials: int,
    draw: np.random.Generator,
) -> tuple[Float[np.ndarray, "trials rows columns"], Int[np.ndarray, " trials"]]:
    """Draw for each goal a value that hits it, and how many draws the slowest of them took."""
    low, high = np.maximum(goals - tolerance, -1), np.minimum(goals + tolerance, 1)
    shape = (trials, *goals.shape)
    first = draw.geometric((high - low) / 2, shape)
    return draw.uniform(low, high, shape), first.reshape(trials, -1).max(axis=1)


def network_rows(settings: TheorySettings) -> list[Row]:
    """Simulate whole networks at fractions of the sufficient number of draws: experiment 4.

    All fractions share the same random networks. `bound` is the union bound on the chance of success,
    `num_units` what suffices at that R. Errors are those of the networks that succeed within R; None where
    none does.
    Departs: the experiment is ours.
    """
    return [row for case in settings.networks for row in _rows_of(case, settings)]


def _rows_of(case: TargetNet, settings: TheorySettings) -> list[Row]:
    name = "-".join(map(str, case.dims))
    tolerance = edge_tolerance(case.dims, case.eps)
    targets = draw_target(case.dims, numpy_stream(settings.seed, "target", name))
    draw = numpy_stream(settings.seed, "network", name, repr(case.eps))
    tried = simulate(targets, tolerance, settings.network_trials, draw)
    sufficient = sufficient_draws(case.dims, case.eps, case.delta)
    rows: list[Row] = []
    for fraction in settings.network_fractions:
        num_draws = ceil(fraction * sufficient)
        exact = reach_probability(targets, tolerance, num_draws)
        reached = tried.draws_needed <= num_draws
        errors = tried.errors[reached]
        rows.append(
            {
                "dims": name,
                "eps": case.eps,
                "delta": case.delta,
                "num_edges": num_edges(case.dims),
                "tolerance": tolerance,
                "sufficient_draws": sufficient,
                "fraction": fraction,
                "num_draws": num_draws,
                "num_units": sufficient_units(case.dims, case.eps, case.delta, num_draws),
                "trials": settings.network_trials,
                "observed": float(reached.mean()),
                "standard_error": sqrt(exact * (1 - exact) / settings.network_trials),
                "exact": exact,
                "bound": max(0.0, 1 - num_edges(case.dims) * exp(num_draws * log1p(-tolerance / 2))),
                "error_mean": float(errors.mean()) if errors.size else None,
                "error_max": float(errors.max()) if errors.size else None,
                "error_bound": error_bound(case.dims, tolerance),
            }
        )
    return rows
