"""Baselines that hold one permutation for the whole trajectory, and need no gradient."""

from dataclasses import dataclass

from carryover.core import rng
from carryover.core.block import Tensors
from carryover.permute.matching import match
from carryover.permute.permutation import draw, identity
from carryover.permute.spec import Permutation
from carryover.transfer.problem import TransferProblem
from carryover.transfer.search import empty_pairs
from carryover.transfer.vectors import difference


@dataclass(frozen=True)
class Fixed:
    """A permutation for all steps."""

    permutation: Permutation
    objective: float | None = None
    """Matching objective, where it was found by matching."""


def naive(problem: TransferProblem) -> Fixed:
    """Take the identity.

    Source: learning transfer, section 1.7.
    """
    return Fixed(identity(problem.spec.sizes(problem.target)))


def random(problem: TransferProblem) -> Fixed:
    """Draw a permutation uniformly.

    Source: learning transfer, section 1.7.
    """
    draws = rng.generator(problem.seed, "random permutation")
    return Fixed(draw(problem.spec.sizes(problem.target), draws))


def oracle(problem: TransferProblem) -> Fixed:
    """Match the source's displacement to that of the target's own training, which a transfer would save.

    With `trained` at the end this is the whole displacement; with an earlier point and `trained_at` it is that of
    the first segment, as in the published code.

    Source: learning transfer, sections 1.7 and 4 (figure 9).
    Raises ValueError when the target is not trained.
    """
    if problem.trained is None:
        raise ValueError(
            "method oracle is fitted to the trained target: give `trained`, or leave the method out"
        )
    end = problem.source.num_steps if problem.trained_at is None else problem.trained_at
    moved = difference(problem.source.point(end), problem.source.point(0))
    return _matched(problem, difference(problem.trained, problem.target), moved)


def weights(problem: TransferProblem) -> Fixed:
    """Match the source's start itself to the target's: weight matching at initialisation.

    Source: learning transfer, sections 1.7 and 1.13.
    """
    return _matched(problem, problem.target, problem.source.point(0))


def _matched(problem: TransferProblem, target: Tensors, source: Tensors) -> Fixed:
    pairs = empty_pairs(problem)
    pairs.append(target, source)
    draws = rng.generator(problem.seed, "matching", 0)
    found = match(pairs, identity(pairs.sizes), draws, problem.matching)
    return Fixed(found.permutation, found.objective)
