"""Trajectories made of others or of two nets; points are computed when they are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from carryover.core.block import Tensors
from carryover.core.trajectory import Trajectory
from carryover.transfer.vectors import interpolated


@dataclass(frozen=True)
class Linear:
    """The straight line between two nets (implements `Trajectory`), with its points where a grid says.

    Source: learning transfer, section 1.6.
    """

    start: Tensors
    end: Tensors
    grid: Sequence[float]
    """Where each point lies: 0 at the start, 1 at the end; `GRIDS` makes it."""

    @property
    def num_steps(self) -> int:
        """Number of increments, T."""
        return len(self.grid) - 1

    def point(self, t: int) -> Tensors:
        """Compute theta^t = (1 - lambda_t) theta^start + lambda_t theta^end."""
        return interpolated(self.start, self.end, self.grid[t])


@dataclass(frozen=True)
class Picked:
    """Each `every`-th point of a trajectory (implements `Trajectory`); its first and last point are always there."""

    trajectory: Trajectory
    every: int

    @cached_property
    def picked(self) -> list[int]:
        """List which points of the trajectory are taken."""
        last = self.trajectory.num_steps
        return sorted({*range(0, last, self.every), last})

    @property
    def num_steps(self) -> int:
        """Number of increments, T."""
        return len(self.picked) - 1

    def point(self, t: int) -> Tensors:
        """Read theta^t."""
        return self.trajectory.point(self.picked[t])


@dataclass(frozen=True)
class Through:
    """A polygon through the points of a trajectory (implements `Trajectory`), with a grid in each gap.

    Source: learning transfer, section 1.6 (general segment list).
    """

    trajectory: Trajectory
    grid: Sequence[float]
    """Where in each gap the points lie, both of its ends included."""

    @property
    def num_steps(self) -> int:
        """Number of increments, T."""
        return self.trajectory.num_steps * (len(self.grid) - 1)

    def point(self, t: int) -> Tensors:
        """Read theta^t, or compute it from the two points around it."""
        gap, position = divmod(t, len(self.grid) - 1)
        before = self.trajectory.point(gap)
        if position == 0:
            return before
        return interpolated(before, self.trajectory.point(gap + 1), self.grid[position])


@dataclass(frozen=True)
class Part:
    """The points `first` to `last` of a trajectory (implements `Trajectory`)."""

    trajectory: Trajectory
    first: int
    last: int

    @property
    def num_steps(self) -> int:
        """Number of increments, T."""
        return self.last - self.first

    def point(self, t: int) -> Tensors:
        """Read theta^t."""
        assert 0 <= t <= self.num_steps, f"points are 0 to {self.num_steps}: got {t}"
        return self.trajectory.point(self.first + t)
