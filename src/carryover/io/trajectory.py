"""Recorded trajectories: one file for each point, with all nets of a block; read one net at one point at a time.

A file has the tensors `<seed>/<name>`; its notes list the names of parameters and buffers, and tell step and epoch.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from carryover.core.block import Tensors
from carryover.io.checkpoint import LazyTensors, open_tensors
from carryover.io.manifest import read_manifest

POINT = "point-{:05d}.safetensors"
BEST = "best.safetensors"
"""The nets of the best validation accuracy after an epoch; of equal ones the first."""


@dataclass(frozen=True)
class RecordedTrajectory:
    """The trajectory of one net in a folder of points (implements `Trajectory`); `open_trajectory` makes it."""

    folder: Path
    seed: int
    steps: tuple[int, ...]
    """Optimizer step of each point."""
    epochs: tuple[float, ...]
    """The same in epochs."""

    @property
    def num_steps(self) -> int:
        """Number of increments, T."""
        return len(self.steps) - 1

    def point(self, t: int) -> Tensors:
        """Read the parameters of point t, 0 <= t <= T."""
        return self._read(self._path(t), "parameters")

    def buffers(self, t: int) -> Tensors:
        """Read the buffers of point t, such as batch-norm statistics."""
        return self._read(self._path(t), "buffers")

    def best(self) -> Tensors:
        """Read the parameters that had the best validation accuracy after an epoch.

        Raises ValueError when the training had no validation images.
        """
        return self._read(self._best_path(), "parameters")

    def best_step(self) -> int:
        """Read the optimizer step of `best`."""
        steps: dict[str, int] = json.loads(open_tensors(self._best_path())[1]["steps"])
        return steps[str(self.seed)]

    def _path(self, t: int) -> Path:
        assert 0 <= t <= self.num_steps, f"points are 0 to {self.num_steps}: got {t}"
        return self.folder / POINT.format(t)

    def _best_path(self) -> Path:
        path = self.folder / BEST
        if not path.is_file():
            raise ValueError(
                f"{self.folder} has no best point, since its training had no validation images: give its data "
                "set some (`split.val`), or take the last point"
            )
        return path

    def _read(self, path: Path, kind: Literal["parameters", "buffers"]) -> Tensors:
        handle, notes = open_tensors(path)
        # what is read is mapped from the file: the copy leaves nothing of the file in memory
        return {n: handle.get_tensor(f"{self.seed}/{n}").clone() for n in json.loads(notes[kind])}


def open_trajectory(folder: Path, seed: int) -> RecordedTrajectory:
    """Open the trajectory of one net of a block; only notes are read.

    Raises ValueError when points are missing, or the net is not there to the end.
    """
    first = folder / POINT.format(0)
    if not first.is_file():
        raise ValueError(f"{folder} holds no trajectory, which begins with {first.name}: train it first")
    num_points = int(open_tensors(first)[1]["points"])
    steps: list[int] = []
    epochs: list[float] = []
    for path in (folder / POINT.format(number) for number in range(num_points)):
        if not path.is_file():
            raise ValueError(
                f"{path} is missing, of {num_points} points: either every net diverged before (lower `lr` of the "
                "training), or it was removed (train again)"
            )
        handle, notes = open_tensors(path)
        seeds = _seeds(handle)
        if seed not in seeds:
            why = (
                f"diverged before step {notes['step']}: lower `lr` of the training"
                if steps
                else "is not there"
            )
            raise ValueError(f"{path} has nets of the seeds {sorted(seeds)}; that of seed {seed} {why}")
        steps.append(int(notes["step"]))
        epochs.append(float(notes["epoch"]))
    return RecordedTrajectory(folder, seed, tuple(steps), tuple(epochs))


def find_trajectory(manifests: Sequence[Path], seed: int) -> RecordedTrajectory:
    """Open the trajectory of a net where it is in one of several blocks, each given by its manifest.

    Of the files only sizes are checked against the manifest: they may be many gigabytes.
    Raises ValueError when none of the blocks has the net, or a file is missing or cut.
    """
    for path in manifests:
        outputs = read_manifest(path, only=[]).outputs
        files = {path.parent / name: written.bytes for name, written in outputs.items()}
        first = next((file for file in files if file.name == POINT.format(0)), None)
        if first is None:
            raise ValueError(f"{path} is not the manifest of a training that records its trajectory")
        for file, num_bytes in files.items():
            if not file.is_file() or file.stat().st_size != num_bytes:
                raise ValueError(f"{file} is missing or cut: delete {path.parent} and train again")
        if seed in _seeds(open_tensors(first)[0]):
            return open_trajectory(first.parent, seed)
    raise ValueError(f"none of these blocks has a net of seed {seed}: {', '.join(map(str, manifests))}")


def _seeds(handle: LazyTensors) -> set[int]:
    names = handle.keys()
    return {int(name.partition("/")[0]) for name in names}
