"""The nets that a study may name. Light: the Snakefile reads this without torch."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from carryover.core.config import Settings

# every scaled layer has 64 channels or more at width 1, so this is the width that leaves each at least one
SMALLEST_WIDTH = 1 / 64


class MlpSettings(Settings):
    """A multilayer perceptron on flattened images."""

    kind: Literal["mlp"]
    """Which net this is."""
    hidden: tuple[PositiveInt, ...] = Field(min_length=1)
    """Number of units of each hidden layer, first to last."""
    bias: bool = False
    """Whether the layers have biases; popup and IteRand keep them at zero."""
    activation: Literal["relu", "none"] = "relu"
    """What is between the layers: `none` makes a linear map, as the released code of learning transfer does."""


class ConvSettings(Settings):
    """Conv2, Conv4, Conv6 or Conv8: pairs of 3x3 convolutions, then three fully-connected layers."""

    kind: Literal["conv"]
    """Which net this is."""
    depth: Literal[2, 4, 6, 8]
    """Number of convolutions; each pair ends in a 2x2 max-pool."""
    last_pool: PositiveInt = 2
    """Size and stride of the last max-pool; 4 makes learning transfer's Conv8 of depth 8, 1 pools nothing."""
    width: float = Field(default=1.0, ge=SMALLEST_WIDTH)
    """Multiplier of all channel counts and of the hidden fully-connected layers [rho], at least 1/64."""


class ResNetSettings(Settings):
    """A residual net: basic blocks for depth 18 and 34, bottlenecks for 50 and 101."""

    kind: Literal["resnet"]
    """Which net this is."""
    depth: Literal[18, 34, 50, 101]
    """Number of layers as the literature counts them."""
    width: float = Field(default=1.0, ge=SMALLEST_WIDTH)
    """Multiplier of the channel counts of the four stages [rho], at least 1/64; the stem keeps its 64."""
    stem: Literal["cifar", "imagenet"]
    """First layer: `cifar` is 3x3 with stride 1, `imagenet` is 7x7 with stride 2 and a max-pool."""
    norm: Literal["batch", "none"] = "batch"
    """What follows each convolution: batch-norm, or nothing, and then the convolutions have biases."""


NetSettings = Annotated[MlpSettings | ConvSettings | ResNetSettings, Field(discriminator="kind")]
"""Any net, told apart by its `kind`."""
