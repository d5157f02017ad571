"""What is to be transferred where, and what a method has found up to a step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from carryover.core.block import Tensors
from carryover.core.trajectory import Trajectory
from carryover.permute.settings import MatchingSettings
from carryover.permute.spec import Permutation, PermutationSpec
from carryover.transfer.network import BatchesAt, Network


@dataclass(frozen=True)
class TransferProblem:
    """A source's trajectory and a target's start, with everything that any method needs to bring them together.

    Source: learning transfer, section 1.2.
    """

    network: Network
    spec: PermutationSpec
    source: Trajectory
    """theta1^0 .. theta1^T, on the device of the target; read point by point."""
    target: Tensors
    """theta2^0."""
    batches: BatchesAt
    """The mini-batches of each t, for source and target alike [B_t]."""
    matching: MatchingSettings
    seed: int
    """Seed of the random permutation and of the order in which groups are visited."""
    num_segments: int = 1
    """Parts of the trajectory that have a permutation of their own (GMT and FGMT)."""
    trained: Tensors | None = None
    """A later point of the target's own training, which the oracle is fitted to; usually the last, theta2^T."""
    trained_at: int | None = None
    """The point of `source` that belongs with `trained`; none is the last one [T]."""
    observed: Trajectory | None = None
    """The target's own training, whose gradients are then matched in place of those of the composed points."""
    known: Mapping[int, tuple[Permutation, ...]] = field(default_factory=dict)
    """Permutations of the first steps, as `Transferred` has them, found before an interruption (GMT goes on there)."""
    spill: Path | None = None
    """File that cached gradients are kept in, and one beside it named `-sources`, instead of in memory."""


@dataclass(frozen=True)
class Transferred:
    """What a method has found for one step."""

    step: int
    """t, from 1 to T."""
    permutations: tuple[Permutation, ...]
    """That of each segment so far; `compose` builds the point from them (not that of `signs`)."""
    parameters: Tensors
    """theta2^t; batch-norm statistics are still to be rebuilt (`Network.statistics`)."""
    num_gradients: int
    """Gradient evaluations so far, of source and target together."""
    objective: float | None
    """Matching objective of the newest permutation, for methods that search; nan where that was known."""
    cache_bytes: int
    """Bytes of cached gradients and cost matrices."""
