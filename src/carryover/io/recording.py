"""Recording a trajectory: points go to the work folder while nets train, and to their place when all is done."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from carryover.core.block import Tensors
from carryover.core.evaluate import Measured
from carryover.io.checkpoint import load_tensors, open_tensors, save_tensors
from carryover.io.files import replacing
from carryover.io.trajectory import BEST, POINT


class TrajectoryWriter:
    """Writes the trajectory of a group of nets while they train (implements `Recorder`).

    `folder` is in a work folder and may hold other groups of the block, which each file then has beside this
    one. `steps` are those of the points; `parameters` and `buffers` are the stacked tensors that training
    changes in place. Nets that diverged are in no further point. The best nets are a part of the training's
    state, and `finish` writes them.
    """

    def __init__(
        self,
        folder: Path,
        seeds: Sequence[int],
        parameters: Tensors,
        buffers: Tensors,
        steps: Sequence[int],
        epoch_steps: int,
    ):
        self._folder, self._seeds, self._tensors = folder, list(seeds), {**parameters, **buffers}
        self._numbers, self._epoch_steps = {step: number for number, step in enumerate(steps)}, epoch_steps
        self._notes = {
            "parameters": json.dumps(list(parameters)),
            "buffers": json.dumps(list(buffers)),
            "points": str(len(steps)),
        }
        self._best = {
            name: torch.zeros_like(tensor, requires_grad=False) for name, tensor in self._tensors.items()
        }
        self._accuracy = torch.full((len(self._seeds),), -1.0, dtype=torch.float64)
        self._best_step = torch.zeros(len(self._seeds), dtype=torch.int64)

    def state(self) -> dict[str, Tensor]:
        """Name the best nets so far, their accuracies and steps."""
        best = {f"best/{name}": tensor for name, tensor in self._best.items()}
        return {**best, "best_accuracy": self._accuracy, "best_step": self._best_step}

    def start(self, step: int, alive: Sequence[bool]) -> None:
        """Make sure that the points which an earlier attempt has passed are there.

        Raises ValueError when one is missing.
        """
        passed = [number for at, number in self._numbers.items() if at <= step and step and any(alive)]
        missing = [path for path in map(self._path, passed) if not path.is_file()]
        if missing:
            raise ValueError(
                f"{missing[0]} is missing, though the training has passed it (step {step}): delete "
                f"{self._folder.parent} and run the same command to train again"
            )

    def keep(self, step: int, measured: Measured, alive: Sequence[bool]) -> None:
        """Write a point if `step` is one, and remember the nets whose validation accuracy is a new best."""
        if step and "val" in measured:
            self._remember(step, measured["val"]["accuracy"], alive)
        if step in self._numbers and any(alive):
            notes = {"step": str(step), "epoch": str(step / self._epoch_steps)}
            self._write(self._path(self._numbers[step]), self._tensors, alive, notes)

    def finish(self, alive: Sequence[bool]) -> None:
        """Write the best nets of those that have not diverged; without validation images there are none."""
        found = [own and bool(step) for own, step in zip(alive, self._best_step.tolist(), strict=True)]
        if any(found):
            path = self._folder / BEST
            others = json.loads(open_tensors(path)[1]["steps"]) if path.exists() else {}
            best = zip(self._seeds, self._best_step.tolist(), found, strict=True)
            steps = {**others, **{str(seed): step for seed, step, is_there in best if is_there}}
            self._write(path, self._best, found, {"steps": json.dumps(steps, sort_keys=True)})

    @torch.no_grad()
    def _remember(self, step: int, accuracies: Sequence[float], alive: Sequence[bool]) -> None:
        for index, accuracy in enumerate(accuracies):
            if alive[index] and accuracy > self._accuracy[index]:
                self._accuracy[index], self._best_step[index] = accuracy, step
                for name, tensor in self._best.items():
                    tensor[index] = self._tensors[name][index]

    def _write(self, path: Path, stacked: Tensors, wanted: Sequence[bool], notes: Mapping[str, str]) -> None:
        """Write a file whole or not at all; nets of other groups stay in it."""
        own = {
            f"{seed}/{name}": tensor[index]
            for name, tensor in stacked.items()
            for index, seed in enumerate(self._seeds)
            if wanted[index]
        }
        there = load_tensors(path)[0] if path.exists() else {}
        others = {n: t for n, t in there.items() if int(n.partition("/")[0]) not in self._seeds}
        save_tensors(path, {**others, **own}, {**self._notes, **notes})

    def _path(self, number: int) -> Path:
        return self._folder / POINT.format(number)


def check_room(folder: Path, num_points: int, num_seeds: int, num_bytes: int) -> None:
    """Make sure that a trajectory of nets of `num_bytes` each fits on the disk of `folder`, beside what is there.

    Raises ValueError when it does not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    there = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    needed = (num_points + 1) * num_seeds * num_bytes - there
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"the trajectory needs {_readable(needed)} ({num_points} points and the best, {num_seeds} nets of "
            f"{_readable(num_bytes)}), and {folder} has {_readable(free)} free: record less (`record: ends`, or "
            "`epochs` with a larger `record_every`), or make room"
        )


def _readable(num_bytes: int) -> str:
    for size, unit in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (1000, "kB")):
        if num_bytes >= size:
            return f"{num_bytes / size:.3g} {unit}"
    return f"{num_bytes} bytes"


def publish(folder: Path, output: Path) -> list[Path]:
    """Give the files of a finished trajectory their place in `output`, which then has no others; list them.

    They are linked, so they take no further room and stay in `folder` too until it is removed: a training that
    is killed here has lost nothing. Where links cannot be, on another disk, they are copied.
    """
    output.mkdir(parents=True, exist_ok=True)
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    for old in output.glob("*.safetensors*"):  # also what is half-written, of one that was killed
        if old.name not in names:
            old.unlink()
    for name in names:
        with replacing(output / name) as temporary:
            temporary.unlink()
            try:
                os.link(folder / name, temporary)
            except OSError:
                shutil.copyfile(folder / name, temporary)
    return [output / name for name in names]
