"""What the training stages share: load the data, split the block, keep it safe, save what came out."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import JsonValue
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from carryover.core.block import MANY, Tensors
from carryover.core.config import parse
from carryover.core.evaluate import Evaluation, SplitBatches
from carryover.core.journal import Journal, Row
from carryover.core.loop import Batches
from carryover.core.progress import Progress
from carryover.data.batches import MemoryBatches, Normaliser, evaluation_batches
from carryover.data.images import load_images
from carryover.io.checkpoint import save_tensors
from carryover.io.files import sha256_of
from carryover.io.manifest import write_manifest
from carryover.io.tables import save_table
from carryover.io.workdir import WorkDir
from carryover.nets.build import build_net
from carryover.sparse.prunable import prunable
from carryover.stages._cli import pick_device, seeds_of, set_threads, stage_parser
from carryover.train.settings import Training

RunT = TypeVar("RunT", bound=Training)
STACKED_WEIGHTS = {"mlp": MANY, "conv": 40_000}
"""Nets of these kinds up to this many weights train faster stacked on a CPU (benchmarks/stack.py)."""


@dataclass(frozen=True)
class Group:
    """Seeds that train together: a whole block when it is stacked, else one seed."""

    seeds: tuple[int, ...]
    net: nn.Module
    like: Tensor
    """Its dtype and device are those of all tensors."""
    batches: Batches
    journal: Journal


@dataclass(frozen=True)
class Source:
    """A data set as the training of a group sees it."""

    image_shape: tuple[int, int, int]
    num_classes: int
    batches: Callable[[tuple[int, ...]], Batches]
    splits: dict[str, SplitBatches]


@dataclass(frozen=True)
class Block:
    """The nets that one command trains, in groups, and on what."""

    args: argparse.Namespace
    run: Training
    seeds: tuple[int, ...]
    """A number for each net; rows of metrics have it as `seed`."""
    inputs: tuple[Path, ...]
    """Files that the result depends on, images first."""
    like: Tensor
    source: Source

    @property
    def name(self) -> str:
        """Name of the run, which is that of its folder."""
        return str(self.args.metrics.parent.parent.name)

    def build(self) -> nn.Module:
        """Build the net, with nothing drawn yet."""
        return build_net(
            self.run.net, self.source.image_shape, self.source.num_classes, affine=self.run.affine
        )

    def work(self) -> WorkDir:
        """Make the work folder."""
        folder = work_folder(self.args, self.inputs)
        return WorkDir(folder, minutes=self.args.minutes, save_every=self.args.save_every)

    def train(
        self, work: WorkDir, train: Callable[[Group], None], orders: Mapping[int, int], *, transfer: bool
    ) -> list[Row]:
        """Train group by group and return all rows of metrics.

        `orders` gives the seed from which the order of a net's images is drawn, by the net's own number.
        With `transfer` the curve begins before the first step and has every split, and the running accuracy
        on the training images too; else it has the split that the run names.
        """
        rows: list[Row] = []
        for seeds in groups(self.seeds, self.run, self.source):
            batches = self.source.batches(tuple(orders[seed] for seed in seeds))
            splits, run = self.source.splits, self.run
            curve = list(splits) if transfer and run.curve != "none" else [run.curve]
            evaluation = Evaluation(
                splits, len(seeds), run.epochs, run.evaluate_every, curve, start=transfer, training=transfer
            )
            with Progress(batches.num_steps * run.epochs, f"{self.name} {_span(seeds)}") as progress:
                journal = Journal(seeds, evaluation, work.part(_span(seeds)), progress)
                train(Group(seeds, self.build(), self.like, batches, journal))
            rows += journal.rows
        return rows

    def sign(self, work: WorkDir, outputs: Sequence[Path], **record: JsonValue) -> None:
        """Write the manifest, which declares the outputs complete, and remove the checkpoints."""
        args = self.args
        write_manifest(
            args.manifest,
            stage=self.run.stage,
            spec=args.spec,
            code=args.code,
            seeds=args.seeds,
            inputs=self.inputs,
            outputs=outputs,
            record={
                "run": self.name,
                "device": str(self.like.device),
                "threads": torch.get_num_threads(),
                "attempt": work.attempt,
                **record,
            },
        )
        work.clear()


def training_parser(
    doc: str | None, outputs: Sequence[str], inputs: Sequence[str] = ("images",)
) -> argparse.ArgumentParser:
    """Make the parser of a stage that trains, or takes as long."""
    parser = stage_parser(doc, inputs=inputs, outputs=outputs)
    parser.add_argument(
        "--save-every", type=float, default=300.0, help="seconds between two saves (default: 300)"
    )
    return parser


def work_folder(args: argparse.Namespace, inputs: Sequence[Path]) -> Path:
    """Name the work folder after the result and a fingerprint of what makes it, so that no other run finds it.

    The inputs are part of it: a checkpoint of a training on other images must not be continued.
    """
    made_from = " ".join([args.code or "None", args.spec, args.seeds, *map(sha256_of, inputs)])
    fingerprint = sha256(made_from.encode()).hexdigest()[:16]
    work: Path = args.work or args.metrics.parent.parent.parent / ".work"
    return work / str(args.metrics.parent.parent.name) / str(args.seeds) / fingerprint


def open_block(
    args: argparse.Namespace, run: Training, seeds: tuple[int, ...], inputs: Sequence[Path] = ()
) -> Block:
    """Open the data set of a block on the device that the command asks for; `inputs` are further ones."""
    device = pick_device(args.device)
    set_threads(args.threads)
    like = torch.zeros((), device=device)
    return Block(args, run, seeds, (args.images, *inputs), like, open_source(args.images, run, like))


def train_block(
    doc: str | None,
    argv: Sequence[str] | None,
    model: type[RunT],
    train: Callable[[Group, RunT], dict[int, Tensors]],
) -> None:
    """Run a stage of IteRand: `train` trains one group and returns the tensors to store, by seed."""
    args = training_parser(doc, outputs=["metrics", "nets", "manifest"]).parse_args(argv)
    run, seeds = parse(model, args.spec), seeds_of(args.seeds or "")
    block = open_block(args, run, seeds)
    tensors: Tensors = {}

    def train_group(group: Group) -> None:
        stored = train(group, run)
        tensors.update({f"{seed}/{key}": t for seed, own in stored.items() for key, t in own.items()})

    with block.work() as work:
        rows = block.train(work, train_group, {seed: seed for seed in seeds}, transfer=False)
        save_table(args.metrics, [{"run": block.name, **row} for row in rows])
        shape = ",".join(map(str, block.source.image_shape))
        classes = str(block.source.num_classes)
        notes = {"spec": args.spec, "seeds": args.seeds, "shape": shape, "classes": classes}
        save_tensors(args.nets, tensors, notes)
        block.sign(work, [args.metrics, args.nets])


def open_source(path: Path, run: Training, like: Tensor) -> Source:
    """Open a data set file, or the index of a folder that is streamed, on the device of `like`."""
    if path.suffix == ".json":
        from carryover.stages._streaming import stream_source  # torchvision takes a second to import

        return stream_source(path, run, like)
    augmentation = run.augmentation
    if augmentation == "imagenet":
        raise ValueError(
            f"augmentation 'imagenet' is for folders that are streamed; {path.stem} is held in memory"
        )
    images = load_images(path)
    normaliser = Normaliser(float(images.max_value), images.mean, images.std, like)
    train = images.train
    own = (train.images.to(like.device), train.labels.to(like.device))

    def batches(seeds: tuple[int, ...]) -> Batches:
        return MemoryBatches(
            *own, normaliser, seeds=seeds, batch_size=run.batch_size, augmentation=augmentation
        )

    splits: dict[str, SplitBatches] = {
        name: evaluation_batches(split.images.to(like.device), split.labels.to(like.device), normaliser)
        for name, split in images.splits.items()
        if name != "train" and len(split.labels)
    }
    _, channels, height, width = train.images.shape
    return Source((channels, height, width), len(images.classes), batches, splits)


def groups(seeds: tuple[int, ...], run: Training, source: Source) -> list[tuple[int, ...]]:
    """Split a block into groups of seeds that train together: all of them, or each on its own."""
    net = build_net(run.net, source.image_shape, source.num_classes, affine=run.affine)
    # torch's autocast does not reach convolutions inside vmap: stacked, they would silently stay fp32
    unstackable = run.precision == "bf16" and any(isinstance(layer, _ConvNd) for layer in net.modules())
    if run.stack == "always" and unstackable:
        raise ValueError(
            "stack 'always' cannot train convolutions in precision bf16: use stack auto or never"
        )
    if run.stack == "auto":
        num_weights = sum(net.get_parameter(name).numel() for name in prunable(net))
        together = num_weights <= STACKED_WEIGHTS.get(run.net.kind, 0) and not unstackable
    else:
        together = run.stack == "always"
    return [seeds] if together else [(seed,) for seed in seeds]


def _span(seeds: tuple[int, ...]) -> str:
    return f"s{seeds[0]}" if len(seeds) == 1 else f"s{seeds[0]}-{seeds[-1]}"
