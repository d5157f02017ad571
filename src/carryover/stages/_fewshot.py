"""What the stages of few-shot learning share: tasks, nets and learners, from files and back."""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from pydantic import JsonValue
from torch import Tensor

from carryover.core import rng
from carryover.core.block import Tensors, placed
from carryover.core.config import parse
from carryover.data.episode_settings import EpisodeSettings
from carryover.data.episodes import Episodes
from carryover.data.tasks import Tasks
from carryover.io.checkpoint import load_tensors
from carryover.io.manifest import read_manifest, write_manifest
from carryover.metaticket.adapt import Rates
from carryover.metaticket.batching import Batching, after_steps
from carryover.metaticket.learner import Learner
from carryover.metaticket.network import Network
from carryover.metaticket.own import PARTS, TrainedNet
from carryover.metaticket.search import Sample
from carryover.metaticket.settings import FewshotTraining
from carryover.nets.episode import build_episode_net
from carryover.stages._cli import stage_parser

NETS = "nets.safetensors"
TOGETHER = 64
"""Stored tasks whose images are made at the same time."""


@dataclass(frozen=True)
class Stored:
    """Tasks that were drawn once, as a stage finds them in their file."""

    settings: EpisodeSettings
    drawn: Tensors

    def tasks(self, episodes: Episodes, like: Tensor) -> Iterator[Tasks]:
        """Make the tasks in groups of at most `TOGETHER`, since images of all of them may be many gigabytes."""
        for first in range(0, self.settings.tasks, TOGETHER):
            own = {name: tensor[first : first + TOGETHER] for name, tensor in self.drawn.items()}
            yield episodes.tasks(placed(own, like), self.settings.shots)


def load_stored(path: Path) -> Stored:
    """Read stored tasks. Raises ValueError when the file is damaged or holds no tasks."""
    tensors, notes = load_tensors(path)
    if "episodes" not in notes:
        raise ValueError(f"{path} holds no tasks: delete it and run the same command to make it again")
    return Stored(parse(EpisodeSettings, notes["episodes"]), tensors)


def measure(
    network: Network,
    learned: tuple[Tensors, Rates],
    tasks: Iterable[Tasks],
    steps: Sequence[int],
    batching: Batching,
) -> tuple[Float[Tensor, "steps tasks"], Float[Tensor, "steps tasks"]]:
    """Give query losses and scores of groups of tasks after each number of inner steps, from start and rates."""
    parts = [after_steps(network, *learned, group, steps, batching) for group in tasks]
    losses, scores = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
    return losses, scores


def build(run: FewshotTraining, episodes: Episodes) -> Network:
    """Build the net of a run for the shape of its examples, with nothing drawn yet."""
    outputs = 1 if episodes.regression else run.ways
    net = build_episode_net(run.net, episodes.input_shape, outputs, norm=run.norm != "none")
    return Network(net.requires_grad_(False), run.norm, episodes.regression)


def tensors_of(learner: Learner) -> Tensors:
    """Name everything of a learner that a file keeps."""
    parts = {part: getattr(learner, part) for part in PARTS}
    return {f"{part}/{name}": t.detach().cpu() for part, own in parts.items() for name, t in own.items()}


@dataclass(frozen=True)
class Trained:
    """A finished training, as a later stage opens it."""

    run: FewshotTraining
    name: str
    seeds: tuple[int, ...]
    shape: tuple[int, ...]
    """Shape of one example."""
    tensors: Tensors

    def check(self, episodes: Episodes, images: Path) -> None:
        """Make sure that the nets can take these examples; raises ValueError otherwise."""
        if episodes.input_shape != self.shape:
            wanted, found = ("x".join(map(str, shape)) for shape in (self.shape, episodes.input_shape))
            raise ValueError(
                f"{images}: its examples are {found}, and the nets of {self.name} take {wanted} (channels, height, "
                "width): give the data set that size, or test on another"
            )

    def net(self, seed: int) -> TrainedNet:
        """Take the net of one seed."""
        own = {n.removeprefix(f"{seed}/"): t for n, t in self.tensors.items() if n.startswith(f"{seed}/")}
        return TrainedNet(self.run, seed, self.shape, own)


def open_training(manifest: Path) -> Trained:
    """Open a training by its manifest; a seed that diverged is not among its seeds.

    Raises ValueError when the manifest or a file of it is missing or damaged.
    """
    made = read_manifest(manifest, only=[NETS])
    tensors, notes = load_tensors(manifest.with_name(NETS))
    seeds = tuple(sorted({int(name.partition("/")[0]) for name in tensors}))
    if not seeds:
        raise ValueError(
            f"{manifest}: every seed of this training diverged, so there is nothing to test: lower its rates"
        )
    shape = tuple(map(int, notes["shape"].split(",")))
    return Trained(parse(FewshotTraining, made.spec or ""), str(made.record["run"]), seeds, shape, tensors)


def sampler(episodes: Episodes, run: FewshotTraining, seed: int) -> Sample:
    """Give the training tasks of an outer step by its number: those of the seed, whatever the method.

    Source: Meta-ticket, section 4.2.
    """

    def sample(step: int) -> Tasks:
        draw = rng.generator(seed, "episodes", step)
        drawn = episodes.draw(run.meta_batch, run.ways, run.shots, run.query_shots or run.shots, draw)
        return episodes.tasks(drawn, run.shots)

    return sample


def fewshot_parser(doc: str | None, inputs: Sequence[str], outputs: Sequence[str]) -> argparse.ArgumentParser:
    """Make the parser of a stage of few-shot learning."""
    return stage_parser(
        doc, inputs=["images", "episodes", *inputs], outputs=[*outputs, "metrics", "manifest"]
    )


def sign(
    args: argparse.Namespace,
    stage: str,
    kind: str,
    *,
    outputs: Sequence[Path],
    inputs: Sequence[Path],
    record: Mapping[str, JsonValue],
) -> None:
    """Write the manifest of a block, which declares its outputs complete."""
    write_manifest(
        args.manifest,
        stage=stage,
        spec=args.spec,
        code=args.code,
        seeds=args.seeds,
        inputs=[args.images, args.episodes, *inputs],
        outputs=[args.metrics, *outputs],
        record={"run": run_name(args), "kind": kind, "threads": torch.get_num_threads(), **record},
    )


def run_name(args: argparse.Namespace) -> str:
    """Name the run, which is that of its folder."""
    return str(args.metrics.parent.parent.name)
