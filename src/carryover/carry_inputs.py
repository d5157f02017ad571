"""What the arguments of `carryover transfer` name: nets of a study or of one's own, read and checked."""

import argparse
import importlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from carryover.core.block import Tensors
from carryover.core.config import canonical, parse
from carryover.core.trajectory import Trajectory
from carryover.data.training import TrainingData, open_data
from carryover.io.checkpoint import digest_of
from carryover.io.files import sha256_of
from carryover.io.manifest import Manifest, read_manifest
from carryover.io.states import load_state
from carryover.io.trajectory import POINT, RecordedTrajectory, find_trajectory
from carryover.nets.build import build_net
from carryover.nets.specs import spec_of
from carryover.permute.spec import PermutationSpec
from carryover.transfer.pairs import net_of, seeds_of_block
from carryover.transfer.settings import NetTraining
from carryover.transfer.states import check_state


@dataclass(frozen=True)
class Given:
    """What the arguments name, read."""

    net: nn.Module
    """The target, at its start."""
    spec: PermutationSpec | None
    """None for a net of one's own, which is traced."""
    source: Trajectory | list[Tensors]
    end: Tensors
    """Whole state of the source after its training."""
    data: TrainingData
    notes: dict[str, str]
    """Where everything is from, with digests."""
    pair: int | None = None
    """Number of the pair of nets, in a study."""
    seed: int = 0
    """Seed of all that is drawn: that of the target, in a study."""


@dataclass(frozen=True)
class TrainingBlock:
    """A block of nets that a study has trained, with recorded trajectories."""

    folder: Path
    manifest: Manifest
    training: NetTraining

    @classmethod
    def open(cls, folder: Path) -> "TrainingBlock":
        """Read the manifest of a block.

        Raises ValueError when it is missing, unfinished, damaged or no training that records its trajectory.
        """
        path = folder / "manifest.json"
        if not path.is_file():
            raise ValueError(
                f"{path} is missing, so {folder} is no finished training, such as"
                " results/demo/transfer/trainings/<run>/source1-3: `snakemake` with the path of its manifest makes it"
            )
        manifest = read_manifest(path, only=[])
        if manifest.stage != NetTraining.stage or manifest.spec is None:
            raise ValueError(
                f"{folder} holds no trajectory: transfer takes a block of the `trainings` of a study"
            )
        return cls(folder, manifest, parse(NetTraining, manifest.spec))

    def seed(self, option: str, seed: int | None, pair: int | None) -> int:
        """Choose a net by its seed or its pair; a block of one net needs neither.

        Raises ValueError when that is not one net.
        """
        seeds = seeds_of_block(self.manifest.seeds or "")
        wanted = [s for s in seeds if s == seed or (seed is None and pair in (None, net_of(s)[1]))]
        if len(wanted) != 1:
            listed = ", ".join(f"{s} (pair {net_of(s)[1]})" for s in seeds)
            raise ValueError(f"{self.folder} has the seeds {listed}: choose one with {option} or --pair")
        return wanted[0]

    def trajectory(self, seed: int) -> RecordedTrajectory:
        """Open the trajectory of a net, checking the bytes of its first and last point."""
        found = find_trajectory([self.folder / "manifest.json"], seed)
        ends = tuple(POINT.format(t) for t in (0, found.num_steps))
        read_manifest(self.folder / "manifest.json", [n for n in self.manifest.outputs if n.endswith(ends)])
        return found

    def images(self) -> Path:
        """Name the data set that the nets were trained on, after checking that it is still that one.

        Raises ValueError when it is missing or was made anew.
        """
        name, digest = next(
            (n, d) for n, d in self.manifest.inputs.items() if Path(n).name != "manifest.json"
        )
        if not Path(name).is_file():
            raise ValueError(
                f"{name}, which {self.folder} was trained on, is not below {Path.cwd()}: go to the folder that"
                " `snakemake` was started in, or say where it is with --images"
            )
        if sha256_of(Path(name)) != digest:
            raise ValueError(
                f"{name} is not the file that {self.folder} was trained on: say which is, with --images"
            )
        return Path(name)


