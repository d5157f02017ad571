"""Measure Assumption (P): train both nets of a pair on the same batches, and fit a permutation to their increments."""

from collections.abc import Sequence

import torch

from carryover.core.block import Tensors
from carryover.core.config import parse
from carryover.nets.build import build_net
from carryover.nets.specs import spec_of
from carryover.stages._cli import pick_device, run_stage, set_threads
from carryover.stages._training import open_source
from carryover.stages._transfer import Row, parser_of_starts, row, save_result
from carryover.stages.train_net import start_of
from carryover.train.weights import stack_nets
from carryover.transfer.increments import cosines_of, increments
from carryover.transfer.pairs import ROLES, pairs_of, seed_of
from carryover.transfer.settings import CosineSpec


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage; the pair's mini-batches are those of its source."""
    args = parser_of_starts(__doc__).parse_args(argv)
    run = parse(CosineSpec, args.spec)
    like = torch.zeros((), device=pick_device(args.device))
    set_threads(args.threads)
    source = open_source(args.images, run.recipe, like)
    spec = spec_of(run.recipe.net, source.image_shape, source.num_classes)
    rows: list[Row] = []
    for pair in pairs_of(args.seeds):
        net = build_net(run.recipe.net, source.image_shape, source.num_classes, affine=True)
        starts: list[Tensors] = [start_of(net, seed_of(role, pair), getattr(args, role)) for role in ROLES]
        nets = stack_nets(net, starts, run.recipe.precision, like)
        moves = increments(nets, source.batches((seed_of("source", pair),)), run.recipe, run)
        for cosine in cosines_of(moves, spec, run, seed_of("target", pair)):
            rows.append(row(pair, "permuted", "none", cosine.step, "cosine", cosine.permuted))
            rows.append(row(pair, "identity", "none", cosine.step, "cosine", cosine.identity))
    save_result(args, run.stage, "cosine", rows, {"device": str(like.device)})


if __name__ == "__main__":
    run_stage(main)
