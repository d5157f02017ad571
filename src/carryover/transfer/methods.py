"""Every way to carry a trajectory over, by name."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from carryover.core import rng
from carryover.permute.matching import Matching
from carryover.permute.spec import Permutation
from carryover.transfer.compose import compose, segment_starts
from carryover.transfer.fixed import Fixed, naive, oracle, random, weights
from carryover.transfer.gmt import fgmt, gmt
from carryover.transfer.problem import TransferProblem, Transferred
from carryover.transfer.search import Before, Search
from carryover.transfer.signs import signs
from carryover.transfer.trajectories import Part
from carryover.transfer.vectors import difference

Method = Callable[[TransferProblem], Iterator[Transferred]]
"""Yields what it has found for t = 1 .. T, each when it is asked for."""


def holding(find: Callable[[TransferProblem], Fixed]) -> Method:
    """Make a method that holds one permutation for all steps."""

    def method(problem: TransferProblem) -> Iterator[Transferred]:
        found = find(problem)
        for t in range(1, problem.source.num_steps + 1):
            permutations = (found.permutation,)
            parameters = compose(problem.target, permutations, problem.source, t, problem.spec)
            yield Transferred(t, permutations, parameters, 0, found.objective, 0)

    return method


def searching(algorithm: Callable[[Search], Iterator[Matching]]) -> Method:
    """Make a method that finds a permutation for each step; in each segment of the trajectory it begins anew.

    A later segment starts from the point that the earlier ones lead to, and is asked by one more pair to act on the
    displacement of the one before as that one's permutation did.

    Source: learning transfer, section 1.3 (regularisation term).
    """

    def method(problem: TransferProblem) -> Iterator[Transferred]:
        starts = segment_starts(problem.source.num_steps, problem.num_segments)
        target, before, spent = problem.target, None, 0
        done: tuple[Permutation, ...] = ()
        for number, (first, last) in enumerate(
            zip(starts, [*starts[1:], problem.source.num_steps], strict=True)
        ):
            segment = _segment(problem, number, first, last)
            search = Search(replace(segment, target=target), before)
            for step, matching in enumerate(algorithm(search), first + 1):
                found = (*done, matching.permutation)
                parameters = compose(problem.target, found, problem.source, step, problem.spec, len(starts))
                yield Transferred(
                    step,
                    found,
                    parameters,
                    spent + search.num_gradients,
                    matching.objective,
                    search.cache_bytes,
                )
            displacement = difference(problem.source.point(last), problem.source.point(first))
            before = Before(found[-1], displacement)
            done, target, spent = found, parameters, spent + search.num_gradients

    return method


def _segment(problem: TransferProblem, number: int, first: int, last: int) -> TransferProblem:
    return replace(
        problem,
        source=Part(problem.source, first, last),
        known={step - first: found for step, found in problem.known.items() if first < step <= last},
        batches=lambda t: problem.batches(first + t),
        observed=Part(problem.observed, first, last) if problem.observed else None,
        seed=rng.stream_key(problem.seed, "segment", number) if number else problem.seed,
    )


METHODS: dict[str, Method] = {
    "naive": holding(naive),
    "random": holding(random),
    "oracle": holding(oracle),
    "weights": holding(weights),
    "signs": signs,
    "gmt": searching(gmt),
    "fgmt": searching(fgmt),
}
"""Every method by its name in a study."""
