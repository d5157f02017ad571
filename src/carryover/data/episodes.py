"""Few-shot episodes: tasks drawn from the classes of a split, or from a range of sinusoids."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from carryover.core.block import Tensors
from carryover.data.tasks import Tasks


@runtime_checkable
class Episodes(Protocol):
    """Where tasks come from. What is drawn is small (positions of images, or numbers) and can be stored."""

    input_shape: tuple[int, ...]
    """Shape of one example."""
    regression: bool
    """Whether targets are numbers."""

    def draw(self, num_tasks: int, ways: int, shots: int, query_shots: int, draw: torch.Generator) -> Tensors:
        """Draw tasks; the first axis of every tensor is that of tasks."""
        ...

    def tasks(self, drawn: Tensors, shots: int) -> Tasks:
        """Make tasks of what was drawn: `shots` support examples of each class, the others are the query."""
        ...


def open_episodes(path: Path, split: str, like: Tensor) -> Episodes:
    """Open a split of a data set file, or the ranges of sinusoids, on the device of `like`."""
    raise NotImplementedError
