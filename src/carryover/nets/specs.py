"""From the settings of a net to its permutation spec. Apart from `build`: trainings need no spec."""

from collections.abc import Callable

import torch

from carryover.nets.build import build_net
from carryover.nets.conv import conv_spec
from carryover.nets.mlp import mlp_spec
from carryover.nets.resnet import resnet_spec
from carryover.nets.settings import NetSettings
from carryover.permute.spec import PermutationSpec
from carryover.permute.trace import trace_spec

SPECS: dict[str, Callable[..., PermutationSpec]] = {"mlp": mlp_spec, "conv": conv_spec, "resnet": resnet_spec}
"""Permutation spec of each kind of net, written by hand; called as `(settings, image_shape, num_classes)`."""


def spec_of(settings: NetSettings, image_shape: tuple[int, int, int], num_classes: int) -> PermutationSpec:
    """Give the permutation spec of the net that `build_net` makes with `affine`, traced if none is written.

    Raises ValueError when the net cannot take images of this size, or cannot be traced.
    """
    if settings.kind in SPECS:
        return SPECS[settings.kind](settings, image_shape, num_classes)
    net = build_net(settings, image_shape, num_classes, affine=True)
    return trace_spec(net, torch.zeros(2, *image_shape))
