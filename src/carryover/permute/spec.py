"""Permutation specs: which axes of which tensors move together when the units of a net are renumbered."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Int64
from torch import Tensor

Permutation = dict[str, Int64[Tensor, "_"]]
"""Index vector of each group, on the CPU: along every axis tied to the group, new[i] = old[p[i]]."""


@dataclass(frozen=True)
class Axis:
    """An axis whose entries belong to the units of a group."""

    group: str
    repeat: int = 1
    """Entries of each unit, next to each other: positions of a feature map that was flattened."""


Axes = tuple[Axis | None, ...]
"""One entry for each axis of a tensor; None for an axis that stays as it is."""


@dataclass(frozen=True)
class Tie:
    """One axis of one tensor that a group permutes."""

    tensor: str
    axis: int
    repeat: int


@dataclass(frozen=True)
class PermutationSpec:
    """The group of each axis of each tensor, parameters and buffers alike.

    Every tensor of the net is listed: `()` for one without axes, None for axes that are never permuted, such
    as input channels and classes.

    Source: learning transfer, section 1.1 (S and its inverse G).
    """

    axes: Mapping[str, Axes]

    @cached_property
    def groups(self) -> dict[str, list[Tie]]:
        """List the ties of each group, in the order of the tensors."""
        found: dict[str, list[Tie]] = {}
        for tensor, axes in self.axes.items():
            for number, axis in enumerate(axes):
                if axis is not None:
                    found.setdefault(axis.group, []).append(Tie(tensor, number, axis.repeat))
        return found

    def sizes(self, tensors: Mapping[str, Tensor]) -> dict[str, int]:
        """Count the units of each group that ties one of the tensors."""
        present = {
            group: [tie for tie in ties if tie.tensor in tensors] for group, ties in self.groups.items()
        }
        return {
            group: tensors[ties[0].tensor].shape[ties[0].axis] // ties[0].repeat
            for group, ties in present.items()
            if ties
        }
