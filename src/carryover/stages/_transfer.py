"""What the stages of learning transfer share: trained nets, mini-batches by number, evaluation, the manifest."""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from carryover.core.block import Precision, Tensors, placed
from carryover.core.config import Settings, parse
from carryover.core.evaluate import evaluate
from carryover.core.loop import Batches
from carryover.io.checkpoint import LazyTensors, open_tensors
from carryover.io.manifest import read_manifest, write_manifest
from carryover.io.tables import save_table
from carryover.io.trajectory import POINT, RecordedTrajectory, find_trajectory
from carryover.nets.build import build_net
from carryover.nets.specs import spec_of
from carryover.permute.spec import PermutationSpec
from carryover.stages._cli import stage_parser
from carryover.stages._training import Source, open_source
from carryover.transfer.network import Network
from carryover.transfer.pairs import ROLES, pairs_of, seed_of
from carryover.transfer.settings import NetTraining

Batch = tuple[Tensor, Tensor]
Row = dict[str, object]
SettingsT = TypeVar("SettingsT", bound=Settings)
NETS = "nets.safetensors"


@dataclass(frozen=True)
class Trained:
    """One net of a training: the settings, and what was recorded of it."""

    training: NetTraining
    seed: int
    recorded: RecordedTrajectory
    manifest: Path
    """Manifest of its block, which vouches for the points."""

    @property
    def last(self) -> int:
        """Number of the last point."""
        return self.recorded.num_steps

    def check(self, points: Iterable[int | str]) -> None:
        """Make sure that points, each a number or the name of its file, are what was recorded.

        Raises ValueError when one was changed.
        """
        names = (point if isinstance(point, str) else POINT.format(point) for point in points)
        folder = self.recorded.folder.relative_to(self.manifest.parent)
        read_manifest(self.manifest, only=[(folder / name).as_posix() for name in names])


def open_trained(manifests: Sequence[Path], role: str, pair: int) -> Trained:
    """Find the net of a pair among the results of a training, and open its trajectory.

    The caller checks the points that it reads. Raises ValueError when none of the results holds the net, or when a
    file of its trajectory is missing or cut.
    """
    for path in manifests:
        manifest = read_manifest(path, only=[])
        block = manifest.seeds or ""
        if manifest.spec and block.startswith(role) and pair in pairs_of(block):
            seed = seed_of(role, pair)
            return Trained(parse(NetTraining, manifest.spec), seed, find_trajectory([path], seed), path)
    raise ValueError(
        f"no result holds the {role} of pair {pair}: {', '.join(map(str, manifests)) or 'none given'}"
    )


class MiniBatches:
    """Mini-batches in groups by number: the same ones whenever a group is asked for."""

    def __init__(self, batches: Batches, num_batches: int):
        self.batches, self.num_batches = batches, num_batches

    def __call__(self, number: int) -> Iterator[Batch]:
        """Yield the mini-batches of one group; groups follow one another through the epochs."""
        position, end = number * self.num_batches, (number + 1) * self.num_batches
        while position < end:
            epoch, first = divmod(position, self.batches.num_steps)
            for images, labels in self.batches.epoch(epoch, first):
                yield images[0], labels[0]
                position += 1
                if position == end:
                    return


@dataclass(frozen=True)
class Setting:
    """Net, permutation spec and images of a pair, as its training has them."""

    network: Network
    spec: PermutationSpec
    source: Source
    """The data set."""
    like: Tensor

    def evaluated(
        self, parameters: Tensors, buffers: Tensors | None, splits: Sequence[str]
    ) -> Iterator[tuple[str, str, float]]:
        """Yield split, metric and value of one net."""
        predict = self.network.predictor(parameters, buffers)
        for split in splits:
            if split in self.source.splits:
                for metric, values in evaluate(predict, self.source.splits[split], 1).items():
                    yield split, metric, values[0]

    def placed(self, parameters: Tensors) -> Tensors:
        """Bring a net to the device."""
        return placed(parameters, self.like)


def open_setting(images: Path, training: NetTraining, like: Tensor, precision: Precision) -> Setting:
    """Build the net of a training and open its images."""
    source = open_source(images, training, like)
    net = build_net(training.net, source.image_shape, source.num_classes, affine=True).requires_grad_(False)
    buffers = {name: buffer.to(like.device) for name, buffer in net.named_buffers()}
    spec = spec_of(training.net, source.image_shape, source.num_classes)
    return Setting(Network(net, buffers, precision), spec, source, like)


def read_run(manifests: Sequence[Path], model: type[SettingsT]) -> SettingsT:
    """Read the settings of the run that some results are of."""
    return parse(model, read_manifest(manifests[0], only=[]).spec or "")


def pairs_in(manifests: Sequence[Path]) -> list[int]:
    """List the pairs that some results hold."""
    return sorted(pair for path in manifests for pair in pairs_of(read_manifest(path, only=[]).seeds or ""))


def find_nets(manifests: Sequence[Path], pair: int) -> LazyTensors:
    """Open the nets of the result that holds a pair.

    Raises ValueError when none does, or when the file was changed.
    """
    for path in manifests:
        if pair in pairs_of(read_manifest(path, only=[]).seeds or ""):
            read_manifest(path, only=[NETS])
            return open_tensors(path.with_name(NETS))[0]
    raise ValueError(f"no result holds pair {pair}: {', '.join(map(str, manifests)) or 'none given'}")


def tensors_below(file: LazyTensors, prefix: str) -> Tensors:
    """Read the tensors whose name begins with `prefix`, which is dropped; nothing else of the file is read.

    Raises ValueError when there are none.
    """
    names = file.keys()
    found = {name.removeprefix(prefix): file.get_tensor(name) for name in names if name.startswith(prefix)}
    if not found:
        there = sorted({"/".join(name.split("/")[:2]) for name in names})
        raise ValueError(f"no nets of {prefix.rstrip('/')} in these results, which have {', '.join(there)}")
    return found


def parser_of_starts(doc: str | None) -> argparse.ArgumentParser:
    """Make the parser of a stage that trains both nets of a pair, each from a training's end if it is given one."""
    parser = stage_parser(doc, inputs=["images"], outputs=["metrics", "manifest"])
    for role in ROLES:
        parser.add_argument(
            f"--{role}", type=Path, nargs="+", default=[], help=f"training that the {role} starts from"
        )
    return parser


def save_result(
    args: argparse.Namespace,
    stage: str,
    kind: str,
    rows: Sequence[Row],
    record: Mapping[str, object],
    also: Sequence[Path] = (),
) -> None:
    """Write the table of a block, and last its manifest."""
    run = args.metrics.parent.parent.name
    save_table(args.metrics, [{"run": run, **row} for row in rows])
    write_manifest(
        args.manifest,
        stage=stage,
        spec=args.spec,
        code=args.code,
        seeds=args.seeds,
        inputs=inputs_of(args),
        outputs=[args.metrics, *also],
        record={"run": run, "kind": kind, "threads": torch.get_num_threads(), **record},  # type: ignore[dict-item]
    )


def inputs_of(args: argparse.Namespace) -> list[Path]:
    """List the files that a stage reads: the images, and the manifests of other runs."""
    parts = ("source", "target", "transfer", "continuation", "start")
    return [args.images, *(path for part in parts for path in getattr(args, part, None) or ())]


def row(pair: int, method: str, split: str, step: int, metric: str, value: float) -> Row:
    """Make one row of metrics.csv, less the name of the run."""
    return {"pair": pair, "method": method, "split": split, "step": step, "metric": metric, "value": value}
