"""From the settings of a net to the net, with nothing drawn yet."""

from collections.abc import Callable

import torch
from torch import nn

from carryover.nets.conv import conv
from carryover.nets.mlp import mlp
from carryover.nets.resnet import resnet
from carryover.nets.settings import NetSettings

NETS: dict[str, Callable[..., nn.Module]] = {"mlp": mlp, "conv": conv, "resnet": resnet}
"""Builder of each kind of net; called as `(settings, image_shape, num_classes, affine=...)`."""


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
