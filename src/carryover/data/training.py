"""A data set as a tool needs it: endless mini-batches, and splits to measure on; prepared here or a person's own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from carryover.core import rng
from carryover.core.evaluate import SplitBatches
from carryover.data.batches import MemoryBatches, Normaliser, evaluation_batches
from carryover.data.images import load_images
from carryover.data.recipes import Augmentation
from carryover.io.states import load_state, names_in

EVALUATION_SIZE = 512
"""Images that are evaluated at once."""


@dataclass(frozen=True)
class TrainingData:
    """Training images in mini-batches, and the other splits."""

    minibatches: Callable[[int], Iterator[tuple[Tensor, Tensor]]]
    """Called with a seed: images and labels without end, each epoch in an order of its own."""
    splits: dict[str, SplitBatches]
    """Those of `val` and `test` that have images."""
    image_shape: tuple[int, int, int] | None = None
    """Channels, height and width, where the file says them."""
    num_classes: int | None = None
    """Number of classes, where the file says it."""


def open_data(path: Path, batch_size: int, augmentation: Augmentation, like: Tensor) -> TrainingData:
    """Open a prepared data set, or a safetensors file with `images` and `labels`, on the device of `like`.

    A file of one's own holds images as the net takes them; it may have `val.images`, `val.labels`, `test.images` and
    `test.labels` too. Only a prepared data set is augmented.
    Raises ValueError when the file is neither.
    """
    names = names_in(path)
    if "train.images" in names:
        return _prepared(path, batch_size, augmentation, like)
    if {"images", "labels"} <= set(names):
        return _own(load_state(path), path, batch_size, like)
    raise ValueError(
        f"{path} is no data set: it needs the tensors 'images' and 'labels', or to be one that a study prepared; "
        f"it has {', '.join(names[:6]) or 'none'}"
    )


def _prepared(path: Path, batch_size: int, augmentation: Augmentation, like: Tensor) -> TrainingData:
    images = load_images(path)
    normaliser = Normaliser(float(images.max_value), images.mean, images.std, like)
    own = {name: (s.images.to(like.device), s.labels.to(like.device)) for name, s in images.splits.items()}

    def minibatches(seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        batches = MemoryBatches(
            *own["train"], normaliser, seeds=[seed], batch_size=batch_size, augmentation=augmentation
        )
        for epoch in count():
            for pixels, labels in batches.epoch(epoch):
                yield pixels[0], labels[0]

    splits: dict[str, SplitBatches] = {
        name: evaluation_batches(*own[name], normaliser)
        for name in own
        if name != "train" and len(own[name][1])
    }
    _, channels, height, width = images.train.images.shape
    return TrainingData(minibatches, splits, (channels, height, width), len(images.classes))


def _own(tensors: dict[str, Tensor], path: Path, batch_size: int, like: Tensor) -> TrainingData:
    def pair(prefix: str) -> tuple[Tensor, Tensor]:
        images, labels = tensors[f"{prefix}images"], tensors.get(f"{prefix}labels")
        if not images.is_floating_point():
            raise ValueError(
                f"{path}: '{prefix}images' are what the net takes, normalised numbers: got {images.dtype}"
            )
        if (
            labels is None
            or labels.is_floating_point()
            or labels.shape != images.shape[:1]
            or not len(labels)
        ):
            raise ValueError(
                f"{path}: '{prefix}labels' must have one whole number for each of '{prefix}images'"
            )
        return images.to(like), labels.to(like.device, torch.int64)

    images, labels = pair("")

    def minibatches(seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        for epoch in count():
            order = torch.randperm(len(images), generator=rng.generator(seed, "order", epoch))
            for part in torch.split(order.to(like.device), batch_size):
                yield images[part], labels[part]

    splits: dict[str, SplitBatches] = {}
    for name in ("val", "test"):
        if f"{name}.images" in tensors:
            parts = (torch.split(part, EVALUATION_SIZE) for part in pair(f"{name}."))
            splits[name] = list(zip(*parts, strict=True))
    return TrainingData(minibatches, splits)
