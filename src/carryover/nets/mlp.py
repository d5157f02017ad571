"""Multilayer perceptrons."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from carryover.nets.settings import MlpSettings


def fully_connected(sizes: Sequence[int], *, bias: bool) -> "OrderedDict[str, nn.Module]":
    """List the linear layers `fc1`, `fc2`, ... from each size to the next, with ReLU between them.

    No ReLU follows the last one.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (num_inputs, num_outputs) in enumerate(pairwise(sizes), start=1):
        layers[f"fc{number}"] = nn.Linear(num_inputs, num_outputs, bias=bias)
        if number < len(sizes) - 1:
            layers[f"fc{number}_relu"] = nn.ReLU()
    return layers


def mlp(
    settings: MlpSettings, image_shape: tuple[int, int, int], num_classes: int, *, affine: bool
) -> nn.Sequential:
    """Make a multilayer perceptron that flattens its input; it has no batch-norm for `affine` to act on.

    Source: IteRand, section 7.2.
    """
    sizes = (math.prod(image_shape), *settings.hidden, num_classes)
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), **fully_connected(sizes, bias=settings.bias)))
