"""Conv4, the small convolutional net of few-shot learning."""

from collections import OrderedDict

from torch import nn

from carryover.nets.episode_image import convolution, image_size
from carryover.nets.episode_norm import EpisodeNorm
from carryover.nets.episode_settings import Conv4Settings

DEPTH = 4


def conv4(
    settings: Conv4Settings, input_shape: tuple[int, ...], num_outputs: int, *, norm: bool
) -> nn.Sequential:
    """Stack four times 3x3 convolution (with bias), batch-norm, ReLU and 2x2 max-pool; then the classifier.

    A pool drops the last row or column of an odd size, so the classifier of 84x84 images sees 5x5 positions.
    Source: Meta-ticket, section 3.5 (BOIL's net).
    Raises ValueError when the examples are no images, or smaller than 16x16.
    """
    shrinks = 2**DEPTH
    channels, height, width = image_size("conv4", input_shape, smallest=shrinks)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number in range(1, DEPTH + 1):
        layers[f"conv{number}"] = convolution(channels, settings.channels, 3, bias=True)
        if norm:
            layers[f"norm{number}"] = EpisodeNorm(settings.channels)
        layers[f"relu{number}"] = nn.ReLU()
        layers[f"pool{number}"] = nn.MaxPool2d(2)
        channels = settings.channels
    layers["flatten"] = nn.Flatten()
    num_features = settings.channels * (height // shrinks) * (width // shrinks)
    layers["classifier"] = nn.Linear(num_features, num_outputs)
    return nn.Sequential(layers)
