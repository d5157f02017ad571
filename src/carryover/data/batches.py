"""In-memory batches: uint8 images on the device, orders and augmentation from named streams."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from carryover.core import rng
from carryover.core.loop import Batch
from carryover.data.augment import augment
from carryover.data.recipes import Augmentation


class Normaliser:
    """Turns stored uint8 images into network inputs: (images / max_value - mean) / std, per channel."""

    def __init__(self, max_value: float, mean: Sequence[float], std: Sequence[float], like: Tensor):
        """Make the constants in the dtype and on the device of `like`."""
        self.dtype, self.max_value = like.dtype, max_value
        self.mean = torch.tensor(mean).to(like)[:, None, None]
        self.std = torch.tensor(std).to(like)[:, None, None]

    def unit(self, images: UInt8[Tensor, "*batch height width"]) -> Float[Tensor, "*batch height width"]:
        """Scale to 0..1, where a padded pixel is 0."""
        return images.to(self.dtype) / self.max_value

    def normalise(self, images: Float[Tensor, "*batch height width"]) -> Float[Tensor, "*batch height width"]:
        """Shift and scale each channel."""
        return (images - self.mean) / self.std


class MemoryBatches:
    """Training batches of a block of seeds; each seed has its own order and augmentation.

    The order of a seed's epoch and the augmentation of its step come from streams of that seed alone: the arms
    of a comparison see the same batches, whatever else they draw.
    """

    def __init__(
        self,
        images: UInt8[Tensor, "n channels height width"],
        labels: Int[Tensor, " n"],
        normaliser: Normaliser,
        *,
        seeds: Sequence[int],
        batch_size: int,
        augmentation: Augmentation,
    ):
        self.images, self.labels, self.normaliser = images, labels, normaliser
        self.seeds, self.batch_size, self.augmentation = list(seeds), batch_size, augmentation

    @property
    def num_steps(self) -> int:
        """Steps of one epoch; the last batch may be smaller."""
        return -(-len(self.images) // self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from step `start` of it on."""
        order = torch.stack(
            [torch.randperm(len(self.images), generator=rng.generator(s, "order", epoch)) for s in self.seeds]
        ).to(self.images.device)
        for position in range(start, self.num_steps):
            chosen = order[:, position * self.batch_size : (position + 1) * self.batch_size]
            images = self.normaliser.unit(self.images[chosen])
            if self.augmentation != "none":
                images = self._augment(images, epoch * self.num_steps + position)
            yield self.normaliser.normalise(images), self.labels[chosen]

    def _augment(self, images: Tensor, step: int) -> Tensor:
        draws = [rng.generator(seed, "augment", step) for seed in self.seeds]
        return torch.stack(
            [augment(own, self.augmentation, draw) for own, draw in zip(images, draws, strict=True)]
        )


def evaluation_batches(
    images: UInt8[Tensor, "n channels height width"],
    labels: Int[Tensor, " n"],
    normaliser: Normaliser,
    batch_size: int = 512,
) -> list[tuple[Float[Tensor, "_ channels height width"], Int[Tensor, " _"]]]:
    """Cut a split into normalised batches in its stored order; the last may be smaller."""
    return [
        (normaliser.normalise(normaliser.unit(part)), own)
        for part, own in zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True)
    ]
