"""The best order of one group's units: a linear sum assignment, with a rule for its ties."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from carryover.permute.pairs import objective_of

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
    before = objective_of(cost, present)
    near = before > NEAR * cost.amax(1).sum().item()
    priced = cost - prices(cost, present) if near else cost
    best = torch.from_numpy(linear_sum_assignment(priced.numpy(), maximize=True)[1])
    return Assignment(settled(best, present, cost), before, objective_of(cost, best) - before)


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


def settled(
    order: Int64[Tensor, " n"], present: Int64[Tensor, " n"], cost: Float64[Tensor, "n n"]
) -> Int64[Tensor, " n"]:
    """Break the ties of units without gradient: each that can stay stays, the others take the lowest free place.

    A target unit without gradient has a row of zeros and may get any source unit; a source unit without gradient
    has a column of zeros and may go to any target unit that gets one of its kind. Which of them a solver returns
    hangs on rounding errors; this makes it the same for all, and moves as few as it can.

    Departs: the published algorithm takes what its solver returns.
    """
    idle_rows, idle_columns = ~cost.any(1), ~cost.any(0)
    tied = idle_rows | idle_columns[order]
    free, order = order[tied].sort().values, order.clone()
    # first those that need an idle source unit, then those that take any
    for rows, fitting in (
        (tied & ~idle_rows, idle_columns),
        (tied & idle_rows, torch.ones_like(idle_columns)),
    ):
        staying = rows & fitting[present] & torch.isin(present, free)
        moving = rows & ~staying
        free = free[~torch.isin(free, present[staying])]
        lowest = free[fitting[free]][: int(moving.sum())]
        free = free[~torch.isin(free, lowest)]
        order[staying], order[moving] = present[staying], lowest
    return order
