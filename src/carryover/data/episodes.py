"""Few-shot episodes: tasks drawn from the classes of a split, or from a range of sinusoids."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from carryover.core.block import Tensors
from carryover.data.batches import Normaliser
from carryover.data.images import SPLITS, Images, load_images
from carryover.data.sinusoids import Sinusoids, load_sinusoid
from carryover.data.tasks import Tasks


@runtime_checkable
class Episodes(Protocol):
    """Where tasks come from. What is drawn is small (positions of images, or numbers) and can be stored."""

    input_shape: tuple[int, ...]
    """Shape of one example."""
    regression: bool
    """Whether targets are numbers."""

    def draw(self, num_tasks: int, ways: int, shots: int, query_shots: int, draw: torch.Generator) -> Tensors:
        """Draw tasks on the CPU; the first axis of every tensor is that of tasks."""
        ...

    def tasks(self, drawn: Tensors, shots: int) -> Tasks:
        """Make tasks of what was drawn: `shots` support examples of each class, the others are the query."""
        ...


def open_episodes(path: Path, split: str, like: Tensor) -> Episodes:
    """Open one split, as `open_splits` does."""
    return open_splits(path, [split], like)[0]


def open_splits(path: Path, splits: Sequence[str], like: Tensor) -> list[Episodes]:
    """Open splits of a data set file, or of the ranges of sinusoids, on the device of `like`.

    Images stay uint8 there; tasks have the dtype of `like`. Sinusoids lie in a JSON file.
    Raises ValueError when the file is missing or damaged, or when two splits of it share a class.
    """
    if path.suffix == ".json":
        return [Sinusoids(load_sinusoid(path), split, like) for split in splits]
    images = load_images(path)
    _check_splits(images)
    return [ImageEpisodes(images, split, like) for split in splits]


class ImageEpisodes:
    """Tasks of the classes that occur in one split of a data set.

    Classes are drawn without replacement and in random order, so the labels 0, 1, ... go to classes at random; the
    images of a class are drawn without replacement too. The support of a task is the same whatever `query_shots` is.
    Source: Meta-ticket, section 4.2. Departs: images are drawn anew for every task, from the generator that is given;
    the paper's loader makes them a function of the classes.
    """

    regression = False

    def __init__(self, images: Images, split: str, like: Tensor):
        own = images.splits[split]
        self.place = f"data set {images.dataset}, split {split}"
        self.images = own.images.to(like.device)
        self.input_shape = tuple(own.images.shape[1:])
        self.normaliser = Normaliser(float(images.max_value), images.mean, images.std, like)
        labels, self._class_of, self._sizes = torch.unique(
            own.labels, return_inverse=True, return_counts=True
        )
        self.classes = tuple(images.classes[label] for label in labels.tolist())
        """Names of the classes of the split."""
        # positions of the images of the first class, then of the second, ...
        self._members = self._class_of.argsort(stable=True)
        self._starts = self._sizes.cumsum(0) - self._sizes

    def draw(self, num_tasks: int, ways: int, shots: int, query_shots: int, draw: torch.Generator) -> Tensors:
        """Draw positions of images in the split, by task, way and shot; those of the support come first.

        Raises ValueError when the split has too few classes, or a class has too few images.
        """
        self._check_size(ways, shots, query_shots)
        classes = _distinct(torch.full((num_tasks,), len(self.classes)), ways, draw)
        chosen = _distinct(self._sizes[classes], shots + query_shots, draw)
        return {"positions": self._members[self._starts[classes][..., None] + chosen]}

    def tasks(self, drawn: Tensors, shots: int) -> Tasks:
        """Gather and normalise the images, way after way; way `n` has the label n."""
        positions = drawn["positions"].to(self.images.device)
        support, query = positions[..., :shots], positions[..., shots:]
        return Tasks(self._gather(support), self._labels(support), self._gather(query), self._labels(query))

    def pool(
        self, drawn: Tensors, shots: int, task: int
    ) -> tuple[Float[Tensor, "n channels height width"], Int64[Tensor, " n"]]:
        """Give every image of a task's classes but its query, normalised, and the labels in the task."""
        positions = drawn["positions"][task].cpu()
        way_of = torch.full((len(self.classes),), -1)
        way_of[self._class_of[positions[:, 0]]] = torch.arange(len(positions))
        labels = way_of[self._class_of]
        labels[positions[:, shots:]] = -1
        kept = (labels >= 0).nonzero().flatten()
        return self._inputs(kept.to(self.images.device)), labels[kept].to(self.images.device)

    def _gather(self, positions: Int64[Tensor, "tasks ways each"]) -> Float[Tensor, "tasks n *shape"]:
        return self._inputs(positions.flatten()).view(len(positions), -1, *self.input_shape)

    def _inputs(self, positions: Int64[Tensor, " n"]) -> Float[Tensor, "n channels height width"]:
        # what the normaliser does, in place: memory is what this takes its time for
        own = self.normaliser
        inputs = self.images.index_select(0, positions).to(own.dtype)
        return inputs.div_(own.max_value).sub_(own.mean).div_(own.std)

    def _labels(self, positions: Int64[Tensor, "tasks ways each"]) -> Int64[Tensor, "tasks n"]:
        num_tasks, ways, each = positions.shape
        labels = torch.arange(ways, device=positions.device).repeat_interleave(each)
        return labels.expand(num_tasks, -1)

    def _check_size(self, ways: int, shots: int, query_shots: int) -> None:
        if ways > len(self.classes):
            raise ValueError(
                f"{self.place}: tasks of {ways} ways need as many classes, and it has {len(self.classes)}: lower ways, "
                "or give the split more classes by a class_split; without classes in val it can be tested on, "
                "but nothing can be trained on it"
            )
        each, fewest = shots + query_shots, int(self._sizes.min())
        if each > fewest:
            name = self.classes[int(self._sizes.argmin())]
            raise ValueError(
                f"{self.place}: {shots} support and {query_shots} query images of each class are wanted, and class "
                f"{name} has {fewest}: lower shots or query_shots, or leave small classes out of the class_split"
            )


def _distinct(
    sizes: Int64[Tensor, "*sets"], count: int, draw: torch.Generator
) -> Int64[Tensor, "*sets count"]:
    """Draw `count` different numbers below each size, in random order.

    The first ones are the same however many follow: the generator is asked for the first of every set, then for the
    second, and so on. Each is the rank among the numbers that are left, in 62 bits, so that none is favoured by more
    than size / 2^62.
    """
    # numpy: a training step draws little, and a call of torch takes three times as long
    bits = torch.randint(2**62, (count, *sizes.shape), generator=draw).numpy()
    taken = np.empty((*sizes.shape, count), dtype=np.int64)
    for number in range(count):
        rank = bits[number] % (sizes.numpy() - number)
        left_below = np.sort(taken[..., :number]) - np.arange(number)  # numbers left below each taken one
        taken[..., number] = rank + (left_below <= rank[..., None]).sum(-1)
    return torch.from_numpy(taken)


def _check_splits(images: Images) -> None:
    """Refuse splits that share classes: their tasks would test what was trained."""
    found = {name: set(images.splits[name].labels.tolist()) for name in SPLITS}
    for one, other in combinations(SPLITS, 2):
        if both := found[one] & found[other]:
            raise ValueError(
                f"data set {images.dataset}: {len(both)} classes, {images.classes[min(both)]} among them, are in the "
                f"splits {one} and {other}: tasks need splits of different classes, so give the data set a class_split"
            )
