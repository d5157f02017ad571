"""The nets of few-shot learning that a study may name. Light: the Snakefile reads this without torch."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from carryover.core.config import Settings


class EpisodeMlpSettings(Settings):
    """A multilayer perceptron on flattened images, with batch-norm and ReLU after each hidden layer."""

    kind: Literal["episode-mlp"]
    """Which net this is."""
    hidden: tuple[PositiveInt, ...] = Field(default=(256, 128, 64, 64), min_length=1)
    """Number of units of each hidden layer at width 1, first to last."""
    width: PositiveInt = 1
    """Multiplier of all hidden layers."""


class Conv4Settings(Settings):
    """Four 3x3 convolutions, each with batch-norm, ReLU and a 2x2 max-pool, then the classifier."""

    kind: Literal["conv4"]
    """Which net this is."""
    channels: PositiveInt = 64
    """Channels of every convolution."""


class ResNet12Settings(Settings):
    """Four residual blocks of three convolutions each, leaky ReLU, max-pool after each block."""

    kind: Literal["resnet12"]
    """Which net this is."""
    channels: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (64, 128, 256, 512)
    """Channels of the four blocks."""


class WideResNetSettings(Settings):
    """WRN28-k: a stem and three stages of four pre-activation blocks; 84x84 pixels in the paper, any size here."""

    kind: Literal["wrn28"]
    """Which net this is."""
    width: PositiveInt
    """Widening factor [k]: 16k, 32k and 64k channels."""


class RegressorSettings(Settings):
    """Two hidden layers with ReLU and no batch-norm, from one number to one: the sinusoid's net."""

    kind: Literal["regressor"]
    """Which net this is."""
    hidden: PositiveInt = 40
    """Units of both hidden layers."""


EpisodeNetSettings = Annotated[
    EpisodeMlpSettings | Conv4Settings | ResNet12Settings | WideResNetSettings | RegressorSettings,
    Field(discriminator="kind"),
]
"""Any net of few-shot learning, told apart by its `kind`."""
