"""What the convolutional nets of few-shot learning share: the check of an image size, and their convolutions."""

from torch import nn

from carryover.nets.episode_norm import EpisodeNorm


def image_size(kind: str, input_shape: tuple[int, ...], *, smallest: int = 1) -> tuple[int, int, int]:
    """Give channels, height and width of the images that a net of this kind is built for.

    Raises ValueError when the examples are not images, or have fewer than `smallest` pixels in a direction.
    """
    if len(input_shape) != 3:
        raise ValueError(
            f"{kind} takes images, and an example of this data set has the shape {input_shape}; choose the net "
            "'regressor' for numbers, or a data set of images"
        )
    channels, height, width = input_shape
    if min(height, width) < smallest:
        raise ValueError(
            f"{kind} shrinks its images {smallest} times, so they have at least {smallest}x{smallest} pixels: got "
            f"{height}x{width}. Choose larger images, or a net that takes any size: wrn28 or episode-mlp"
        )
    return channels, height, width


def convolution(num_inputs: int, num_outputs: int, size: int, *, stride: int = 1, bias: bool) -> nn.Conv2d:
    """Make a convolution with an odd kernel that keeps the image size at stride 1."""
    return nn.Conv2d(num_inputs, num_outputs, size, stride, padding=size // 2, bias=bias)


def norm_of(num_channels: int, *, norm: bool) -> nn.Module:
    """Make the batch-norm of a convolutional net (eps 1e-5), or what leaves its input as it is.

    Source: Meta-ticket, section 1.11.
    """
    return EpisodeNorm(num_channels) if norm else nn.Identity()
