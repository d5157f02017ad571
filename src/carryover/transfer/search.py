"""What gradient matching holds while it goes: pairs of gradients, the newest permutation, how much it has cost."""

from dataclasses import dataclass
from functools import cached_property
from math import nan

import torch

from carryover.core import rng
from carryover.core.block import Tensors, placed
from carryover.permute.matching import Matching, match
from carryover.permute.pairs import Pairs
from carryover.permute.permutation import identity, permute
from carryover.permute.spec import Permutation
from carryover.permute.spill import Spill
from carryover.transfer.compose import carried
from carryover.transfer.problem import TransferProblem
from carryover.transfer.vectors import difference


@dataclass(frozen=True)
class Before:
    """What the segment before has left."""

    permutation: Permutation
    displacement: Tensors
    """What the source moved by in it."""


class Search:
    """The search for the permutation of one segment; algorithms feed it pairs of gradients and let it solve.

    Source: learning transfer, sections 1.3 to 1.5.
    """

    def __init__(self, problem: TransferProblem, before: Before | None = None):
        self.problem = problem
        self.pairs = empty_pairs(problem)
        self.num_gradients = 0
        self._identity = identity(self.pairs.sizes)
        self._permutation = before.permutation if before else self._identity
        self._before = before
        self._start = problem.source.point(0)
        self._sources: dict[int, Tensors] = {}
        self._counted: set[int] = set()
        self.forget()

    @property
    def num_steps(self) -> int:
        """Steps of the segment."""
        return self.problem.source.num_steps

    def forget(self) -> None:
        """Forget all pairs, but for one that asks a permutation to act as that of the segment before did there.

        Source: learning transfer, section 1.3 (regularisation term).
        """
        self.pairs.clear()
        if self._before:
            displacement = self._before.displacement
            self.pairs.append(
                permute(self.problem.spec, self._before.permutation, displacement), displacement
            )

    def gradients(self, t: int) -> tuple[Tensors, Tensors]:
        """Compute the gradients of target and source at t from one reading of the mini-batches; neither is kept."""
        self.num_gradients += 2
        target, source = self._gradients([self._target_point(t), self.problem.source.point(t)], t)
        return target, source

    def target_gradient(self, t: int) -> Tensors:
        """Compute g2^t = grad L(theta2^0 + act(pi, theta1^t - theta1^0); B_t) with the newest permutation."""
        self.num_gradients += 1
        return self._gradients([self._target_point(t)], t)[0]

    def source_gradient(self, t: int) -> Tensors:
        """Give g1^t = grad L(theta1^t; B_t), computed at the first call and kept."""
        self._count_source(t)
        if t not in self._sources:
            gradient = self._gradients([self.problem.source.point(t)], t)[0]
            self._sources[t] = self._spill.keep(gradient) if self._spill else gradient
        return placed(self._sources[t], next(iter(self.problem.target.values())))

    def recall(self, step: int) -> Matching | None:
        """Give what was found for a step before an interruption, counting the gradients that GMT computed for it."""
        if step not in self.problem.known:
            return None
        self.num_gradients += step
        self._count_source(step - 1)
        self._permutation = self.problem.known[step][-1]
        return Matching(self._permutation, nan, [], num_sweeps=0, num_solved=0, converged=True)

    def solve(self, step: int) -> Matching:
        """Find the permutation for the pairs so far; `step` names the random stream."""
        settings = self.problem.matching
        start = self._permutation if settings.start == "warm" else self._identity
        matching = match(self.pairs, start, rng.generator(self.problem.seed, "matching", step), settings)
        self._permutation = matching.permutation
        return matching

    @property
    def cache_bytes(self) -> int:
        """Count the bytes of kept gradients and of cost matrices, in memory or in files.

        Source gradients that the pairs hold too, rather than a copy in a file, count once.
        """
        own = [
            tensor.nbytes
            for gradient in self._sources.values()
            for name, tensor in gradient.items()
            if self.problem.spill or sum(axis is not None for axis in self.problem.spec.axes[name]) < 2
        ]
        return self.pairs.num_bytes + sum(own)

    @cached_property
    def _spill(self) -> Spill | None:
        path = self.problem.spill
        return Spill(path.with_name(f"{path.name}-sources")) if path else None

    def _target_point(self, t: int) -> Tensors:
        problem = self.problem
        if problem.observed is not None:
            return problem.observed.point(t)
        displacement = difference(problem.source.point(t), self._start)
        return carried(problem.spec, self._permutation, problem.target, displacement)

    def _count_source(self, t: int) -> None:
        """Count the gradient of a source point once, also when it is computed again after an interruption."""
        self.num_gradients += t not in self._counted
        self._counted.add(t)

    def _gradients(self, nets: list[Tensors], t: int) -> list[Tensors]:
        return self.problem.network.gradients(nets, self.problem.batches(t))


def empty_pairs(problem: TransferProblem) -> Pairs:
    """Make room for pairs of tensors of a problem's nets, as its settings ask for it."""
    settings = problem.matching
    dtype = torch.float64 if settings.accumulate == "fp64" else torch.float32
    sizes = problem.spec.sizes(problem.target)
    return Pairs(problem.spec, sizes, dtype, problem.spill, normalise=settings.normalise)
