"""From the settings of a net to the net, with nothing drawn yet."""

from collections.abc import Callable

import torch
from torch import nn

from carryover.nets.conv import conv, conv_spec
from carryover.nets.mlp import mlp, mlp_spec
from carryover.nets.resnet import resnet, resnet_spec
from carryover.nets.settings import NetSettings
from carryover.permute.spec import PermutationSpec
from carryover.permute.trace import trace_spec

NETS: dict[str, Callable[..., nn.Module]] = {"mlp": mlp, "conv": conv, "resnet": resnet}
"""Builder of each kind of net; called as `(settings, image_shape, num_classes, affine=...)`."""

SPECS: dict[str, Callable[..., PermutationSpec]] = {"mlp": mlp_spec, "conv": conv_spec, "resnet": resnet_spec}
"""Permutation spec of each kind of net, written by hand; called as `(settings, image_shape, num_classes)`."""


def build_net(
    settings: NetSettings, image_shape: tuple[int, int, int], num_classes: int, *, affine: bool
) -> nn.Module:
    """Build a net on the CPU whose convolutions and linear layers are all zero, for named streams to draw.

    `image_shape` is (channels, height, width); `affine` gives batch-norm its gain (one) and shift (zero).
    torch's global generator is left as it was, and what it held has no influence.

    Raises ValueError when the net cannot take images of this size.
    """
    # torch draws weights in constructors: these are thrown away, and the global stream is put back
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        net = NETS[settings.kind](settings, image_shape, num_classes, affine=affine)
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            for parameter in module.parameters(recurse=False):
                nn.init.zeros_(parameter)
    return net


def spec_of(settings: NetSettings, image_shape: tuple[int, int, int], num_classes: int) -> PermutationSpec:
    """Give the permutation spec of the net that `build_net` makes with `affine`, traced if none is written.

    Raises ValueError when the net cannot take images of this size, or cannot be traced.
    """
    if settings.kind in SPECS:
        return SPECS[settings.kind](settings, image_shape, num_classes)
    net = build_net(settings, image_shape, num_classes, affine=True)
    return trace_spec(net, torch.zeros(2, *image_shape))
