"""ResNet18, 34, 50 and 101, with the CIFAR or the ImageNet stem."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from carryover.nets.settings import ResNetSettings
from carryover.permute.spec import Axes, Axis, PermutationSpec

STEM_CHANNELS = 64


@dataclass(frozen=True)
class Layers:
    """Makes the convolutions of a net and what follows each of them."""

    batch_norm: bool
    """Whether batch-norm follows, and the convolutions then have no biases."""
    affine: bool
    """Whether batch-norm has gain and shift."""

    def convolution(self, num_inputs: int, num_outputs: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
        """Make a convolution that keeps the image size at stride 1."""
        padding, bias = kernel_size // 2, not self.batch_norm
        return nn.Conv2d(num_inputs, num_outputs, kernel_size, stride, padding=padding, bias=bias)

    def norm(self, num_channels: int) -> nn.Module:
        """Make the batch-norm that follows a convolution, or what leaves its output as it is."""
        if not self.batch_norm:
            return nn.Identity()
        return nn.BatchNorm2d(num_channels, affine=self.affine, momentum=0.1)

    def shortcut(self, num_inputs: int, num_outputs: int, stride: int) -> nn.Module:
        """Make the identity, or a 1x1 convolution and its norm where stride or channels differ."""
        if stride == 1 and num_inputs == num_outputs:
            return nn.Identity()
        projection = self.convolution(num_inputs, num_outputs, kernel_size=1, stride=stride)
        return nn.Sequential(OrderedDict(conv=projection, norm=self.norm(num_outputs)))


class BasicBlock(nn.Module):
    """Add the shortcut to conv-norm-ReLU-conv-norm, then ReLU; the first convolution has the stride."""

    expansion = 1

    def __init__(self, num_inputs: int, channels: int, stride: int, layers: Layers):
        super().__init__()
        self.conv1 = layers.convolution(num_inputs, channels, kernel_size=3, stride=stride)
        self.norm1 = layers.norm(channels)
        self.conv2 = layers.convolution(channels, channels, kernel_size=3)
        self.norm2 = layers.norm(channels)
        self.shortcut = layers.shortcut(num_inputs, channels, stride)

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels2 h2 w2"]:
        """Apply the block."""
        y = torch.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return torch.relu(y + self.shortcut(x))


class Bottleneck(nn.Module):
    """Like the basic block, with 1x1, 3x3 and 1x1 convolutions; the 3x3 one has the stride."""

    expansion = 4

    def __init__(self, num_inputs: int, channels: int, stride: int, layers: Layers):
        super().__init__()
        num_outputs = self.expansion * channels
        self.conv1 = layers.convolution(num_inputs, channels, kernel_size=1)
        self.norm1 = layers.norm(channels)
        self.conv2 = layers.convolution(channels, channels, kernel_size=3, stride=stride)
        self.norm2 = layers.norm(channels)
        self.conv3 = layers.convolution(channels, num_outputs, kernel_size=1)
        self.norm3 = layers.norm(num_outputs)
        self.shortcut = layers.shortcut(num_inputs, num_outputs, stride)

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


def _stem(kind: str, num_inputs: int, layers: Layers) -> nn.Sequential:
    """Make the first layers; width does not scale them."""
    cifar = kind == "cifar"
    stem: OrderedDict[str, nn.Module] = OrderedDict(
        conv=layers.convolution(num_inputs, STEM_CHANNELS, 3 if cifar else 7, stride=1 if cifar else 2),
        norm=layers.norm(STEM_CHANNELS),
        relu=nn.ReLU(),
    )
    if not cifar:
        stem["pool"] = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
    return nn.Sequential(stem)


class ResNet(nn.Module):
    """A post-activation residual net: bias-free convolutions and batch-norm, or convolutions with biases.

    The mean over all positions before the classifier equals the 4x4 (CIFAR) and the 7x7 (ImageNet) pool.

    Source: IteRand, section 2.2; learning transfer, section 2.3.
    Departs: the net without batch-norm is in neither.
    """

    def __init__(self, settings: ResNetSettings, num_inputs: int, num_classes: int, *, affine: bool):
        super().__init__()
        block, num_blocks = BLOCKS[settings.depth]
        layers = Layers(batch_norm=settings.norm == "batch", affine=affine)
        self.stem = _stem(settings.stem, num_inputs, layers)
        self.stages = nn.Sequential()
        channels = STEM_CHANNELS
        for stage, num_blocks_here in enumerate(num_blocks):
            inner = int(64 * 2**stage * settings.width)
            blocks = nn.Sequential()
            for number in range(num_blocks_here):
                stride = 2 if stage > 0 and number == 0 else 1
                blocks.add_module(f"block{number + 1}", block(channels, inner, stride, layers))
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


def resnet_spec(
    settings: ResNetSettings, image_shape: tuple[int, int, int], num_classes: int
) -> PermutationSpec:
    """Give the permutation spec of `resnet` with affine batch-norm, or without batch-norm.

    A shortcut that is the identity ties the outputs of a block to its inputs. So there is one group for each
    stretch of the residual stream, named after the stem or the stage that begins it, and one for each inner
    convolution of a block, named after it.

    Source: learning transfer, section 1.8.
    """
    block, num_blocks = BLOCKS[settings.depth]
    num_inner = 2 if block is Bottleneck else 1
    axes: dict[str, Axes] = {}

    def convolve(place: str, conv: str, norm: str, inputs: Axis | None, outputs: Axis) -> None:
        axes[f"{place}.{conv}.weight"] = (outputs, inputs, None, None)
        if settings.norm == "none":
            axes[f"{place}.{conv}.bias"] = (outputs,)
        else:
            for own in ("weight", "bias", "running_mean", "running_var"):
                axes[f"{place}.{norm}.{own}"] = (outputs,)
            axes[f"{place}.{norm}.num_batches_tracked"] = ()

    stream = Axis("stem")
    convolve("stem", "conv", "norm", None, stream)
    channels = STEM_CHANNELS
    for stage, num_blocks_here in enumerate(num_blocks):
        num_outputs = int(64 * 2**stage * settings.width) * block.expansion
        for number in range(num_blocks_here):
            place = f"stages.stage{stage + 1}.block{number + 1}"
            projects = number == 0 and (stage > 0 or num_outputs != channels)
            outputs = Axis(f"stages.stage{stage + 1}") if projects else stream
            inputs = stream
            for layer in range(1, num_inner + 1):
                inner = Axis(f"{place}.conv{layer}")
                convolve(place, f"conv{layer}", f"norm{layer}", inputs, inner)
                inputs = inner
            convolve(place, f"conv{num_inner + 1}", f"norm{num_inner + 1}", inputs, outputs)
            if projects:
                convolve(f"{place}.shortcut", "conv", "norm", stream, outputs)
            stream, channels = outputs, num_outputs
    return PermutationSpec({**axes, "head.weight": (None, stream), "head.bias": (None,)})
