"""Draw tasks once and store them, so that every method and every seed is measured on the same ones."""

from collections.abc import Sequence

import torch

from carryover.core import rng
from carryover.core.config import canonical, parse
from carryover.data.episode_settings import EpisodeSettings
from carryover.data.episodes import open_episodes
from carryover.io.checkpoint import save_tensors
from carryover.stages._cli import run_stage, stage_parser


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the tasks from a stream that belongs to their settings, not to the seed of any run.

    Source: Meta-ticket, section 6.2 (test episodes fixed across methods and seeds).
    """
    args = stage_parser(__doc__, inputs=["images"], outputs=["episodes"]).parse_args(argv)
    settings = parse(EpisodeSettings, args.spec)
    episodes = open_episodes(args.images, settings.split, torch.zeros(()))
    size = (settings.ways, settings.shots, settings.query_shots)
    # each task has a stream of its own, so that more tasks begin with the same ones
    streams = (rng.generator(0, "stored", settings.split, number) for number in range(settings.tasks))
    drawn = [episodes.draw(1, *size, stream) for stream in streams]
    tensors = {name: torch.cat([each[name] for each in drawn]) for name in drawn[0]}
    save_tensors(args.episodes, tensors, {"episodes": canonical(settings)})


if __name__ == "__main__":
    run_stage(main)
