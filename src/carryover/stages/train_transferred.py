"""Train a block of nets as usual, from parameters that were transferred: every method and every pair."""

from collections.abc import Sequence
from pathlib import Path

from carryover.core.block import Tensors
from carryover.core.config import parse
from carryover.io.checkpoint import save_tensors
from carryover.io.tables import save_table
from carryover.stages._cli import run_stage
from carryover.stages._training import Group, open_block, training_parser
from carryover.stages._transfer import find_nets, tensors_below
from carryover.train.weights import stack_nets, train
from carryover.transfer.pairs import pairs_of, seed_of
from carryover.transfer.settings import ContinuationRun


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage; a pair's images come in the order of its target's own training.

    Source: learning transfer, section 3 (E2).
    """
    parser = training_parser(__doc__, outputs=["metrics", "nets", "manifest"])
    parser.add_argument("--transfer", type=Path, nargs="+", required=True, help="manifests of the transfer")
    args = parser.parse_args(argv)
    run = parse(ContinuationRun, args.spec)
    members = [(pair, method) for method in run.methods for pair in pairs_of(args.seeds)]
    transferred = {pair: find_nets(args.transfer, pair) for pair in pairs_of(args.seeds)}
    numbers = tuple(range(len(members)))
    block = open_block(args, run, numbers, args.transfer)
    tensors: Tensors = {}

    def train_group(group: Group) -> None:
        own = [members[number] for number in group.seeds]
        starts = [tensors_below(transferred[pair], f"{pair}/{method}/{run.at}/") for pair, method in own]
        nets = stack_nets(group.net, starts, run.precision, group.like)
        train(nets, group.batches, run, group.journal)
        for index, (pair, method) in enumerate(own):
            for name, tensor in {**nets.parameters, **nets.buffers}.items():
                tensors[f"{pair}/{method}/{name}"] = tensor[index].detach().cpu()

    with block.work() as work:
        own_seeds = {number: seed_of("target", members[number][0]) for number in numbers}
        orders = own_seeds if run.order_seed is None else dict.fromkeys(numbers, run.order_seed)
        rows = block.train(work, train_group, orders, transfer=True)
        save_table(
            args.metrics,
            [
                {
                    "run": block.name,
                    "pair": members[row["seed"]][0],
                    "method": members[row["seed"]][1],
                    **{column: row[column] for column in ("split", "step", "metric", "value")},
                }
                for row in rows
            ],
        )
        save_tensors(args.nets, tensors, {"spec": args.spec, "seeds": args.seeds})
        block.sign(work, [args.metrics, args.nets], kind="continuation")


if __name__ == "__main__":
    run_stage(main)
