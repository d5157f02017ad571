"""Bookkeeping of a trace: whose units lie along each axis, and which units move together."""

from collections.abc import Mapping

from jaxtyping import Shaped
from scipy.cluster.hierarchy import DisjointSet
from torch import Tensor, nn

from carryover.permute.spec import Axes, Axis, PermutationSpec

FIXED = ""
"""Maker of whatever cannot move: pixels, positions, classes."""


class RefusedError(ValueError):
    """What a net does to its units cannot be followed; the message says why."""


class Units:
    """The units that the layers of a net make, merged where they must move together.

    The group of an `Axis` is here the name of the layer that makes its units; None is an axis that stays.
    """

    def __init__(self, tensors: Mapping[str, Tensor]):
        self._names = {id(tensor): name for name, tensor in tensors.items()}
        self._makers: DisjointSet[str] = DisjointSet([FIXED])
        self._axes: dict[str, Axes] = {}

    def made(self, maker: str) -> Axis:
        """Name the units that a layer makes: the same ones whenever it is used."""
        self._makers.add(maker)
        return Axis(maker)

    def own(self, tensor: Shaped[Tensor, "*shape"]) -> Axes:
        """Let each axis of a parameter or buffer make units; any other tensor is a constant, which stays."""
        name = self._names.get(id(tensor))
        if name is None:
            return (None,) * tensor.ndim
        made = (self.made(f"{name} axis {n}") if size > 1 else None for n, size in enumerate(tensor.shape))
        return self._axes.setdefault(name, tuple(made))

    def fix(self, *axes: Axis | None) -> None:
        """Let the units of these axes stay."""
        for axis in axes:
            if axis is not None:
                self._makers.merge(axis.group, FIXED)

    def merge(self, a: Axis | None, b: Axis | None) -> Axis | None:
        """Let the units of two axes that meet move together.

        Raises RefusedError when units of one have more entries than units of the other.
        """
        if a is None or b is None:
            self.fix(a, b)
            return None
        fixed = any(self._makers.connected(axis.group, FIXED) for axis in (a, b))
        if a.repeat != b.repeat and not fixed:
            raise RefusedError(
                f"{a.repeat} entries for each unit of {a.group!r} meet {b.repeat} for each of {b.group!r}"
            )
        self._makers.merge(a.group, b.group)
        return a

    def tie(self, module: nn.Module, ties: Mapping[str, Axes]) -> None:
        """Note whose units lie along the axes of the tensors of a layer, those that it has.

        Raises RefusedError when one of them is no parameter or buffer of the net.
        """
        for own, axes in ties.items():
            tensor = getattr(module, own, None)
            if tensor is not None:
                name = self._names.get(id(tensor))
                if name is None:
                    raise RefusedError(f"its {own} is computed from other tensors")
                known = self._axes.get(name, axes)
                self._axes[name] = tuple(self.merge(*both) for both in zip(known, axes, strict=True))

    def spec(self) -> PermutationSpec:
        """Give the axes of all tensors seen, each group named after the first layer that makes its units."""
        first: dict[str, str] = {}
        for maker in self._makers:
            first.setdefault(self._makers[maker], maker)

        def named(axis: Axis | None) -> Axis | None:
            group = FIXED if axis is None else first[self._makers[axis.group]]
            return None if axis is None or group == FIXED else Axis(group, axis.repeat)

        return PermutationSpec({name: tuple(map(named, axes)) for name, axes in self._axes.items()})
