"""Look at what adaptation changes in trained nets, on stored tasks: features, weights and gradients."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from carryover.core.config import parse
from carryover.data.episodes import open_episodes
from carryover.io.tables import save_table
from carryover.metaticket.analysis import analyse
from carryover.metaticket.batching import batching_of
from carryover.metaticket.settings import FewshotAnalysis
from carryover.stages._cli import pick_device, run_stage, set_threads
from carryover.stages._fewshot import fewshot_parser, load_stored, open_training, run_name, sign


def main(argv: Sequence[str] | None = None) -> None:
    """Write the mean over tasks of everything that is measured of each seed's net, by layer and tensor."""
    args = fewshot_parser(__doc__, ["training"], []).parse_args(argv)
    run, like = parse(FewshotAnalysis, args.spec), torch.zeros((), device=pick_device(args.device))
    set_threads(args.threads)
    trained = open_training(args.training)
    episodes, stored = open_episodes(args.images, run.split, like), load_stored(args.episodes)
    trained.check(episodes, args.images)
    batching = batching_of(trained.run.batching, trained.run.chunk, like.device)
    rows: list[dict[str, Any]] = []
    for seed in trained.seeds:
        network, learner = trained.net(seed).opened(trained.run.ways, like)
        findings = analyse(network, learner, stored.tasks(episodes, like), run.steps, batching)
        rows += [{"run": run_name(args), "seed": seed, **asdict(finding)} for finding in findings]
    save_table(args.metrics, rows)
    record = {"device": str(like.device), "training": trained.name}
    sign(args, run.stage, "analysis", outputs=[], inputs=[args.training], record=record)


if __name__ == "__main__":
    run_stage(main)
