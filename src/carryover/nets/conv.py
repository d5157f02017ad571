"""Conv2, Conv4, Conv6 and Conv8."""

from collections import OrderedDict

from torch import nn

from carryover.nets.mlp import fully_connected, fully_connected_axes
from carryover.nets.settings import ConvSettings
from carryover.permute.spec import Axes, Axis, PermutationSpec


def conv(
    settings: ConvSettings, image_shape: tuple[int, int, int], num_classes: int, *, affine: bool
) -> nn.Sequential:
    """Make a plain convolutional net for images of `image_shape` (channels, height, width).

    The 3x3 convolutions have 64, 64, 128, 128, ... channels at width 1, ReLU after each and a 2x2 max-pool
    after every second one, the last of them `last_pool` wide; two fully-connected layers of 256 and the
    classifier follow. Width scales all of these but the classifier's outputs. There is no batch-norm for
    `affine` to act on.

    Source: IteRand, section 2.1; Conv8 as in hidden-networks; learning transfer, section 2.2.
    Departs: the fully-connected layers are linear, not 1x1 convolutions on a 1x1 map (the same function).
    Raises ValueError when a pool would leave no pixel.
    """
    channels = image_shape[0]
    num_positions = _num_positions(settings, image_shape)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number in range(1, settings.depth + 1):
        num_outputs = int(64 * 2 ** ((number - 1) // 2) * settings.width)
        layers[f"conv{number}"] = nn.Conv2d(channels, num_outputs, kernel_size=3, padding=1)
        layers[f"conv{number}_relu"] = nn.ReLU()
        if number % 2 == 0:
            size = 2 if number < settings.depth else settings.last_pool
            layers[f"pool{number // 2}"] = nn.MaxPool2d(size)
        channels = num_outputs
    hidden = int(256 * settings.width)
    classifier = fully_connected((channels * num_positions, hidden, hidden, num_classes), bias=True)
    return nn.Sequential(OrderedDict(**layers, flatten=nn.Flatten(), **classifier))


def conv_spec(settings: ConvSettings, image_shape: tuple[int, int, int], num_classes: int) -> PermutationSpec:
    """Give the permutation spec of `conv`: one group for each layer but the classifier.

    The channels of the last convolution reach the first fully-connected layer as blocks, one entry for each
    position of the last feature map.

    Source: learning transfer, section 1.8.
    Departs: any last pool; the paper's spec needs one that leaves a single position.
    """
    axes: dict[str, Axes] = {}
    inputs: Axis | None = None
    for number in range(1, settings.depth + 1):
        outputs = Axis(f"conv{number}")
        axes[f"conv{number}.weight"] = (outputs, inputs, None, None)
        axes[f"conv{number}.bias"] = (outputs,)
        inputs = outputs
    flattened = Axis(f"conv{settings.depth}", _num_positions(settings, image_shape))
    return PermutationSpec({**axes, **fully_connected_axes(3, flattened, bias=True)})


def _num_positions(settings: ConvSettings, image_shape: tuple[int, int, int]) -> int:
    """Count the positions of the feature map after the last pool."""
    _, height, width = image_shape
    smallest: int = 2 ** (settings.depth // 2 - 1) * settings.last_pool
    if min(height, width) < smallest:
        raise ValueError(
            f"conv of depth {settings.depth} with a last pool of {settings.last_pool} shrinks its images "
            f"{smallest} times, so they have at least {smallest}x{smallest} pixels: got {height}x{width}. "
            "Choose a smaller depth or last_pool, or larger images."
        )
    return (height // smallest) * (width // smallest)
