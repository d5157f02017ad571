"""Measure ensembles of nets that were continued after their transfer, and of the trained targets."""

from collections.abc import Iterator, Sequence

import torch

from carryover.core.block import Tensors
from carryover.core.config import parse
from carryover.core.evaluate import Predict
from carryover.stages._cli import pick_device, run_stage, set_threads, stage_parser
from carryover.stages._transfer import (
    Row,
    Setting,
    find_nets,
    open_setting,
    open_trained,
    pairs_in,
    read_run,
    row,
    save_result,
    tensors_below,
)
from carryover.transfer.ensemble import measure_ensemble, predictions
from carryover.transfer.settings import ContinuationRun, EnsembleRun

SPLIT = "test"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage: the members of an ensemble are the nets of all pairs."""
    args = stage_parser(
        __doc__, inputs=["images", "continuation*", "target*"], outputs=["metrics", "manifest"]
    ).parse_args(argv)
    run = parse(EnsembleRun, args.spec)
    like = torch.zeros((), device=pick_device(args.device))
    set_threads(args.threads)
    continuation = read_run(args.continuation, ContinuationRun)
    pairs = pairs_in(args.continuation)
    files = {pair: find_nets(args.continuation, pair) for pair in pairs}
    targets = [open_trained(args.target, "target", pair) for pair in pairs]
    for trained in targets:
        trained.check([trained.last])
    training = targets[0].training
    setting = open_setting(args.images, training, like, training.precision)
    rows: list[Row] = []
    for method in run.methods:
        nets = (tensors_below(files[pair], f"{pair}/{method}/") for pair in pairs)
        rows += measured(setting, method, [_predictor(setting, net) for net in nets], continuation.epochs)
    full = ({**t.recorded.point(t.last), **t.recorded.buffers(t.last)} for t in targets)
    rows += measured(setting, "standard", [_predictor(setting, net) for net in full], training.epochs)
    save_result(args, run.stage, "ensemble", rows, {"device": str(like.device)})


def measured(setting: Setting, method: str, members: Sequence[Predict], epochs: int) -> Iterator[Row]:
    """Measure one ensemble on the test images."""
    for metric, value in measure_ensemble(*predictions(members, setting.source.splits[SPLIT])).items():
        yield row(0, method, SPLIT, 0, metric, value)
    yield row(0, method, "none", 0, "num_members", float(len(members)))
    yield row(0, method, "none", 0, "epochs", float(epochs))


def _predictor(setting: Setting, net: Tensors) -> Predict:
    placed = setting.placed(net)
    buffers = {name: placed.pop(name) for name in setting.network.buffers}
    return setting.network.predictor(placed, buffers)


if __name__ == "__main__":
    run_stage(main)
