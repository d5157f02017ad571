"""How units pass the layers and functions of ordinary nets."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import Any

from torch import nn

from carryover.permute.spec import Axes, Axis
from carryover.permute.units import RefusedError, Units

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Passage:
    """One tensor on its way through a layer or a function."""

    name: str
    """Of the layer in the net, or of the function."""
    module: Any
    """The layer; None for a function."""
    dim: Any
    """Axes that a function was asked to reduce: a number, several, or None for all."""
    axes: Axes
    """Whose units lie along the axes of the tensor."""
    before: Shape
    after: Shape


def linear(units: Units, to: Passage) -> Axes:
    """Make units along the last axis."""
    made = units.made(to.name)
    units.tie(to.module, {"weight": (made, to.axes[-1]), "bias": (made,)})
    return (*to.axes[:-1], made)


def convolution(units: Units, to: Passage) -> Axes:
    """Make units along the channel axis, or, if depthwise, keep those that come in."""
    batch, channels, *still = _feature_map(units, to, to.module.weight.ndim - 2)
    if to.module.groups == 1:
        made: Axis | None = units.made(to.name)
        units.tie(to.module, {"weight": (made, channels, *still), "bias": (made,)})
    elif to.module.groups == to.module.in_channels:
        multiplier = to.module.out_channels // to.module.in_channels
        made = None if channels is None else Axis(channels.group, channels.repeat * multiplier)
        units.tie(to.module, {"weight": (made, None, *still), "bias": (made,)})
    else:
        raise RefusedError(f"a convolution in {to.module.groups} groups ties channels to their neighbours")
    return (batch, made, *still)


def pool(units: Units, to: Passage) -> Axes:
    """Keep the channels."""
    # the last digit in the name, as in MaxPool2d and max_pool2d, counts the axes that are pooled
    name = type(to.module).__name__ if to.module is not None else to.name
    return _feature_map(units, to, int(name[-2]))


def channel_norm(units: Units, to: Passage) -> Axes:
    """Scale and shift each channel after normalising it alone, or all together."""
    if isinstance(to.module, nn.GroupNorm) and to.module.num_groups not in (1, to.module.num_channels):
        raise RefusedError(
            f"{to.module.num_groups} groups tie channels to their neighbours; 1, or one for each channel, does not"
        )
    each = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (to.axes[1],))
    units.tie(to.module, {**each, "num_batches_tracked": ()})
    return to.axes


def layer_norm(units: Units, to: Passage) -> Axes:
    """Scale and shift each entry of the last axes, after normalising all together."""
    normalised = to.axes[-len(to.module.normalized_shape) :]
    units.tie(to.module, {"weight": normalised, "bias": normalised})
    return to.axes


def prelu(units: Units, to: Passage) -> Axes:
    """Bend each channel by its own slope, or all by one."""
    units.tie(to.module, {"weight": (to.axes[1] if to.module.num_parameters > 1 else None,)})
    return to.axes


def elementwise(units: Units, to: Passage) -> Axes:
    """Treat all entries of an axis alike."""
    return to.axes


def reduction(units: Units, to: Passage) -> Axes:
    """Drop the reduced axes, or make them constant: a sum over units does not depend on their order."""
    every = range(len(to.before))
    dims = every if to.dim is None else (to.dim,) if isinstance(to.dim, int) else to.dim
    gone = {every[dim] for dim in dims}
    if len(to.after) == len(every):
        return tuple(None if n in gone else axis for n, axis in enumerate(to.axes))
    return tuple(axis for n, axis in enumerate(to.axes) if n not in gone)


def reshape(units: Units, to: Passage) -> Axes:
    """Keep the entries of each unit next to one another."""
    axes: list[Axis | None] = [None] * len(to.after)
    for before, after in _runs(to.before, to.after):
        here = [n for n in before if to.axes[n] is not None]
        here = [n for n in here if to.before[n] > 1] or here[:1]
        axis = to.axes[here[0]] if here else None
        if axis is None:
            continue
        num_units = to.before[here[0]] // axis.repeat
        place = next((n for n in after if to.after[n] > 1), after[0])
        outside = prod(to.before[before[0] : here[0]])
        if len(here) > 1 or outside > 1 or to.after[place] % num_units:
            raise RefusedError(f"the entries of a unit of {axis.group!r} do not stay next to one another")
        axes[place] = Axis(axis.group, to.after[place] // num_units)
    return tuple(axes)


def broadcast(units: Units, inputs: Sequence[tuple[Axes, Shape]], after: Shape) -> Axes:
    """Merge the units that meet in a sum or product; an axis of one entry meets any."""
    axes = []
    for n, size in enumerate(after, start=-len(after)):
        met = [own[n] for own, shape in inputs if len(shape) >= -n and shape[n] == size]
        axes.append(reduce(units.merge, met))
    return tuple(axes)


def _feature_map(units: Units, to: Passage, num_positions: int) -> Axes:
    """Fix the positions of a batch of feature maps."""
    if len(to.before) != num_positions + 2:
        raise RefusedError(f"it takes a batch of channels, each with {num_positions} axes of positions")
    units.fix(*to.axes[2:])
    return (*to.axes[:2], *(None,) * num_positions)


def _runs(before: Shape, after: Shape) -> Iterator[tuple[range, range]]:
    """Split two shapes with equally many entries into the shortest runs of axes that have equally many."""
    i = j = 0
    while i < len(before) and j < len(after):
        starts, left, right = (i, j), before[i], after[j]
        i, j = i + 1, j + 1
        while left != right:
            if left < right:
                left, i = left * before[i], i + 1
            else:
                right, j = right * after[j], j + 1
        yield range(starts[0], i), range(starts[1], j)


LAYERS: dict[type[nn.Module], Callable[[Units, Passage], Axes]] = {
    nn.Linear: linear,
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), convolution),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm), channel_norm),
    **dict.fromkeys((nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d), channel_norm),
    **dict.fromkeys((nn.LayerNorm, nn.RMSNorm), layer_norm),
    **dict.fromkeys((nn.AvgPool1d, nn.MaxPool1d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d), pool),
    **dict.fromkeys((nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d), pool),
    **dict.fromkeys((nn.AvgPool3d, nn.MaxPool3d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d), pool),
    **dict.fromkeys((nn.Flatten, nn.Unflatten), reshape),
    **dict.fromkeys((nn.CELU, nn.ELU, nn.GELU, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh), elementwise),
    **dict.fromkeys((nn.LeakyReLU, nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.Sigmoid, nn.SiLU), elementwise),
    **dict.fromkeys((nn.LogSoftmax, nn.Softmax, nn.Softplus, nn.Softsign, nn.Tanh), elementwise),
    **dict.fromkeys((nn.AlphaDropout, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity), elementwise),
    nn.PReLU: prelu,
}
"""Layers by their exact type: a subclass may do anything."""

_ELEMENTWISE = """
    abs clone contiguous dropout dropout1d dropout2d elu exp float gelu hardsigmoid hardswish hardtanh leaky_relu
    log_softmax mish neg relu relu6 relu_ rsqrt selu sigmoid silu softmax softplus softsign sqrt square tanh
"""
_POOLS = """
    avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d adaptive_avg_pool1d adaptive_avg_pool2d
    adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d
"""
FUNCTIONS: dict[str, Callable[[Units, Passage], Axes]] = {
    **dict.fromkeys(_ELEMENTWISE.split(), elementwise),
    **dict.fromkeys(_POOLS.split(), pool),
    **dict.fromkeys(("flatten", "reshape", "squeeze", "unflatten", "unsqueeze", "view"), reshape),
    **dict.fromkeys(("amax", "amin", "mean", "sum"), reduction),
}
"""Functions and methods of one tensor."""

_BROADCAST = """
    add add_ div iadd imul isub itruediv maximum minimum mul mul_ multiply pow sub sub_ truediv
"""
BROADCAST = frozenset(_BROADCAST.split())
"""Functions and methods of tensors that meet entry by entry."""
