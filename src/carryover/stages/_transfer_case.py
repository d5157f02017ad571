"""A pair of nets with everything that a transfer between them needs, and how it is measured."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor

from carryover.core import rng
from carryover.core.block import Tensors, placed
from carryover.core.trajectory import Trajectory
from carryover.io.trajectory import BEST, RecordedTrajectory
from carryover.permute.spec import Permutation
from carryover.stages._transfer import MiniBatches, Row, Setting, Trained, open_setting, open_trained, row
from carryover.transfer.grids import GRIDS
from carryover.transfer.problem import TransferProblem, Transferred
from carryover.transfer.settings import TransferRun
from carryover.transfer.trajectories import Linear, Picked, Through


@dataclass(frozen=True)
class Case:
    """One pair with everything that a transfer needs."""

    run: TransferRun
    pair: int
    setting: Setting
    trajectory: Trajectory
    source: Trained
    target: Trained
    start: Tensors
    """The target's own first point, theta2^0."""
    batches: MiniBatches
    statistics: MiniBatches

    @cached_property
    def trained(self) -> Tensors:
        """The end of the target's own training, theta2^T."""
        return self._trained(self.target.last)

    @property
    def along(self) -> str:
        """Split that is measured at every step: validation, or test where there is none."""
        return "val" if "val" in self.setting.source.splits else "test"

    def problem(self, known: Mapping[int, tuple[Permutation, ...]], spill: Path) -> TransferProblem:
        """Pose the problem to a method; `spill` is where cached gradients go if the run wants them in a file."""
        first = _fits_first(self.run)
        return TransferProblem(
            network=self.setting.network,
            spec=self.setting.spec,
            source=self.trajectory,
            target=self.start,
            batches=self.batches,
            matching=self.run.matching,
            seed=self.target.seed,
            num_segments=self.run.segments,
            trained=self._trained(_first(self.run, self.target)) if first else self.trained,
            trained_at=self.run.substeps if first else None,
            known=known,
            spill=spill if self.run.spill else None,
        )

    def observed(self, method: str, moved: Transferred) -> Iterator[Row]:
        """Measure one step of a method."""
        if self._due(moved.step):
            yield from self._measured(method, moved.step, moved.parameters, [self.along])
        costs = {
            "num_gradients": moved.num_gradients,
            "cache_bytes": moved.cache_bytes,
            "objective": moved.objective,
        }
        for metric, value in costs.items():
            if value is not None:
                yield row(self.pair, method, "none", moved.step, metric, float(value))

    def score(self, rows: Iterable[Row], step: int) -> float:
        """Give what the step is selected by: its validation accuracy, or how late it is."""
        if self.run.select == "last" or self.along == "test":
            return float(step)
        wanted = ("val", step, "accuracy")
        found = [r["value"] for r in rows if (r["split"], r["step"], r["metric"]) == wanted]
        return float(str(found[0])) if found else -1.0

    def reported(self, method: str, moved: Transferred, buffers: Tensors) -> Iterator[Row]:
        """Measure a step that counts on the test images, which nothing is selected by."""
        if self.along != "test":
            for split, metric, value in self.setting.evaluated(moved.parameters, buffers, ["test"]):
                yield row(self.pair, method, split, moved.step, metric, value)

    def rebuilt(self, parameters: Tensors) -> Tensors:
        """Rebuild the batch-norm statistics of a net, if the run wants that."""
        if not self.run.statistics_batches:
            return self.setting.network.buffers
        return self.setting.network.statistics(parameters, self.statistics(0))

    @property
    def steps(self) -> list[int]:
        """Steps at which references are measured: the first, and those at which methods are."""
        return [t for t in range(self.trajectory.num_steps + 1) if t == 0 or self._due(t)]

    def referred(self, method: str, step: int, parameters: Tensors) -> Iterator[Row]:
        """Measure a reference, at the last step on the test images too."""
        last = step == self.trajectory.num_steps
        splits = dict.fromkeys([self.along, "test"] if last else [self.along])
        yield from self._measured(method, step, parameters, list(splits))

    def _trained(self, point: int) -> Tensors:
        return self.setting.placed(self.target.recorded.point(point))

    def _due(self, step: int) -> bool:
        return step % self.run.evaluate_every == 0 or step == self.trajectory.num_steps

    def _measured(self, method: str, step: int, parameters: Tensors, splits: Sequence[str]) -> Iterator[Row]:
        """Measure a net, with batch-norm statistics of its own."""
        for split, metric, value in self.setting.evaluated(parameters, self.rebuilt(parameters), splits):
            yield row(self.pair, method, split, step, metric, value)


def open_case(
    images: Path,
    sources: Sequence[Path],
    targets: Sequence[Path],
    run: TransferRun,
    pair: int,
    like: Tensor,
) -> Case:
    """Open everything of one pair.

    Raises ValueError when a point that is read is not what was recorded, before hours are spent on it.
    """
    source, target = open_trained(sources, "source", pair), open_trained(targets, "target", pair)
    source.check(_read_of(run, source))
    target.check({0, target.last, *([_first(run, target)] if _fits_first(run) else [])})
    own = source.training
    augmentation = own.augmentation if run.augmentation == "training" else "none"
    update = {"batch_size": run.batch_size, "augmentation": augmentation}
    setting = open_setting(images, own.model_copy(update=update), like, run.precision)

    def minibatches(stream: str, num_batches: int) -> MiniBatches:
        return MiniBatches(setting.source.batches((rng.stream_key(target.seed, stream),)), num_batches)

    return Case(
        run=run,
        pair=pair,
        setting=setting,
        trajectory=_trajectory(run, source.recorded, like),
        source=source,
        target=target,
        start=setting.placed(target.recorded.point(0)),
        batches=minibatches("matching", run.num_batches),
        statistics=minibatches("statistics", run.statistics_batches),
    )


@dataclass(frozen=True)
class _Placed:
    """A recorded trajectory whose points come to a device."""

    recorded: RecordedTrajectory
    like: Tensor

    @property
    def num_steps(self) -> int:
        return self.recorded.num_steps

    def point(self, t: int) -> Tensors:
        return placed(self.recorded.point(t), self.like)


def _read_of(run: TransferRun, source: Trained) -> list[int | str]:
    """List the points of the source that its trajectory is made of."""
    if run.trajectory == "actual":
        return [*Picked(source.recorded, run.every).picked]
    return [0, BEST if run.end == "best" else source.last]


def _fits_first(run: TransferRun) -> bool:
    """Tell whether the oracle is fitted to the first gap of recorded points alone."""
    return run.oracle == "first" and run.trajectory == "actual"


def _first(run: TransferRun, trained: Trained) -> int:
    """Give the first point after the start that is taken of an actual trajectory."""
    return min(run.every, trained.last)


def _trajectory(run: TransferRun, recorded: RecordedTrajectory, like: Tensor) -> Trajectory:
    """Make the trajectory that a run asks for from what was recorded."""
    points = _Placed(recorded, like)
    if run.trajectory == "actual":
        taken = Picked(points, every=run.every)
        return taken if run.substeps == 1 else Through(taken, GRIDS[run.grid](run.substeps))
    end = recorded.best() if run.end == "best" else recorded.point(recorded.num_steps)
    return Linear(points.point(0), placed(end, like), GRIDS[run.grid](run.steps))
