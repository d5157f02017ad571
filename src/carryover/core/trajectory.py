"""A trajectory: parameters along one training, read point by point."""

from typing import Protocol, runtime_checkable

from carryover.core.block import Tensors


@runtime_checkable
class Trajectory(Protocol):
    """Parameters theta^0 .. theta^T of one net along its training, read-only; reading a point loads no other."""

    @property
    def num_steps(self) -> int:
        """Number of increments, T; there is one point more."""
        ...

    def point(self, t: int) -> Tensors:
        """Return theta^t by parameter name, 0 <= t <= T, as tensors of the caller's own."""
        ...
