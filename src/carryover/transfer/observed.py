"""A transfer step by step, with what a person asks of each: how well gradients match, what moved, what it cost."""

from collections.abc import Iterator
from dataclasses import dataclass

from carryover.core.block import Tensors
from carryover.permute.matching import Matching
from carryover.permute.permutation import identity, permute
from carryover.permute.spec import Permutation
from carryover.transfer.compose import compose
from carryover.transfer.gmt import fgmt, gmt
from carryover.transfer.methods import METHODS
from carryover.transfer.problem import TransferProblem, Transferred
from carryover.transfer.search import Search
from carryover.transfer.vectors import inner, norm

SEARCHES = {"gmt": gmt, "fgmt": fgmt}
"""The methods that match gradients."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How well a permutation brings gradients together, and how the search for it ended."""

    objective: float
    """Matching objective J of all pairs of gradients so far."""
    unmoved: float
    """What J is with nothing permuted."""
    bound: float
    """What J could be at most: the sum of ||g1|| ||g2|| over the pairs."""
    cosine: float
    """Cosine of the newest pair, the source's gradient permuted."""
    num_sweeps: int
    """Sweeps over the groups."""
    converged: bool
    """Whether the search ended because no group was left to improve."""

    @property
    def matched(self) -> float:
        """Objective as a fraction of its bound: the mean cosine of the pairs, weighted by their norms."""
        return self.objective / self.bound if self.bound else 0.0


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is known of one step of a transfer."""

    step: int
    """t, from 1 to T."""
    num_gradients: int
    """Gradient evaluations so far, of source and target together."""
    cache_bytes: int
    """Bytes of cached gradients and cost matrices."""
    num_moved: int
    """Units that the permutation puts in another place."""
    num_changed: int
    """Units that it puts elsewhere than the permutation of the step before."""
    quality: Quality | None
    """None for methods that match no gradients."""
    score: float | None = None
    """What the step may be chosen by; higher is better."""


class WatchedSearch(Search):
    """A search that remembers how large the gradients are that it matches, and the newest pair."""

    def forget(self) -> None:
        """Forget all pairs."""
        super().forget()
        self._bound = self._unmoved = 0.0
        self._newest: dict[str, Tensors] = {}
        self._waiting: dict[str, Tensors] = {}

    def gradients(self, t: int) -> tuple[Tensors, Tensors]:
        """Compute the gradients of target and source at t."""
        target, source = super().gradients(t)
        return self._saw("target", target), self._saw("source", source)

    def target_gradient(self, t: int) -> Tensors:
        """Compute the gradient of the target at t."""
        return self._saw("target", super().target_gradient(t))

    def source_gradient(self, t: int) -> Tensors:
        """Give the gradient of the source at t."""
        return self._saw("source", super().source_gradient(t))

    def quality(self, matching: Matching) -> Quality:
        """Say how good the result of a search is."""
        target, source = self._newest["target"], self._newest["source"]
        permuted = permute(self.problem.spec, matching.permutation, source)
        return Quality(
            objective=matching.objective,
            unmoved=self._unmoved,
            bound=self._bound,
            cosine=inner(target, permuted) / (norm(target) * norm(source) or 1.0),
            num_sweeps=matching.num_sweeps,
            converged=matching.converged,
        )

    def _saw(self, side: str, gradient: Tensors) -> Tensors:
        """Remember a gradient, and add up what a pair gives when both sides are there."""
        self._waiting[side] = gradient
        if len(self._waiting) == 2:
            self._newest, self._waiting = self._waiting, {}
            target, source = (self._entering(self._newest[side]) for side in ("target", "source"))
            self._bound += norm(target) * norm(source)
            self._unmoved += inner(target, source)
        return gradient

    def _entering(self, gradient: Tensors) -> Tensors:
        """Give a gradient as it enters the objective: as it is, or each tensor by its norm."""
        if not self.problem.matching.normalise:
            return gradient
        return {name: own / (norm({name: own}) or 1.0) for name, own in gradient.items()}


def each_step(method: str, problem: TransferProblem) -> Iterator[tuple[Transferred, Step]]:
    """Run a method and yield what it has found after each step, and what is known of it.

    Searching methods have one permutation for the whole trajectory here.
    """
    before = identity(problem.spec.sizes(problem.target))
    unmoved = before
    for found, quality in _found(method, problem):
        now = found.permutations[-1]
        yield (
            found,
            Step(
                step=found.step,
                num_gradients=found.num_gradients,
                cache_bytes=found.cache_bytes,
                num_moved=_num_different(now, unmoved),
                num_changed=_num_different(now, before),
                quality=quality,
            ),
        )
        before = now


def _found(method: str, problem: TransferProblem) -> Iterator[tuple[Transferred, Quality | None]]:
    if method not in SEARCHES:
        yield from ((found, None) for found in METHODS[method](problem))
        return
    search = WatchedSearch(problem)
    for step, matching in enumerate(SEARCHES[method](search), 1):
        permutations = (matching.permutation,)
        found = Transferred(
            step=step,
            permutations=permutations,
            parameters=compose(problem.target, permutations, problem.source, step, problem.spec),
            num_gradients=search.num_gradients,
            objective=matching.objective,
            cache_bytes=search.cache_bytes,
        )
        yield found, search.quality(matching)


def _num_different(first: Permutation, second: Permutation) -> int:
    return sum(int((first[group] != second[group]).sum()) for group in first)
