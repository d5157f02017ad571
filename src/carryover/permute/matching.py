"""Matching: the permutation that brings pairs of gradients together, by coordinate descent over its groups."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Float64
from torch import Generator, Tensor

from carryover.permute.assignment import Assignment, assign
from carryover.permute.colouring import colour_classes, neighbours
from carryover.permute.pairs import Pairs
from carryover.permute.permutation import draw as draw_permutation
from carryover.permute.settings import MatchingSettings
from carryover.permute.spec import Permutation

ROUNDING = 1e-12
"""Gain, relative to what there is, that may be a rounding error in fp64."""


@dataclass(frozen=True)
class Matching:
    """A permutation that no group alone can improve (if converged), and how it was found."""

    permutation: Permutation
    objective: float
    """J of the permutation."""
    history: list[float]
    """J at the start and after each group that was changed, never falling."""
    num_sweeps: int
    """Visits of all colour classes."""
    num_solved: int
    """Linear sum assignments."""
    converged: bool
    """Whether the search ended because no group was left to improve, and not at `max_sweeps`."""


def match(
    pairs: Pairs,
    start: Permutation,
    draw: Generator,
    settings: MatchingSettings,
    num_threads: int | None = None,
) -> Matching:
    """Search for the permutation of highest objective, from `start` and from as many random ones as asked for.

    Each group in turn gets the exact solution of its linear sum assignment, the other groups held, until no
    group gains more than the tolerance. A group is visited again only after one has changed that shares a tensor
    with it. The result is the best in each group, not of all; with one group it is the global optimum.
    Groups of one colour class, which share no tensor, are solved at once on `num_threads` (by default torch's);
    the classes are visited in an order drawn anew for each sweep. The number of threads changes no bit.

    Source: learning transfer, sections 1.3 and 6.2.
    Departs: warm starts, dirty flags and colour classes in place of cold starts and visits of every group.
    """
    assert start.keys() == pairs.sizes.keys(), "start with an order of each group"
    num_threads = num_threads or torch.get_num_threads()
    with ThreadPoolExecutor(num_threads) as pool:
        solve_all = pool.map if num_threads > 1 else map
        found = [_descend(pairs, start, draw, settings, solve_all)]
        for _ in range(settings.restarts):
            found.append(_descend(pairs, draw_permutation(pairs.sizes, draw), draw, settings, solve_all))
    return max(found, key=lambda matching: matching.objective)


def _descend(
    pairs: Pairs,
    start: Permutation,
    draw: Generator,
    settings: MatchingSettings,
    solve_all: Callable[..., Iterable[Assignment]],
) -> Matching:
    """Improve one colour class after the other until no group gains."""
    permutation = dict(start)
    sharing = neighbours(pairs.spec, permutation)
    classes = colour_classes(sharing)
    dirty = set(permutation)
    gains: list[float] = []
    num_sweeps = num_solved = 0
    while dirty and num_sweeps < settings.max_sweeps:
        num_sweeps += 1
        for number in torch.randperm(len(classes), generator=draw).tolist():
            visited = [group for group in classes[number] if group in dirty]
            dirty.difference_update(visited)
            num_solved += len(visited)
            # cost matrices one by one, here: while threads solve the first, the next is computed
            costs = (_host_cost(pairs, group, permutation) for group in visited)
            solutions = solve_all(assign, costs, [permutation[group] for group in visited])
            for group, found in zip(visited, solutions, strict=True):
                if found.gain > max(settings.tolerance, ROUNDING) * abs(found.present):
                    permutation[group] = found.order
                    gains.append(found.gain)
                    dirty |= sharing[group]
    objective = pairs.objective(permutation)
    history = [objective - later for later in accumulate(reversed(gains), initial=0.0)][::-1]
    return Matching(permutation, objective, history, num_sweeps, num_solved, converged=not dirty)


def _host_cost(pairs: Pairs, group: str, permutation: Permutation) -> Float64[Tensor, "n n"]:
    """Compute the cost matrix of a group and bring it to where the solver runs, in fp64."""
    cost = pairs.cost(group, permutation).cpu().double()
    if not cost.isfinite().all():
        raise ValueError(
            f"the cost matrix of group {group!r} is not finite: a gradient has overflowed, so a training that "
            "the trajectory comes from has diverged; lower its learning rate, or end the trajectory earlier"
        )
    return cost
