"""The nets of few-shot learning: from their settings to a net, with nothing drawn yet."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from carryover.nets.conv4 import conv4
from carryover.nets.episode_mlp import episode_mlp, regressor
from carryover.nets.episode_settings import EpisodeNetSettings
from carryover.nets.resnet12 import resnet12
from carryover.nets.wide_resnet import wide_resnet

EPISODE_NETS: dict[str, Callable[..., nn.Module]] = {
    "episode-mlp": episode_mlp,
    "conv4": conv4,
    "resnet12": resnet12,
    "wrn28": wide_resnet,
    "regressor": regressor,
}
"""Builder of each kind of net; called as `(settings, input_shape, num_outputs, norm=...)`."""


def build_episode_net(
    settings: EpisodeNetSettings, input_shape: tuple[int, ...], num_outputs: int, *, norm: bool = True
) -> nn.Module:
    """Build a net on the CPU whose convolutions and linear layers are all zero, for named streams to draw.

    `input_shape` is (channels, height, width), or (1,) for numbers; without `norm` nothing is normalised.
    Raises ValueError when the net cannot take examples of this shape.
    """
    # torch draws weights in constructors: these are thrown away, and the global stream is put back
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        net = EPISODE_NETS[settings.kind](settings, input_shape, num_outputs, norm=norm)
    for module in net.modules():
        if isinstance(module, nn.Linear | _ConvNd):
            for parameter in module.parameters(recurse=False):
                nn.init.zeros_(parameter)
    return net
