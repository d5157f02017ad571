"""`carryover transfer`: hand the training of one net to another start, and say how well that went."""

import argparse
import copy
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from torch import nn

from carryover.carry_inputs import Given, read
from carryover.core import rng
from carryover.core.block import Tensors
from carryover.core.config import canonical
from carryover.core.evaluate import SplitBatches, evaluate
from carryover.core.progress import Progress
from carryover.io.checkpoint import save_tensors
from carryover.io.files import replacing
from carryover.transfer.network import Network
from carryover.transfer.own import LINEAR_STEPS, Moved, Options, transfer
from carryover.transfer.settings import Method

Accuracies = dict[str, dict[str, float]]
"""Net -> split -> accuracy, in the order of the report."""
METHODS = [method for method in get_args(Method) if method != "oracle"]
GRIDS = get_args(Options.model_fields["grid"].annotation)
RULE = "Source and target must have one architecture. Files are safetensors; nothing is ever unpickled."
FILES = {
    "source-start": "instead of --source-run: state dict of your own source before its training",
    "source-end": "and after it",
    "images": "data set of a study, or tensors `images` and `labels` (default: the data set of the run)",
    "out": "file to write, ending in .safetensors",
    "report": "write the report, with the permutation, to this JSON file too",
}
"""Arguments that are files, each with its meaning."""


def carry(given: Given, options: Options, select: str | None = None) -> tuple[Moved, Accuracies]:
    """Transfer, and measure the nets before and after on the splits that are there.

    The result is the step with the best accuracy on validation images, or the last one: `select` is `val` or `last`,
    and None takes `val` where it can.
    Raises ValueError when there are no validation images to select by, or when `transfer` refuses.
    """
    splits = given.data.splits
    if select == "val" and "val" not in splits:
        raise ValueError("--select val: the images have no validation split; use --select last")

    def accuracy(state: Tensors, split: str) -> float:
        return _accuracy(given.net, state, splits[split])

    def moved(options: Options) -> Moved:
        batches = given.data.minibatches(rng.stream_key(given.seed, "matching"))
        return transfer(given.source, given.net, batches, options, spec=given.spec)

    by_val = "val" in splits and select != "last"
    num_steps = options.steps or (1 if isinstance(given.source, list) else given.source.num_steps)
    with Progress(num_steps, options.method) as progress:
        progress.update(0)
        watched = {
            "watch": lambda step: progress.update(step.step),
            "score": (lambda state: accuracy(state, "val")) if by_val else None,
        }
        found = moved(options.model_copy(update=watched))
    naive = moved(Options(method="naive", steps=1))
    nets = {
        "source end": given.end,
        "target before": dict(given.net.state_dict()),
        "naive": naive.parameters,
        "transferred": found.parameters,
    }
    return found, {what: {name: accuracy(state, name) for name in splits} for what, state in nets.items()}


def _accuracy(net: nn.Module, state: Tensors, split: SplitBatches) -> float:
    own = copy.deepcopy(net)
    own.load_state_dict(state)
    network = Network(own, dict(own.named_buffers()))
    return evaluate(network.predictor(dict(own.named_parameters())), split, 1)["accuracy"][0]


def report(moved: Moved, accuracies: Accuracies) -> str:
    """Write what a person wants to know of a transfer in a few lines."""
    lines = [moved.report]
    splits = list(accuracies["transferred"])
    if splits:
        lines += ["", f"{'accuracy':13}" + "".join(f"  {name:>6}" for name in splits)]
        lines += [
            f"{what:13}" + "".join(f"  {own[name]:.4f}" for name in splits)
            for what, own in accuracies.items()
        ]
        how = "best of all steps on validation images" if moved.steps[0].score is not None else "the last"
        lines[-1] += f"  step {moved.chosen}, {how}"
    return "\n".join(lines)


def add_to(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `transfer` to the parser of `carryover`; its `run` takes the parsed arguments."""
    text = "hand the training of one net to another start of its architecture"
    parser = subparsers.add_parser("transfer", help=text, description=text, epilog=RULE, allow_abbrev=False)
    for name, meaning in FILES.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", required=name == "out", help=meaning)
    add = parser.add_argument
    add("--source-run", type=Path, metavar="FOLDER", help="training block of a study with the source in it")
    add(
        "--target-init",
        type=Path,
        required=True,
        metavar="PATH",
        help="state dict, or training block, to carry to",
    )
    add("--pair", type=int, help="which pair of a study: its source and its target")
    add("--seed", type=int, help="which net of --source-run, instead of --pair")
    add("--target-seed", type=int, help="which net of the training block --target-init, instead of --pair")
    add(
        "--net", metavar="PACKAGE.MODULE:FUNCTION", help="function without arguments that builds your own net"
    )
    add("--method", choices=METHODS, default="fgmt", help="way to find the permutation (default: fgmt)")
    line = parser.add_mutually_exclusive_group()
    line.add_argument(
        "--steps", type=int, default=LINEAR_STEPS, help="steps on a straight line (default: 10)"
    )
    line.add_argument(
        "--actual", action="store_true", help="follow the recorded points of --source-run instead"
    )
    add("--grid", choices=GRIDS, default="uniform", help="where on the line the steps lie (default: uniform)")
    add("--batches", type=int, default=1, metavar="N", help="mini-batches of each gradient (default: 1)")
    add("--batch-size", type=int, default=128, metavar="B", help="images of a mini-batch (default: 128)")
    add("--select", choices=["val", "last"], help="step to write (default: val, where there are such images)")
    add("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where to compute (default: auto)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Transfer as asked, write the net and print the report.

    Raises ValueError when that cannot be done.
    """
    if args.out.suffix != ".safetensors":
        raise ValueError(f"--out: the file to write must end in .safetensors: got {args.out}")
    for name in ("steps", "batches", "batch_size"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1: got {getattr(args, name)}")
    given = read(args)
    options = Options(
        method=args.method,
        steps=None if args.actual else args.steps,
        grid=args.grid,
        num_batches=args.batches,
        seed=given.seed,
    )
    moved, accuracies = carry(given, options, args.select)
    notes = {
        "made_by": "carryover transfer",
        "options": canonical(options),
        "step": str(moved.chosen),
        **given.notes,
    }
    save_tensors(args.out, moved.parameters, notes)
    if args.report is not None:
        _write_report(args.report, moved, accuracies, notes)
    sys.stdout.write(f"{report(moved, accuracies)}\n{args.out}: {args.out.stat().st_size:,} bytes\n")


def _write_report(path: Path, moved: Moved, accuracies: Accuracies, notes: dict[str, str]) -> None:
    found = {
        **notes,
        "accuracy": accuracies,
        "chosen": moved.chosen,
        "num_units": moved.num_units,
        "steps": [asdict(step) for step in moved.steps],
        "permutation": {group: order.tolist() for group, order in moved.permutation.items()},
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
