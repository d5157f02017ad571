"""Train the weights of a block of nets: the baseline of IteRand's figures."""

from collections.abc import Sequence

from carryover.core.block import Tensors
from carryover.iterand.dense import draw_nets, train
from carryover.iterand.settings import DenseRun
from carryover.stages._cli import run_stage
from carryover.stages._training import Group, train_block


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    train_block(__doc__, argv, DenseRun, train_group)


def train_group(group: Group, run: DenseRun) -> dict[int, Tensors]:
    """Train one group and return the plain tensors of each net."""
    nets = draw_nets(group.net, group.seeds, run, group.like)
    train(nets, group.batches, run, group.journal)
    tensors = {**nets.parameters, **nets.buffers}
    return {seed: {n: t[i].detach().cpu() for n, t in tensors.items()} for i, seed in enumerate(group.seeds)}


if __name__ == "__main__":
    run_stage(main)
