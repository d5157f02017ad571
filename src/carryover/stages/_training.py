"""What the training stages share: load the data, split the block, keep it safe, save what came out."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from carryover.core.block import Tensors
from carryover.core.config import parse
from carryover.core.evaluate import Evaluation, SplitBatches
from carryover.core.journal import Journal
from carryover.core.loop import Batches
from carryover.core.progress import Progress
from carryover.data.batches import MemoryBatches, Normaliser, evaluation_batches
from carryover.data.images import load_images
from carryover.io.checkpoint import save_tensors
from carryover.io.files import sha256_of
from carryover.io.manifest import write_manifest
from carryover.io.tables import save_table
from carryover.io.workdir import WorkDir
from carryover.iterand.settings import Training
from carryover.nets.build import build_net
from carryover.sparse.prunable import prunable
from carryover.stages._cli import pick_device, seeds_of, set_threads, stage_parser

RunT = TypeVar("RunT", bound=Training)
STACKED_WEIGHTS = {"mlp": 200_000, "conv": 40_000}
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


def train_block(
    doc: str | None,
    argv: Sequence[str] | None,
    model: type[RunT],
    train: Callable[[Group, RunT], dict[int, Tensors]],
) -> None:
    """Run a training stage: `train` trains one group and returns the tensors to store, by seed."""
    parser = stage_parser(doc, inputs=["images"], outputs=["metrics", "nets", "manifest"])
    parser.add_argument(
        "--save-every", type=float, default=300.0, help="seconds between two saves (default: 300)"
    )
    args = parser.parse_args(argv)
    run, seeds, name = parse(model, args.spec), seeds_of(args.seeds or ""), args.metrics.parent.parent.name
    device = pick_device(args.device)
    set_threads(args.threads)
    like = torch.zeros((), device=device)
    source = open_source(args.images, run, like)
    rows: list[dict[str, object]] = []
    tensors: Tensors = {}
    with WorkDir(_work_folder(args), minutes=args.minutes, save_every=args.save_every) as work:
        for group_seeds in groups(seeds, run, source):
            batches = source.batches(group_seeds)
            evaluation = Evaluation(
                source.splits, len(group_seeds), run.epochs, run.evaluate_every, run.curve
            )
            with Progress(batches.num_steps * run.epochs, f"{name} {_span(group_seeds)}") as progress:
                journal = Journal(group_seeds, evaluation, work.part(_span(group_seeds)), progress)
                net = build_net(run.net, source.image_shape, source.num_classes, affine=run.affine)
                stored = train(Group(group_seeds, net, like, batches, journal), run)
            rows += [{"run": name, **row} for row in journal.rows]
            tensors |= {f"{seed}/{key}": t for seed, own in stored.items() for key, t in own.items()}
        save_table(args.metrics, rows)
        shape = ",".join(map(str, source.image_shape))
        notes = {"spec": args.spec, "seeds": args.seeds, "shape": shape, "classes": str(source.num_classes)}
        save_tensors(args.nets, tensors, notes)
        write_manifest(
            args.manifest,
            stage=model.stage,
            spec=args.spec,
            code=args.code,
            seeds=args.seeds,
            inputs=[args.images],
            outputs=[args.metrics, args.nets],
            record={
                "run": name,
                "device": str(device),
                "threads": torch.get_num_threads(),
                "attempt": work.attempt,
            },
        )
        work.clear()


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


def _work_folder(args: argparse.Namespace) -> Path:
    """Name the work folder after the result and a fingerprint of what makes it, so that no other run finds it.

    The images are part of it: a checkpoint of a training on others must not be continued.
    """
    made_from = f"{args.code} {args.spec} {args.seeds} {sha256_of(args.images)}"
    fingerprint = sha256(made_from.encode()).hexdigest()[:16]
    work: Path = args.work or args.metrics.parent.parent.parent / ".work"
    return work / str(args.metrics.parent.parent.name) / str(args.seeds) / fingerprint
