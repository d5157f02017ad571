"""From what a source holds to a data set: shrink the images, choose the splits, describe the result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from carryover.core.config import canonical
from carryover.data.class_split_settings import FOLDERS, read_class_split
from carryover.data.class_splits import by_folders, divide
from carryover.data.images import Images, Split
from carryover.data.settings import Digits, DownloadSettings, Folder
from carryover.data.split_settings import check_classes
from carryover.data.splits import split_official, split_own


@dataclass(frozen=True)
class Labelled:
    """Images of one part of a source, in the source's own order, and their labels."""

    images: UInt8[Tensor, "n channels height width"]
    labels: Int64[Tensor, " n"]
    index: Int64[Tensor, " n"] | None = None
    """Position of each image in the source's part; None when none is left out."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a source holds, as its reader found it."""

    parts: Mapping[str, Labelled]
    """Either `all`, or the official `train` and `test` and, if there is one, `val`."""
    classes: tuple[str, ...]
    """Name of the class of each label."""
    origin: str
    """Where the images come from, in one sentence."""
    max_value: int = 255
    """Pixel value that stands for 1 on the 0..1 scale."""


def shrink(contents: Contents, size: int | None) -> Contents:
    """Average blocks of pixels down to `size` x `size`; None leaves the images as they are."""
    if size is None:
        return contents
    parts = {
        name: Labelled(average_pool(part.images, size), part.labels) for name, part in contents.parts.items()
    }
    return replace(contents, parts=parts)


def average_pool(
    images: UInt8[Tensor, "n channels height width"], size: int
) -> UInt8[Tensor, "n channels size size"]:
    """Average blocks of pixels to `size` x `size` images, rounded to whole numbers; halves go up.

    Sums are taken in integers, so the mean is exact. The side must be a multiple of `size`.
    """
    num, channels, height, width = images.shape
    assert height == width, f"images are square: got {height}x{width}"
    assert height % size == 0, f"blocks of pixels do not fit: {height} is no multiple of {size}"
    block = height // size
    sums = images.reshape(num, channels, size, block, size, block).sum((3, 5), dtype=torch.int32)
    return ((sums + block * block // 2) // (block * block)).to(torch.uint8)


def keep_classes(contents: Contents, classes: Sequence[int] | None) -> Contents:
    """Keep the images of some classes, in their order; class `classes[i]` becomes i. None keeps all as they are.

    Raises ValueError when a class is not there or named twice.
    """
    if classes is None:
        return contents
    names = chosen_classes(contents.classes, classes)
    new = torch.full((len(contents.classes),), -1)
    new[list(classes)] = torch.arange(len(classes))
    parts = {}
    for name, part in contents.parts.items():
        kept = (new[part.labels] >= 0).nonzero().flatten()
        parts[name] = Labelled(part.images[kept], new[part.labels[kept]], kept)
    return replace(contents, parts=parts, classes=names)


def chosen_classes(names: Sequence[str], classes: Sequence[int] | None) -> tuple[str, ...]:
    """Name the chosen classes, in the order of the choice; None chooses all.

    Raises ValueError when a class is not there or named twice.
    """
    if classes is None:
        return tuple(names)
    check_classes(classes, len(names))
    return tuple(names[number] for number in classes)


def prepare_images(name: str, contents: Contents, settings: Digits | DownloadSettings | Folder) -> Images:
    """Make the data set `name`: choose its classes and splits and keep what describes it.

    Raises ValueError when a class is not there, when the split asks for more images than there are, or for
    validation images where the source brings its own.
    """
    if settings.class_split is None:
        contents = keep_classes(contents, settings.classes)
        splits = _choose(contents.parts, settings)
    else:
        contents, splits = _divide(contents, settings.class_split)
    return Images(
        dataset=name,
        splits=splits,
        classes=contents.classes,
        max_value=contents.max_value,
        mean=settings.mean,
        std=settings.std,
        spec=canonical(settings),
        origin=contents.origin,
    )


def _divide(contents: Contents, class_split: str) -> tuple[Contents, dict[str, Split]]:
    """Divide the images of all parts of a source, one part after the other, by class."""
    parts = [contents.parts[name] for name in ("all", "train", "val", "test") if name in contents.parts]
    if class_split == FOLDERS:
        by = by_folders({name: part.labels for name, part in contents.parts.items()}, contents.classes)
    else:
        by = read_class_split(class_split)
    images = parts[0].images if len(parts) == 1 else torch.cat([part.images for part in parts])
    divided = divide(images, torch.cat([part.labels for part in parts]), contents.classes, by)
    origin = f"{contents.origin} Classes divided by {class_split}: {by.origin}"
    return replace(contents, classes=divided.classes, origin=origin), divided.splits


def _choose(parts: Mapping[str, Labelled], settings: Digits | DownloadSettings | Folder) -> dict[str, Split]:
    if "all" in parts:
        positions = split_own(len(parts["all"].labels), settings.split)
        return {name: _take(parts["all"], chosen) for name, chosen in positions.items()}
    positions = split_official(len(parts["train"].labels), len(parts["test"].labels), settings.split)
    splits = {
        "train": _take(parts["train"], positions["train"]),
        "val": _take(parts["train"], positions["val"]),
        "test": _take(parts["test"], positions["test"]),
    }
    if "val" in parts:
        if settings.split.val:
            raise ValueError(
                f"the source has validation images of its own: split.val must be 0, got {settings.split.val}"
            )
        splits["val"] = _take(parts["val"], torch.arange(len(parts["val"].labels)))
    return splits


def _take(part: Labelled, positions: Tensor) -> Split:
    index = positions if part.index is None else part.index[positions]
    return Split(part.images[positions], part.labels[positions], index)
