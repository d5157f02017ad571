"""Multilayer perceptrons."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from carryover.nets.settings import MlpSettings
from carryover.permute.spec import Axes, Axis, PermutationSpec


def fully_connected(sizes: Sequence[int], *, bias: bool, relu: bool = True) -> "OrderedDict[str, nn.Module]":
    """List the linear layers `fc1`, `fc2`, ... from each size to the next, with ReLU between them if asked.

    No ReLU follows the last one.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (num_inputs, num_outputs) in enumerate(pairwise(sizes), start=1):
        layers[f"fc{number}"] = nn.Linear(num_inputs, num_outputs, bias=bias)
        if relu and number < len(sizes) - 1:
            layers[f"fc{number}_relu"] = nn.ReLU()
    return layers


def fully_connected_axes(num_layers: int, inputs: Axis | None, *, bias: bool) -> dict[str, Axes]:
    """Give the axes of `fully_connected`'s tensors: each layer but the last makes a group of its own name.

    `inputs` is the group of what enters the first layer.
    """
    axes: dict[str, Axes] = {}
    for number in range(1, num_layers + 1):
        outputs = Axis(f"fc{number}") if number < num_layers else None
        axes[f"fc{number}.weight"] = (outputs, inputs)
        if bias:
            axes[f"fc{number}.bias"] = (outputs,)
        inputs = outputs
    return axes


def mlp(
    settings: MlpSettings, image_shape: tuple[int, int, int], num_classes: int, *, affine: bool
) -> nn.Sequential:
    """Make a multilayer perceptron that flattens its input; it has no batch-norm for `affine` to act on.

    Source: IteRand, section 7.2; learning transfer, section 2.1.
    """
    sizes = (math.prod(image_shape), *settings.hidden, num_classes)
    layers = fully_connected(sizes, bias=settings.bias, relu=settings.activation == "relu")
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), **layers))


def mlp_spec(settings: MlpSettings, image_shape: tuple[int, int, int], num_classes: int) -> PermutationSpec:
    """Give the permutation spec of `mlp`: one group for each hidden layer.

    Source: learning transfer, section 1.8.
    """
    return PermutationSpec(fully_connected_axes(len(settings.hidden) + 1, None, bias=settings.bias))
