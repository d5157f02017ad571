"""Train source and target of each pair side by side while the permutation is matched, and measure all three nets."""

from collections.abc import Sequence

import torch

from carryover.core import rng
from carryover.core.config import parse
from carryover.stages._cli import pick_device, run_stage, set_threads
from carryover.stages._transfer import MiniBatches, Row, open_setting, parser_of_starts, row, save_result
from carryover.stages.train_net import start_of
from carryover.transfer.pairs import ROLES, pairs_of, seed_of
from carryover.transfer.settings import SyncedSpec
from carryover.transfer.synced import SyncedProblem, synced

STATISTICS_BATCHES = 20


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage; the pair's mini-batches are those of its source."""
    args = parser_of_starts(__doc__).parse_args(argv)
    run = parse(SyncedSpec, args.spec)
    like = torch.zeros((), device=pick_device(args.device))
    set_threads(args.threads)
    setting = open_setting(args.images, run.recipe, like, run.recipe.precision)
    names = [name for name, _ in setting.network.net.named_parameters()]
    rows: list[Row] = []
    for pair in pairs_of(args.seeds):
        starts = [
            setting.placed(start_of(setting.network.net, seed_of(role, pair), getattr(args, role)))
            for role in ROLES
        ]
        source, target = ({name: start[name] for name in names} for start in starts)
        batches = setting.source.batches((seed_of("source", pair),))
        seed = seed_of("target", pair)
        statistics = MiniBatches(
            setting.source.batches((rng.stream_key(seed, "statistics"),)), STATISTICS_BATCHES
        )
        problem = SyncedProblem(setting.network, setting.spec, source, target, batches, run.recipe, run, seed)
        for after in synced(problem):
            for method, net in (
                ("source", after.source),
                ("target", after.target),
                (run.method, after.composed),
            ):
                buffers = setting.network.statistics(net, statistics(0))
                for split, metric, value in setting.evaluated(net, buffers, ["val", "test"]):
                    rows.append(row(pair, method, split, after.epoch, metric, value))
            rows.append(
                row(pair, run.method, "none", after.epoch, "num_matchings", float(after.num_matchings))
            )
    save_result(args, run.stage, "synced", rows, {"device": str(like.device)})


if __name__ == "__main__":
    run_stage(main)
