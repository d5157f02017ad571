"""Train a block of nets, the sources or targets of learning transfer, and record their trajectories."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from carryover.core.block import Tensors
from carryover.core.config import parse
from carryover.io.recording import TrajectoryWriter, check_room, publish
from carryover.io.tables import save_table
from carryover.io.trajectory import find_trajectory
from carryover.nets.init import draw_default, draw_head
from carryover.stages._cli import run_stage
from carryover.stages._training import Group, open_block, training_parser
from carryover.train.points import recorded_steps
from carryover.train.weights import stack_nets, train
from carryover.transfer.pairs import net_of, seeds_of_block
from carryover.transfer.settings import NetTraining


def main(argv: Sequence[str] | None = None) -> None:
    """Train the nets of the block, and write metrics, points and manifest."""
    parser = training_parser(__doc__, outputs=["metrics", "trajectory", "manifest"])
    parser.add_argument(
        "--start",
        type=Path,
        nargs="+",
        default=[],
        help="manifests of the blocks whose last nets the training starts from",
    )
    args = parser.parse_args(argv)
    run, seeds = parse(NetTraining, args.spec), seeds_of_block(args.seeds or "")
    if bool(run.start) != bool(args.start):
        raise ValueError(f"start: the spec says {run.start!r}, and --start names {len(args.start)} manifests")
    block = open_block(args, run, seeds, args.start)
    orders = {seed: seed if run.order_seed is None else run.order_seed for seed in seeds}
    epoch_steps = block.source.batches(seeds[:1]).num_steps
    points = recorded_steps(run.record, run.record_every, run.epochs, epoch_steps)
    with block.work() as work:
        folder = work.folder / "trajectory"
        check_room(folder, len(points), len(seeds), _num_bytes(block.build()))

        def train_group(group: Group) -> None:
            starts = [start_of(group.net, seed, args.start) for seed in group.seeds]
            nets = stack_nets(group.net, starts, run.precision, group.like)
            record = TrajectoryWriter(folder, group.seeds, nets.parameters, nets.buffers, points, epoch_steps)
            train(nets, group.batches, run, group.journal, record)
            record.finish(group.journal.alive)

        rows = block.train(work, train_group, orders, transfer=True)
        named = {seed: net_of(seed) for seed in seeds}
        save_table(
            args.metrics,
            [
                {
                    "run": block.name,
                    "pair": named[row["seed"]][1],
                    "method": named[row["seed"]][0],
                    **{column: row[column] for column in ("split", "step", "metric", "value")},
                }
                for row in rows
            ],
        )
        block.sign(work, [args.metrics, *publish(folder, args.trajectory)], kind="training")
        shutil.rmtree(folder)


def start_of(net: nn.Module, seed: int, manifests: Sequence[Path]) -> Tensors:
    """Give all tensors that a net starts from: drawn, or the last of a training with a newly drawn classifier.

    Raises ValueError when that training is of another architecture.
    Source: learning transfer, sections 1.11 and 2.3.
    """
    buffers = {name: buffer.detach().clone() for name, buffer in net.named_buffers()}
    if not manifests:
        return {**draw_default(net, seed), **buffers}
    trained = find_trajectory(manifests, seed)
    last = trained.num_steps
    start = {**trained.point(last), **trained.buffers(last), **draw_head(net, seed)}
    wanted = {name: tensor.shape for name, tensor in (*net.named_parameters(), *buffers.items())}
    found = {name: tensor.shape for name, tensor in start.items()}
    odd = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if odd:
        raise ValueError(
            f"start: the nets of {trained.folder} have another architecture, or images of another shape "
            f"({', '.join(odd)}): both trainings need the same net and image size"
        )
    return start


def _num_bytes(net: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*net.parameters(), *net.buffers()))


if __name__ == "__main__":
    run_stage(main)
