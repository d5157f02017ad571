"""ResNet12, the residual net of few-shot learning."""

from collections import OrderedDict
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from carryover.nets.episode_image import convolution, image_size, norm_of
from carryover.nets.episode_settings import ResNet12Settings

SLOPE = 0.1
"""Slope of the leaky ReLU below zero."""


class PooledBlock(nn.Module):
    """Add a 1x1 shortcut to three 3x3 convolutions, then leaky ReLU and a 2x2 max-pool.

    A norm follows every convolution, and a leaky ReLU the first two norms. Convolutions have biases only where no
    norm follows.
    """

    def __init__(self, num_inputs: int, channels: int, *, norm: bool):
        super().__init__()
        self.conv1 = convolution(num_inputs, channels, 3, bias=not norm)
        self.norm1 = norm_of(channels, norm=norm)
        self.conv2 = convolution(channels, channels, 3, bias=not norm)
        self.norm2 = norm_of(channels, norm=norm)
        self.conv3 = convolution(channels, channels, 3, bias=not norm)
        self.norm3 = norm_of(channels, norm=norm)
        shortcut = convolution(num_inputs, channels, 1, bias=not norm)
        self.shortcut = nn.Sequential(OrderedDict(conv=shortcut, norm=norm_of(channels, norm=norm)))
        self.relu = nn.LeakyReLU(SLOPE)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels2 h2 w2"]:
        """Apply the block."""
        y = self.relu(self.norm1(self.conv1(x)))
        y = self.relu(self.norm2(self.conv2(y)))
        y = self.norm3(self.conv3(y))
        pooled: Tensor = self.pool(self.relu(y + self.shortcut(x)))
        return pooled


def resnet12(
    settings: ResNet12Settings, input_shape: tuple[int, ...], num_outputs: int, *, norm: bool
) -> nn.Sequential:
    """Stack four residual blocks, the mean over all positions, and the classifier.

    Source: Meta-ticket, section 3.2.
    Departs: without `norm`, which is not in the paper, the convolutions have biases.
    Raises ValueError when the examples are no images, or smaller than 16x16.
    """
    channels, _, _ = image_size("resnet12", input_shape, smallest=16)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (num_inputs, own) in enumerate(pairwise((channels, *settings.channels)), start=1):
        layers[f"block{number}"] = PooledBlock(num_inputs, own, norm=norm)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["classifier"] = nn.Linear(settings.channels[-1], num_outputs)
    return nn.Sequential(layers)
