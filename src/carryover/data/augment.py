"""Random crops and flips of whole batches on the images' own device.

All draws come from a CPU generator, in an order that depends on the batch size alone: a recipe does the same
on every device and for every number format. The images are padded with pixel value 0: normalise them after.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int64, Num
from torch import Tensor

from carryover.data.recipes import Augmentation

PAD = 4
"""Pixels of zeros on each side before a crop."""
AREA = (0.08, 1.0)
"""Smallest and largest area of a resized crop, as fractions of the area it is cut from."""
ASPECT = (3 / 4, 4 / 3)
"""Smallest and largest ratio of its width to its height."""
NUM_TRIES = 10
"""Crops that are drawn before the largest centred one is taken."""

Images = Num[Tensor, "batch channels height width"]
"""A batch of images: uint8, or floats on a scale where 0 is black."""


def augment(images: Images, recipe: Augmentation, draw: torch.Generator) -> Images:
    """Return a randomly changed copy of a batch, each image in its own way; `none` returns the batch itself.

    In `images` 0 is black (uint8, or floats not yet normalised). Shape, type and device stay.

    Source: IteRand, section 3.1.
    """
    return AUGMENTATIONS[recipe](images, draw)


def _unchanged(images: Images, draw: torch.Generator) -> Images:
    return images


def _crop(images: Images, draw: torch.Generator) -> Images:
    offsets = torch.randint(-PAD, PAD + 1, (len(images), 2), generator=draw)
    return shifted(images, offsets)


def _crop_flip(images: Images, draw: torch.Generator) -> Images:
    return flipped(_crop(images, draw), random_flips(len(images), draw))


def _authors(images: Images, draw: torch.Generator) -> Images:
    height, width = images.shape[-2:]
    boxes = random_boxes(len(images), height + 2 * PAD, width + 2 * PAD, draw)
    return flipped(resized_crops(images, boxes, PAD), random_flips(len(images), draw))


AUGMENTATIONS: dict[Augmentation, Callable[[Tensor, torch.Generator], Tensor]] = {
    "none": _unchanged,
    "crop": _crop,
    "crop-flip": _crop_flip,
    "authors": _authors,
}
"""What each recipe does."""


def random_flips(batch_size: int, draw: torch.Generator) -> Bool[Tensor, " batch"]:
    """Draw which images of a batch to flip, each with chance one half."""
    return torch.rand(batch_size, generator=draw) < 0.5


def random_boxes(
    batch_size: int, height: int, width: int, draw: torch.Generator
) -> Int64[Tensor, "batch box=4"]:
    """Draw crops (top, left, height, width) of images of one size, by the rule of torchvision.

    Area is uniform in `AREA`, aspect log-uniform in `ASPECT`; the first of ten draws that fits is placed
    uniformly, and where none fits the largest centred crop of an allowed aspect is taken.

    Source: IteRand, section 3.1 (random-resized-crop with the library's defaults).
    """
    areas, aspects, tops, lefts = torch.rand(4, batch_size, NUM_TRIES, generator=draw, dtype=torch.float64)
    areas = height * width * (AREA[0] + (AREA[1] - AREA[0]) * areas)
    aspects = torch.exp(math.log(ASPECT[0]) + (math.log(ASPECT[1]) - math.log(ASPECT[0])) * aspects)
    heights, widths = (areas / aspects).sqrt().round(), (areas * aspects).sqrt().round()
    fits = (heights > 0) & (heights <= height) & (widths > 0) & (widths <= width)
    tops, lefts = (tops * (height - heights + 1)).floor(), (lefts * (width - widths + 1)).floor()
    tries = torch.stack((tops, lefts, heights, widths), dim=-1).long()
    first = tries[torch.arange(batch_size), fits.long().argmax(dim=1)]
    return torch.where(fits.any(dim=1, keepdim=True), first, _centred_box(height, width))


def _centred_box(height: int, width: int) -> Int64[Tensor, "box=4"]:
    """Return the largest centred crop whose aspect is allowed."""
    crop_height = min(height, round(width / ASPECT[0]))
    crop_width = min(width, round(height * ASPECT[1]))
    return torch.tensor(
        ((height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width), dtype=torch.int64
    )


def flipped(images: Images, flips: Bool[Tensor, " batch"]) -> Images:
    """Mirror left and right where `flips` says so."""
    return torch.where(flips.to(images.device)[:, None, None, None], images.flip(-1), images)


def shifted(images: Images, offsets: Int64[Tensor, "batch 2"]) -> Images:
    """Move each window by (down, right) pixels, at most `PAD` each way; zeros come in at the border."""
    batch_size, channels, height, width = images.shape
    offsets = offsets.to(images.device) + PAD
    padded = torch.nn.functional.pad(images, (PAD, PAD, PAD, PAD))
    rows = offsets[:, 0, None] + torch.arange(height, device=images.device)
    columns = offsets[:, 1, None] + torch.arange(width, device=images.device)
    batch = torch.arange(batch_size, device=images.device)
    channel = torch.arange(channels, device=images.device)
    return padded[
        batch[:, None, None, None], channel[:, None, None], rows[:, None, :, None], columns[:, None, None, :]
    ]


def resized_crops(images: Images, boxes: Int64[Tensor, "batch box=4"], pad: int) -> Images:
    """Cut a box (top, left, height, width) from each zero-padded image and resize it to the image size.

    Boxes count from the corner of the padding, `pad` pixels on each side. Bilinear, with the filter widened
    where a box shrinks, as torchvision resizes images; uint8 images are rounded to whole values.

    Source: IteRand, section 3.1.
    """
    height, width = images.shape[-2:]
    dtype = torch.promote_types(images.dtype, torch.float32)
    tops, lefts, heights, widths = boxes.to(images.device, dtype).unbind(dim=1)
    down = _resize_weights(tops, heights, height, pad)
    across = _resize_weights(lefts, widths, width, pad)
    # each axis is one small matrix per image, so that a batch is two batched matrix products
    with torch.autocast(images.device.type, enabled=False):
        resized = down[:, None] @ images.to(dtype) @ across[:, None].mT
    return (resized if images.is_floating_point() else resized.round()).to(images.dtype)


def _resize_weights(
    starts: Float[Tensor, " batch"], lengths: Float[Tensor, " batch"], size: int, pad: int
) -> Float[Tensor, "batch size size"]:
    """Give the share of each input pixel (last axis) in each pixel of the resized crop, along one axis.

    A triangle around each output pixel's centre, two input pixels wide or more, cut at the box, normalised.
    The columns of the padding are left out, for it is zero.
    """
    positions = torch.arange(size + 2 * pad, device=starts.device) + 0.5
    scales = (lengths / size)[:, None]
    centres = starts[:, None] + scales * (torch.arange(size, device=starts.device) + 0.5)
    distances = (positions - centres[..., None]).abs() / scales.clamp(min=1)[..., None]
    inside = (positions > starts[:, None]) & (positions < (starts + lengths)[:, None])
    weights = (1 - distances).clamp(min=0) * inside[:, None, :]
    weights = weights / weights.sum(dim=-1, keepdim=True)
    return weights[..., pad : pad + size]
