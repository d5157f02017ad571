"""ResNet18, 34, 50 and 101, with the CIFAR or the ImageNet stem."""

from collections import OrderedDict

import torch
from jaxtyping import Float
from torch import Tensor, nn

from carryover.nets.settings import ResNetSettings

STEM_CHANNELS = 64


def _convolution(num_inputs: int, num_outputs: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    """Make a bias-free convolution that keeps the image size at stride 1."""
    return nn.Conv2d(num_inputs, num_outputs, kernel_size, stride, padding=kernel_size // 2, bias=False)


def _norm(num_channels: int, *, affine: bool) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(num_channels, affine=affine, momentum=0.1)


def _shortcut(num_inputs: int, num_outputs: int, stride: int, *, affine: bool) -> nn.Module:
    """Make the identity, or a 1x1 convolution and a batch-norm where stride or channels differ."""
    if stride == 1 and num_inputs == num_outputs:
        return nn.Identity()
    projection = _convolution(num_inputs, num_outputs, kernel_size=1, stride=stride)
    return nn.Sequential(OrderedDict(conv=projection, norm=_norm(num_outputs, affine=affine)))


class BasicBlock(nn.Module):
    """Add the shortcut to conv-norm-ReLU-conv-norm, then ReLU; the first convolution has the stride."""

    expansion = 1

    def __init__(self, num_inputs: int, channels: int, stride: int, *, affine: bool):
        super().__init__()
        self.conv1 = _convolution(num_inputs, channels, kernel_size=3, stride=stride)
        self.norm1 = _norm(channels, affine=affine)
        self.conv2 = _convolution(channels, channels, kernel_size=3)
        self.norm2 = _norm(channels, affine=affine)
        self.shortcut = _shortcut(num_inputs, channels, stride, affine=affine)

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels2 h2 w2"]:
        """Apply the block."""
        y = torch.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return torch.relu(y + self.shortcut(x))


class Bottleneck(nn.Module):
    """Like the basic block, with 1x1, 3x3 and 1x1 convolutions; the 3x3 one has the stride."""

    expansion = 4

    def __init__(self, num_inputs: int, channels: int, stride: int, *, affine: bool):
        super().__init__()
        num_outputs = self.expansion * channels
        self.conv1 = _convolution(num_inputs, channels, kernel_size=1)
        self.norm1 = _norm(channels, affine=affine)
        self.conv2 = _convolution(channels, channels, kernel_size=3, stride=stride)
        self.norm2 = _norm(channels, affine=affine)
        self.conv3 = _convolution(channels, num_outputs, kernel_size=1)
        self.norm3 = _norm(num_outputs, affine=affine)
        self.shortcut = _shortcut(num_inputs, num_outputs, stride, affine=affine)

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels2 h2 w2"]:
        """Apply the block."""
        y = torch.relu(self.norm1(self.conv1(x)))
        y = torch.relu(self.norm2(self.conv2(y)))
        y = self.norm3(self.conv3(y))
        return torch.relu(y + self.shortcut(x))


BLOCKS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}
"""Block and number of blocks in each stage, per depth."""


def _stem(kind: str, num_inputs: int, *, affine: bool) -> nn.Sequential:
    """Make the first layers; width does not scale them."""
    cifar = kind == "cifar"
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=_convolution(num_inputs, STEM_CHANNELS, 3 if cifar else 7, stride=1 if cifar else 2),
        norm=_norm(STEM_CHANNELS, affine=affine),
        relu=nn.ReLU(),
    )
    if not cifar:
        layers["pool"] = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
    return nn.Sequential(layers)


class ResNet(nn.Module):
    """A post-activation residual net with bias-free convolutions, each followed by batch-norm.

    The mean over all positions before the classifier equals the 4x4 (CIFAR) and the 7x7 (ImageNet) pool.

    Source: IteRand, section 2.2.
    """

    def __init__(self, settings: ResNetSettings, num_inputs: int, num_classes: int, *, affine: bool):
        super().__init__()
        block, num_blocks = BLOCKS[settings.depth]
        self.stem = _stem(settings.stem, num_inputs, affine=affine)
        self.stages = nn.Sequential()
        channels = STEM_CHANNELS
        for stage, num_blocks_here in enumerate(num_blocks):
            inner = int(64 * 2**stage * settings.width)
            blocks = nn.Sequential()
            for number in range(num_blocks_here):
                stride = 2 if stage > 0 and number == 0 else 1
                blocks.add_module(f"block{number + 1}", block(channels, inner, stride, affine=affine))
                channels = inner * block.expansion
            self.stages.add_module(f"stage{stage + 1}", blocks)
        self.head = nn.Linear(channels, num_classes)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """Compute the logits of a batch of images."""
        logits: Tensor = self.head(self.stages(self.stem(x)).mean(dim=(2, 3)))
        return logits


def resnet(
    settings: ResNetSettings, image_shape: tuple[int, int, int], num_classes: int, *, affine: bool
) -> ResNet:
    """Make a ResNet for images of any size; batch-norm has gain and shift only when `affine`.

    Source: IteRand, sections 1.7 and 2.2.
    """
    return ResNet(settings, image_shape[0], num_classes, affine=affine)