def read(args: argparse.Namespace) -> Given:
    """Read everything that the arguments name.

    Raises ValueError when they do not go together, or when a file is missing, damaged or of something else.
    """
    device = _device(args.device)
    given = _read_files(args, device) if args.source_run is None else _read_run(args, device)
    if args.target_init.is_dir():
        block = TrainingBlock.open(args.target_init)
        seed = block.seed("--target-seed", args.target_seed, given.pair)
        points = block.trajectory(seed)
        target, where = {**points.point(0), **points.buffers(0)}, f"{args.target_init}, seed {seed}"
        check_state(where, target, given.net)
    else:
        seed, target, where = 0, _state(args.target_init, given.net), str(args.target_init)
    given.net.load_state_dict(target)
    notes = {"target": where, "target_digest": digest_of(target), "source_digest": digest_of(given.end)}
    return replace(given, seed=seed, notes=given.notes | notes)


def _read_files(args: argparse.Namespace, device: torch.device) -> Given:
    """Read a source of one's own."""
    if None in (args.source_start, args.source_end, args.net, args.images):
        raise ValueError(
            "the source is --source-run FOLDER, or a net of your own: --source-start FILE, --source-end FILE,"
            " --net PACKAGE.MODULE:FUNCTION and --images FILE"
        )
    if args.actual:
        raise ValueError(
            "--actual goes through the points that a --source-run has recorded; two files are a line"
        )
    net = build(args.net).to(device)
    data = open_data(args.images, args.batch_size, "none", next(net.parameters()))
    start, end = (_state(path, net) for path in (args.source_start, args.source_end))
    notes = {"net": args.net, "source": f"{args.source_start} to {args.source_end}"}
    return Given(net, None, [start, end], end, data, notes | _images(args.images), args.pair)


def _read_run(args: argparse.Namespace, device: torch.device) -> Given:
    """Read a source that a study has trained."""
    if (args.source_start, args.source_end, args.net) != (None, None, None):
        raise ValueError("--source-run knows its net: leave out --net, --source-start and --source-end")
    block = TrainingBlock.open(args.source_run)
    seed = block.seed("--seed", args.seed, args.pair)
    images, training = args.images or block.images(), block.training
    if training.augmentation == "imagenet":
        raise ValueError(
            f"{args.source_run} was trained on a folder that is streamed, which this command cannot read"
        )
    data = open_data(images, args.batch_size, training.augmentation, torch.zeros((), device=device))
    if data.image_shape is None or data.num_classes is None:
        raise ValueError(f"--images {images}: nets of a study need a data set that a study prepared")
    kind = (training.net, data.image_shape, data.num_classes)
    net = build_net(*kind, affine=True).to(device)
    points = block.trajectory(seed)
    start, end = ({**points.point(t), **points.buffers(t)} for t in (0, points.num_steps))
    check_state(f"{args.source_run}, seed {seed}", end, net)
    notes = {"net": canonical(training.net), "source": f"{args.source_run}, seed {seed}"}
    source = points if args.actual else [start, end]
    return Given(net, spec_of(*kind), source, end, data, notes | _images(images), net_of(seed)[1])


def _state(path: Path, net: nn.Module) -> Tensors:
    """Read the whole state of a net from a file of its own."""
    state = load_state(path)
    check_state(str(path), state, net)
    missing = [name for name in net.state_dict() if name not in state]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(map(repr, missing))}: save the whole net.state_dict()")
    return state


def _images(path: Path) -> dict[str, str]:
    return {"images": str(path), "images_sha256": sha256_of(path)}


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch finds no GPU here; use auto or cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def build(name: str) -> nn.Module:
    """Call a function without arguments that makes a net, named `package.module:function`.

    Modules are found as `python -m` finds them, in the current folder too.
    Raises ValueError when there is no such function, or when it makes something else.
    """
    module, _, function = name.partition(":")
    if not module or not function.isidentifier():
        raise ValueError(f"--net {name!r}: write PACKAGE.MODULE:FUNCTION, such as my_nets:make_net")
    sys.path.insert(0, str(Path.cwd()))
    try:
        make = vars(importlib.import_module(module)).get(function)
    except ModuleNotFoundError as error:
        raise ValueError(f"--net {name!r}: {error}; modules are looked for in {Path.cwd()} too") from error
    finally:
        sys.path.pop(0)
    net = make() if callable(make) else None
    if not isinstance(net, nn.Module):
        raise ValueError(
            f"--net {name!r}: {module} must have a function {function!r} that returns a torch.nn.Module"
        )
    return net
