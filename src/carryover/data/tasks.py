"""Tasks: support and query of several episodes, stacked along a first axis."""

from collections.abc import Iterator
from typing import NamedTuple

from jaxtyping import Shaped
from torch import Tensor


class Tasks(NamedTuple):
    """Episodes of equal size. Labels are class indices below the number of ways, or targets of a regression."""

    support_x: Shaped[Tensor, "tasks support *shape"]
    support_y: Shaped[Tensor, "tasks support *target"]
    query_x: Shaped[Tensor, "tasks query *shape"]
    query_y: Shaped[Tensor, "tasks query *target"]


def num_tasks(tasks: Tasks) -> int:
    """Count the episodes."""
    return len(tasks.support_x)


def one_by_one(tasks: Tasks) -> Iterator[Tasks]:
    """Yield each episode without the axis of tasks."""
    for number in range(num_tasks(tasks)):
        yield Tasks(*(part[number] for part in tasks))


def in_chunks(tasks: Tasks, size: int) -> Iterator[Tasks]:
    """Yield the episodes in groups of at most `size`."""
    for first in range(0, num_tasks(tasks), size):
        yield Tasks(*(part[first : first + size] for part in tasks))
