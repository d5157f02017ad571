"""ImageNet-size folders: images are decoded while training, in worker processes, and never all held."""

import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import functional as transforms

from carryover.core import rng
from carryover.core.loop import Batch
from carryover.data.augment import random_boxes, random_flips
from carryover.data.batches import Normaliser
from carryover.data.imagenet import ImageIndex, SplitIndex
from carryover.data.settings import Imagenet

EvaluationBatch = tuple[Float[Tensor, "batch channels height width"], Int64[Tensor, " batch"]]


class ImageStream:
    """Training batches of one seed, and evaluation batches, from an index of image files.

    The order of an epoch comes from `(seed, "order", epoch)` and the crop and flip of an image from
    `(seed, "augment", epoch, position)`: the number of workers and the step that a training resumes at change
    no pixel. Workers live for one pass.

    Source: IteRand, section 3.1 (ImageNet).
    """

    def __init__(
        self,
        index: ImageIndex,
        settings: Imagenet,
        normaliser: Normaliser,
        *,
        seed: int,
        batch_size: int,
        num_workers: int,
    ):
        """Batches arrive on the device and in the number format of `normaliser`."""
        self.index, self.normaliser, self.seed = index, normaliser, seed
        self.batch_size, self.num_workers = batch_size, num_workers
        self.decoder = _Decoder(Path(index.root), settings, seed)

    @property
    def num_steps(self) -> int:
        """Steps of one epoch; the last batch may be smaller."""
        return -(-len(self._split("train").paths) // self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from step `start` of it on; what comes before is not decoded."""
        for images, labels in self._load(self._training_samples(epoch, start)):
            yield images[None], labels[None]

    def evaluation(self, split: str, batch_size: int = 512) -> Iterable[EvaluationBatch]:
        """Give a split in its stored order, resized and centre-cropped; every loop over it decodes anew."""
        return _EvaluationBatches(self, split, batch_size)

    def _split(self, name: str) -> SplitIndex:
        if name not in self.index.splits:
            raise ValueError(f"the image index has the splits {', '.join(self.index.splits)}: got {name}")
        return self.index.splits[name]

    def _training_samples(self, epoch: int, start: int) -> "Iterator[list[_Sample]]":
        train = self._split("train")
        order = torch.randperm(len(train.paths), generator=rng.generator(self.seed, "order", epoch))
        for first in range(start * self.batch_size, len(order), self.batch_size):
            chosen = order[first : first + self.batch_size].tolist()
            yield [
                _Sample(train.paths[image], train.labels[image], (epoch, position))
                for position, image in enumerate(chosen, first)
            ]

    def _load(self, batches: "Iterable[list[_Sample]]") -> Iterator[EvaluationBatch]:
        """Decode batches of samples and bring them to the device, in order."""
        device = self.normaliser.mean.device
        loader = DataLoader(
            self.decoder,
            batch_sampler=batches,
            num_workers=self.num_workers,
            pin_memory=device.type == "cuda",
            worker_init_fn=_leave_termination_to_the_parent,
            generator=torch.Generator(),  # the loader seeds its workers; keep it off the global stream
        )
        for images, labels in loader:
            images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            yield self.normaliser.normalise(self.normaliser.unit(images)), labels


class _EvaluationBatches:
    """A split that can be looped over more than once."""

    def __init__(self, stream: ImageStream, split: str, batch_size: int):
        found = stream._split(split)
        self.stream, self.batch_size = stream, batch_size
        self.samples = [_Sample(*pair, None) for pair in zip(found.paths, found.labels, strict=True)]

    def __iter__(self) -> Iterator[EvaluationBatch]:
        starts = range(0, len(self.samples), self.batch_size)
        return self.stream._load(self.samples[start : start + self.batch_size] for start in starts)


class _Sample(NamedTuple):
    """One image to decode; carries its path, so that workers need no copy of the index."""

    path: str
    label: int
    drawn: tuple[int, int] | None
    """Epoch and position that name the stream of a training view; None is the evaluation view."""


class _Decoder(Dataset[tuple[Tensor, int]]):
    """Decodes one image at a time, in whatever process."""

    def __init__(self, root: Path, settings: Imagenet, seed: int):
        self.root, self.settings, self.seed = root, settings, seed

    def __getitem__(self, sample: _Sample) -> tuple[UInt8[Tensor, "3 height width"], int]:
        """Decode, crop and resize.

        Raises ValueError when the file is missing or damaged.
        """
        path = self.root / sample.path
        try:
            with Image.open(path) as file:
                image = file.convert("RGB")
        except (OSError, SyntaxError) as error:
            raise ValueError(
                f"cannot decode the image {path}: {error}. Restore the file, or remove it and delete the "
                "index, which the workflow then makes anew."
            ) from error
        if sample.drawn is None:
            view = _evaluation_view(image, self.settings)
        else:
            draw = rng.generator(self.seed, "augment", *sample.drawn)
            view = _training_view(image, self.settings.size, draw)
        return transforms.pil_to_tensor(view), sample.label


def _training_view(image: Image.Image, size: int, draw: torch.Generator) -> Image.Image:
    """Cut a random box, resize it to `size` x `size`, and flip it half the time."""
    top, left, height, width = random_boxes(1, image.height, image.width, draw)[0].tolist()
    view: Image.Image = transforms.resized_crop(image, top, left, height, width, [size, size], antialias=True)
    if random_flips(1, draw).item():
        view = transforms.horizontal_flip(view)
    return view


def _evaluation_view(image: Image.Image, settings: Imagenet) -> Image.Image:
    """Resize the shorter side to `resize` and cut out the centre."""
    resized = transforms.resize(image, [settings.resize], antialias=True)
    view: Image.Image = transforms.center_crop(resized, [settings.size, settings.size])
    return view


def _leave_termination_to_the_parent(worker: int) -> None:
    """Let a worker outlive the SIGTERM that a cluster sends to all processes of a job; its parent's still ends it.

    The parent needs batches up to the step after which it saves, and torch makes a dead worker its error.
    """
    if sys.platform == "linux":  # elsewhere a signal does not tell its sender
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_exit_when_told_by, args=(os.getppid(),), daemon=True).start()


def _exit_when_told_by(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
