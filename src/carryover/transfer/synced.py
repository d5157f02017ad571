"""Synced transfer: source and target train side by side on the same batches while the permutation is matched."""

from collections.abc import Iterator
from dataclasses import dataclass

from carryover.core import rng
from carryover.core.block import Tensors
from carryover.core.loop import Batches, steps
from carryover.permute.matching import Matching
from carryover.permute.permutation import draw, identity
from carryover.permute.spec import Permutation, PermutationSpec
from carryover.train.schedule import learning_rate
from carryover.transfer.compose import carried
from carryover.transfer.descent import Descent
from carryover.transfer.gmt import fgmt, gmt
from carryover.transfer.network import Batch, Network
from carryover.transfer.problem import TransferProblem
from carryover.transfer.search import Search
from carryover.transfer.settings import NetTraining, SyncedRun
from carryover.transfer.vectors import difference


@dataclass(frozen=True)
class SyncedProblem:
    """Two nets at their own starts, and how they train and are matched.

    Source: learning transfer, section 1.12.
    """

    network: Network
    spec: PermutationSpec
    source: Tensors
    """theta1^0."""
    target: Tensors
    """theta2^0."""
    batches: Batches
    """Batches of one net, which both nets see."""
    training: NetTraining
    """Recipe of both, but for the number of epochs, which is that of `run`."""
    run: SyncedRun
    seed: int
    """Seed of the random permutation and of the order in which groups are visited."""


@dataclass(frozen=True)
class SyncedEpoch:
    """The nets after an epoch; batch-norm statistics are still to be rebuilt (`Network.statistics`)."""

    epoch: int
    """Finished epochs, from 1."""
    source: Tensors
    target: Tensors
    composed: Tensors
    """theta2^0 + act(pi, theta1^now - theta1^0)."""
    permutation: Permutation
    matching: Matching | None
    """The newest matching; none for a random permutation."""
    num_matchings: int
    cache_bytes: int
    """Bytes of stored points, cached gradients and cost matrices."""


def synced(problem: SyncedProblem) -> Iterator[SyncedEpoch]:
    """Train both nets on the same batches, match as they go, and yield them after each epoch.

    Before every k-th step, with k = 1 + floor(steps of an epoch / matchings per epoch), the source and the batch at
    hand become the next point of a trajectory, and GMT or FGMT takes one more step along it, `max_matchings` at most.

    Source: learning transfer, section 1.12.
    Raises ValueError when a net diverges.
    """
    network, run = problem.network, problem.run
    training = problem.training.model_copy(update={"epochs": run.epochs})
    source, target = (
        Descent(start, momentum=training.momentum, weight_decay=training.weight_decay)
        for start in (problem.source, problem.target)
    )
    follower = _Follower(problem)
    every = 1 + problem.batches.num_steps // run.matchings_per_epoch
    for step in steps(problem.batches, learning_rate(training, training.lr), run.epochs):
        batch = step.images[0], step.labels[0]
        if step.index % every == 0:
            _check_finite(problem, step.index, source.parameters, target.parameters)
            follower.follow(source.parameters, target.parameters, batch)
        for net in (source, target):
            net.descend(network.gradient(net.parameters, [batch]), step.lr)
        if step.closes_epoch:
            _check_finite(problem, step.index + 1, source.parameters, target.parameters)
            displacement = difference(source.parameters, problem.source)
            yield SyncedEpoch(
                step.epoch + 1,
                source.parameters,
                target.parameters,
                carried(problem.spec, follower.permutation, problem.target, displacement),
                follower.permutation,
                follower.matching,
                follower.num_matchings,
                follower.cache_bytes,
            )


@dataclass(frozen=True)
class _Growing:
    """A trajectory whose points come while it is followed (implements `Trajectory`)."""

    points: dict[int, Tensors]
    num_steps: int

    def point(self, t: int) -> Tensors:
        return self.points[t]


class _Follower:
    """Matches along a trajectory as it grows.

    GMT comes back to every point and batch, so it stores them all; FGMT needs a point once, and the first one. Where
    the target's own gradients are matched they do not depend on the permutation, and both are the same.
    """

    def __init__(self, problem: SyncedProblem):
        run = problem.run
        own_gradients = run.gradients == "true"
        self._sources: dict[int, Tensors] = {0: problem.source}
        self._targets: dict[int, Tensors] = {}
        self._batches: dict[int, Batch] = {}
        self._max_matchings = 0 if run.method == "random" else run.max_matchings
        self._search = Search(
            TransferProblem(
                network=problem.network,
                spec=problem.spec,
                source=_Growing(self._sources, self._max_matchings),
                target=problem.target,
                batches=lambda t: [self._batches[t]],
                matching=run.matching,
                seed=problem.seed,
                observed=_Growing(self._targets, self._max_matchings) if own_gradients else None,
            )
        )
        self._returns = run.method == "gmt" and not own_gradients
        self._found = (gmt if self._returns else fgmt)(self._search)
        sizes = problem.spec.sizes(problem.target)
        random = draw(sizes, rng.generator(problem.seed, "random permutation"))
        self.permutation = random if run.method == "random" else identity(sizes)
        self.matching: Matching | None = None
        self.num_matchings = 0

    @property
    def cache_bytes(self) -> int:
        """Count the bytes of points (but for the starts), gradients and cost matrices."""
        points = [point for kept in (self._sources, self._targets) for t, point in kept.items() if t]
        return self._search.cache_bytes + sum(own.nbytes for point in points for own in point.values())

    def follow(self, source: Tensors, target: Tensors, batch: Batch) -> None:
        """Take both nets and their batch as the next point, and match, unless that was done often enough."""
        t = self.num_matchings
        if t == self._max_matchings:
            return
        self._sources[t], self._targets[t], self._batches[t] = source, target, batch
        self.matching = next(self._found)
        self.permutation = self.matching.permutation
        self.num_matchings += 1
        del self._targets[t]
        if not self._returns:
            del self._batches[t]
            if t:
                del self._sources[t]


def _check_finite(problem: SyncedProblem, done: int, *nets: Tensors) -> None:
    if not all(bool(own.isfinite().all()) for net in nets for own in net.values()):
        raise ValueError(
            f"training {problem.run.training}: nets diverge within {done} steps at lr = {problem.training.lr}; "
            "lower it"
        )
