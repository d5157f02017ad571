"""Conv2, Conv4, Conv6 and Conv8."""

from collections import OrderedDict

from torch import nn

from carryover.nets.mlp import fully_connected
from carryover.nets.settings import ConvSettings


def conv(
    settings: ConvSettings, image_shape: tuple[int, int, int], num_classes: int, *, affine: bool
) -> nn.Sequential:
    """Make a plain convolutional net for images of `image_shape` (channels, height, width).

    The 3x3 convolutions have 64, 64, 128, 128, ... channels at width 1, ReLU after each and a 2x2 max-pool
    after every second one; two fully-connected layers of 256 and the classifier follow. Width scales all of
    these but the classifier's outputs. There is no batch-norm for `affine` to act on.

    Source: IteRand, section 2.1; Conv8 as in hidden-networks.
    Departs: the fully-connected layers are linear, not 1x1 convolutions on a 1x1 map (the same function).
    Raises ValueError when a pool would leave no pixel.
    """
    num_pools = settings.depth // 2
    channels, height, width = image_shape
    smallest = 2**num_pools
    if min(height, width) < smallest:
        raise ValueError(
            f"conv of depth {settings.depth} halves its images {num_pools} times, so they have at least "
            f"{smallest}x{smallest} pixels: got {height}x{width}. Choose a smaller depth or larger images."
        )
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number in range(1, settings.depth + 1):
        num_outputs = int(64 * 2 ** ((number - 1) // 2) * settings.width)
        layers[f"conv{number}"] = nn.Conv2d(channels, num_outputs, kernel_size=3, padding=1)
        layers[f"conv{number}_relu"] = nn.ReLU()
        if number % 2 == 0:
            layers[f"pool{number // 2}"] = nn.MaxPool2d(2)
        channels = num_outputs
    num_features = channels * (height // smallest) * (width // smallest)
    hidden = int(256 * settings.width)
    classifier = fully_connected((num_features, hidden, hidden, num_classes), bias=True)
    return nn.Sequential(OrderedDict(**layers, flatten=nn.Flatten(), **classifier))
