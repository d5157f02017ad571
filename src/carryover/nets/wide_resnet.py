"""WRN28-k, the wide residual net of few-shot learning."""

from collections import OrderedDict

import torch
from jaxtyping import Float
from torch import Tensor, nn

from carryover.nets.episode_image import convolution, image_size, norm_of
from carryover.nets.episode_settings import WideResNetSettings

STEM_CHANNELS = 16
STAGES = ((16, 1), (32, 2), (64, 2))
"""Channels at width 1 and stride of each stage."""
BLOCKS = 4
"""Blocks of each stage."""


class PreActivationBlock(nn.Module):
    """Add the shortcut to norm-ReLU-conv-norm-ReLU-conv; the second convolution has the stride.

    The shortcut takes the input of the block as it is: the identity, or a 1x1 convolution where the shape changes.
    All convolutions have biases.
    """

    def __init__(self, num_inputs: int, channels: int, stride: int, *, norm: bool):
        super().__init__()
        self.norm1 = norm_of(num_inputs, norm=norm)
        self.conv1 = convolution(num_inputs, channels, 3, bias=True)
        self.norm2 = norm_of(channels, norm=norm)
        self.conv2 = convolution(channels, channels, 3, stride=stride, bias=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or num_inputs != channels:
            self.shortcut = convolution(num_inputs, channels, 1, stride=stride, bias=True)

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels2 h2 w2"]:
        """Apply the block."""
        y = self.conv1(torch.relu(self.norm1(x)))
        y = self.conv2(torch.relu(self.norm2(y)))
        added: Tensor = y + self.shortcut(x)
        return added


def wide_resnet(
    settings: WideResNetSettings, input_shape: tuple[int, ...], num_outputs: int, *, norm: bool
) -> nn.Sequential:
    """Stack a 3x3 stem, three stages of four blocks, norm, ReLU, the mean over all positions and the classifier.

    Source: Meta-ticket, section 3.3.
    Departs: images of any size; the paper's 21x21 pool is the mean over all positions at 84x84, and fits no other.
    Raises ValueError when the examples are no images.
    """
    channels, _, _ = image_size("wrn28", input_shape)
    layers: OrderedDict[str, nn.Module] = OrderedDict(stem=convolution(channels, STEM_CHANNELS, 3, bias=True))
    channels = STEM_CHANNELS
    for stage, (base, stride) in enumerate(STAGES, start=1):
        blocks: OrderedDict[str, nn.Module] = OrderedDict()
        for number in range(1, BLOCKS + 1):
            own = base * settings.width
            blocks[f"block{number}"] = PreActivationBlock(
                channels, own, stride if number == 1 else 1, norm=norm
            )
            channels = own
        layers[f"stage{stage}"] = nn.Sequential(blocks)
    layers["norm"] = norm_of(channels, norm=norm)
    layers["relu"] = nn.ReLU()
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["classifier"] = nn.Linear(channels, num_outputs)
    return nn.Sequential(layers)
