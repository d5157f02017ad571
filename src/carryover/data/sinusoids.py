"""Tasks of sinusoids: the regression benchmark of few-shot learning."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from carryover.core.block import Tensors, placed
from carryover.core.config import canonical, parse
from carryover.data.sinusoid_settings import Range, Sinusoid
from carryover.data.tasks import Tasks
from carryover.io.files import replacing


def save_sinusoid(path: Path, settings: Sinusoid) -> None:
    """Write the ranges as one JSON text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(canonical(settings) + "\n", encoding="utf-8")


def load_sinusoid(path: Path) -> Sinusoid:
    """Read ranges. Raises ValueError when the file is missing or damaged."""
    if not path.is_file():
        raise ValueError(f"{path} is missing: `snakemake {path}` makes it")
    try:
        return parse(Sinusoid, path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} holds no ranges of sinusoids ({error}): delete it, and run the same command to make it again"
        ) from error


class Sinusoids:
    """Tasks y = A sin(x - psi) with A, psi and x uniform in their ranges; nothing is added to y.

    Points of support and query take turns, the first is of the support. The support of a task is the same whatever
    `query_shots` is.
    Source: Meta-ticket, section 4.3. Departs: tasks are drawn as they are needed; the paper draws 300,000 before it
    trains.
    """

    input_shape: tuple[int, ...] = (1,)
    regression = True

    def __init__(self, settings: Sinusoid, split: str, like: Tensor):
        """The split `test` may have ranges of its own; `like` gives the dtype and the device of tasks."""
        own = settings.model_dump(exclude_none=True)
        prefix = "test_" if split == "test" else ""
        self.amplitude, self.phase, self.x = (
            own.get(f"{prefix}{name}", own[name]) for name in ("amplitude", "phase", "x")
        )
        self.like = like

    def draw(self, num_tasks: int, ways: int, shots: int, query_shots: int, draw: torch.Generator) -> Tensors:
        """Draw amplitudes, phases (radians) and points x. Raises ValueError unless `ways` is 1."""
        if ways != 1:
            raise ValueError(f"sinusoids have no classes: ways must be 1, got {ways}")
        amplitude, phase = (_uniform(own, (num_tasks,), draw) for own in (self.amplitude, self.phase))
        points = _uniform(self.x, (shots + query_shots, num_tasks), draw).T  # the support is drawn first
        x = torch.empty(points.shape, dtype=points.dtype)
        support, query = _places(shots, query_shots)
        x[:, support + query] = points
        return {"amplitude": amplitude, "phase": phase, "x": x}

    def tasks(self, drawn: Tensors, shots: int) -> Tasks:
        """Compute the targets; inputs and targets have one number each."""
        own = placed(drawn, self.like)
        x = own["x"]
        y = own["amplitude"][:, None] * torch.sin(x - own["phase"][:, None])
        support, query = _places(shots, x.shape[1] - shots)
        return Tasks(*(values[:, places, None] for places in (support, query) for values in (x, y)))


def _uniform(bounds: Range, shape: tuple[int, ...], draw: torch.Generator) -> Float[Tensor, "*shape"]:
    low, high = bounds
    return low + (high - low) * torch.rand(shape, generator=draw, dtype=torch.float32)


def _places(shots: int, query_shots: int) -> tuple[list[int], list[int]]:
    """Say which points of a task are support and which are query: in turns, until one of them has no more."""
    turns = sorted([(number, 0) for number in range(shots)] + [(number, 1) for number in range(query_shots)])
    support, query = ([place for place, (_, part) in enumerate(turns) if part == wanted] for wanted in (0, 1))
    return support, query
