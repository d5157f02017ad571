"""The best order of one group's units: a linear sum assignment, with a rule for its ties."""

from dataclasses import dataclass
from math import sqrt

import torch
from jaxtyping import Float64, Int64
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from carryover.permute.pairs import objective_of

TIE = 1e-12
"""What may break a tie, as a share of the largest entry of a cost matrix; more than rounding errors."""
NEAR = 0.4
"""Share of the sum of the rows' highest entries at which a present order counts as near the best one (measured)."""
NUM_EXCHANGES = 3
"""Units that change places one after another in what `prices` looks at."""


@dataclass(frozen=True)
class Assignment:
    """The order of a group's units that the objective is highest for."""

    order: Int64[Tensor, " n"]
    present: float
    """The group's part of the objective at its present order."""
    gain: float
    """How much more it is at the best order."""


def assign(cost: Float64[Tensor, "n n"], present: Int64[Tensor, " n"]) -> Assignment:
    """Solve the linear sum assignment of a cost matrix exactly.

    Source: learning transfer, sections 1.3 and 6.2.
    """
    clear = cost + preferences(cost, present)
    before = objective_of(cost, present)
    if before > NEAR * cost.amax(1).sum().item():
        clear -= prices(clear, present)
    best = torch.from_numpy(linear_sum_assignment(clear.numpy(), maximize=True)[1])
    return Assignment(best, before, objective_of(cost, best) - before)


def preferences(cost: Float64[Tensor, "n n"], present: Int64[Tensor, " n"]) -> Float64[Tensor, "n n"]:
    """Prefer, by a hair, that units stay where they are, and else the order that some fixed numbers choose.

    Units without gradient (of which ReLU makes many) can be exchanged, and which of the best orders a solver
    returns then hangs on its rounding errors. With this it is the same from every solver and in every precision
    that gives the same zeros, and no unit moves for nothing.

    Departs: the published algorithm takes what its solver returns.
    """
    numbers = torch.arange(len(cost), dtype=cost.dtype)
    # products with an irrational number are spread evenly over [0, 1), unlike for any two pairs of units
    preferred = torch.outer(numbers, numbers * (sqrt(5) - 1) / 2).frac_().div_(2)
    preferred[numbers.long(), present] += 1
    return preferred.mul_(TIE * (cost.abs().amax().item() or 1.0))


def prices(cost: Float64[Tensor, "n n"], present: Int64[Tensor, " n"]) -> Float64[Tensor, " n"]:
    """Price each source unit at what exchanges that begin with another target unit's taking it would gain.

    To subtract a number from a whole column changes the sum of all orders alike, so the best stays the best; but
    where the present order is near it, the solver's searches become short.
    """
    gains = cost - cost.gather(1, present[:, None])
    found = cost.new_zeros(len(cost))
    for _ in range(NUM_EXCHANGES):
        found = torch.maximum(found, (gains + found[present][:, None]).amax(0))
    return found
