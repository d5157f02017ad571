"""Images divided by class, with rotated images as classes of their own: the data of few-shot learning."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from carryover.core import rng
from carryover.data.class_split_settings import FOLDERS, ClassSplit, check_once
from carryover.data.images import SPLITS, Split

RIGHT_ANGLE = 90


class Divided(NamedTuple):
    """Splits of different classes."""

    splits: dict[str, Split]
    """Train, val and test; the images of a split are in the order of its classes, then in that of the source."""
    classes: tuple[str, ...]
    """Name of the class of each label: those of train, then of val, then of test, each in the order of the list."""


def divide(
    images: UInt8[Tensor, "n channels height width"],
    labels: Int64[Tensor, " n"],
    names: Sequence[str],
    by: ClassSplit,
) -> Divided:
    """Divide all images of a source by their classes; images of classes that the list does not name are left out.

    `names` are those of the labels. An image that is turned, counter-clockwise, is another one, of another class.
    `index` of a split says which of the images each is, also when it is turned.
    Raises ValueError when the list names a class that is not there or names one twice, or when images that are not
    square should be turned by 90 or 270 degrees.
    Source: Meta-ticket, section 4.1 (rotations by 90, 180 and 270 degrees as new classes).
    """
    members = _members(labels, len(names))
    found = {part: _find(by, part, names) for part in SPLITS}
    check_once([(part, names[number]) for part, own in found.items() for number, _ in own])
    splits: dict[str, Split] = {}
    classes: list[str] = []
    for part, own in found.items():
        named = [(number, degrees) for number, rotations in own for degrees in rotations]
        index = torch.cat([labels[:0], *(members[number] for number, _ in named)])
        numbers = [torch.full_like(members[number], len(classes) + k) for k, (number, _) in enumerate(named)]
        turned = images.new_empty((len(index), *images.shape[1:]))
        start = 0
        # into place: large sets fit into memory twice, not three times
        for number, degrees in named:
            stop = start + len(members[number])
            turned[start:stop] = _turn(images[members[number]], degrees)
            start = stop
        splits[part] = Split(turned, torch.cat([labels[:0], *numbers]), index)
        classes += [f"{names[number]}@{degrees}" if degrees else names[number] for number, degrees in named]
    return Divided(splits, tuple(classes))


def by_folders(labels: dict[str, Int64[Tensor, " n"]], names: Sequence[str]) -> ClassSplit:
    """Make a list of the classes that the parts of a source have.

    Raises ValueError when the source has no train and test, or a class is in two of its parts.
    """
    if not {"train", "test"} <= labels.keys():
        raise ValueError(
            f"class_split {FOLDERS} needs folders train and test (and val) with different classes, this source has "
            "none: name a list of classes"
        )
    own = {part: [names[n] for n in sorted(set(labels[part].tolist()))] for part in SPLITS if part in labels}
    check_once([(part, name) for part, found in own.items() for name in found])
    origin = "The folders train, val and test of the source, which hold different classes."
    return ClassSplit.model_validate({"origin": origin, "val": [], **own})


def draw_classes(names: Sequence[str], val: int, test: int, seed: int) -> dict[str, list[str]]:
    """Draw which classes validate and test; the others train. Each part is sorted.

    The permutation of the sorted names has a stream of its own, so that a list can be made again.
    Raises ValueError when fewer than one class would train.
    """
    if val + test >= len(names):
        raise ValueError(f"{val} classes to validate and {test} to test leave none of {len(names)} to train")
    ordered = sorted(names)
    order = torch.randperm(len(ordered), generator=rng.generator(seed, "class split")).tolist()
    parts = {"train": order[val + test :], "val": order[:val], "test": order[val : val + test]}
    return {part: sorted(ordered[position] for position in own) for part, own in parts.items()}


def _members(labels: Tensor, num_classes: int) -> Sequence[Tensor]:
    """Positions of the images of each class, ascending."""
    sizes = labels.bincount(minlength=num_classes)
    return torch.tensor_split(labels.argsort(stable=True), sizes.cumsum(0)[:-1])


def _find(by: ClassSplit, part: str, names: Sequence[str]) -> list[tuple[int, tuple[int, ...]]]:
    """Find the classes of a part: the number of each in the source, and its rotations."""
    numbers = {name: number for number, name in enumerate(names)}
    found: list[tuple[int, tuple[int, ...]]] = []
    for entry in by.entries(part):
        if "*" in entry.name:
            pattern = re.compile(".*".join(map(re.escape, entry.name.split("*"))))
            fitting = [name for name in names if pattern.fullmatch(name)]
        else:
            fitting = [entry.name] if entry.name in numbers else []
        if not fitting:
            near = get_close_matches(entry.name, names, 1, cutoff=0) or ["none"]
            raise ValueError(
                f"class_split: {part} names {entry.name!r}, which is none of the {len(names)} classes of the source; "
                f"the nearest is {near[0]!r}"
            )
        found += [(numbers[name], entry.rotations) for name in fitting]
    return found


def _turn(images: Tensor, degrees: int) -> Tensor:
    height, width = images.shape[2:]
    if degrees % 180 and height != width:
        raise ValueError(
            f"class_split: images of {width}x{height} pixels are not square and cannot be turned by {degrees} degrees: "
            "leave out the rotations by 90 and 270, or make the images square"
        )
    return torch.rot90(images, degrees // RIGHT_ANGLE, (2, 3))
