"""`carryover export`: a trained net as a plain state dict, or as its seed and what the seed cannot tell."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from carryover.core import rng
from carryover.core.config import parse
from carryover.io.checkpoint import load_tensors, save_tensors
from carryover.io.manifest import read_manifest
from carryover.io.tables import load_table
from carryover.iterand.compact import EVENT, MASK, OTHER
from carryover.iterand.rebuild import rebuild
from carryover.iterand.settings import METHODS, IterandRun, PopupRun
from carryover.nets.build import build_net
from carryover.sparse.prunable import prunable
from carryover.train.settings import Training

Form = Literal["dense", "compact"]
NO_FASTER = "A mask makes the file smaller, not the net faster: zeros are multiplied like any other weight."


@dataclass(frozen=True)
class StoredNet:
    """One trained net in one of its forms, with all that it takes to build it."""

    form: Form
    """`dense`: parameters and buffers by name; `compact`: masks, events and buffers (IteRand, section 6.3)."""
    run: Training
    seed: int
    image_shape: tuple[int, int, int]
    num_classes: int
    tensors: dict[str, Tensor]

    def net(self) -> nn.Module:
        """Build the net on the CPU, set to evaluation.

        Raises ValueError when the tensors are not those of the run's net.
        """
        affine = self.run.affine
        net = build_net(self.run.net, self.image_shape, self.num_classes, affine=affine)
        state = net.state_dict()
        own = self.tensors if self.form == "dense" else self._rebuilt(net)
        if self.form == "compact":  # biases are zero, and not stored
            own = {**{name: state[name] for name, _ in net.named_parameters()}, **own}
        if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in state.items()}:
            raise ValueError("the tensors are not those of the net that the settings describe")
        net.load_state_dict(own)
        return net.eval()

    def _rebuilt(self, net: nn.Module) -> dict[str, Tensor]:
        assert isinstance(self.run, PopupRun)
        fan_in = prunable(net)
        shapes = {name: tuple(net.get_parameter(name).shape) for name in fan_in}
        return rebuild(self.tensors, shapes, fan_in, self.run, self.seed)


def load_net(path: Path) -> nn.Module:
    """Read a net that `carryover export` wrote, in either form: on the CPU, set to evaluation, never unpickled.

    It takes images as its training did, (pixels / max_value - mean) / std with the numbers of its data set.
    Raises ValueError when the file is damaged or no exported net.
    """
    tensors, notes = load_tensors(path)
    if notes.get("form") not in get_args(Form):
        raise ValueError(
            f"{path} is no exported net: `carryover export FOLDER --seed N --to dense OUT` makes one"
        )
    try:
        return _stored(
            "dense" if notes["form"] == "dense" else "compact", int(notes["seed"]), tensors, notes
        ).net()
    except ValueError as error:
        raise ValueError(
            f"{path} does not describe a net that this version can build ({error}): export it again"
        ) from error


def _stored(form: Form, seed: int, tensors: dict[str, Tensor], notes: dict[str, str]) -> StoredNet:
    channels, height, width = map(int, notes["shape"].split(","))
    run = parse(METHODS[json.loads(notes["spec"])["method"]], notes["spec"])
    return StoredNet(form, run, seed, (channels, height, width), int(notes["classes"]), tensors)


def read_block(folder: Path, seed: int) -> tuple[StoredNet, dict[str, str]]:
    """Read one net of a training block as the stage stored it, and the notes of the file.

    Raises ValueError when the block is missing, unfinished or damaged, or has no net of that seed that
    finished its training.
    """
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        raise ValueError(
            f"{manifest} is missing, so {folder} is no finished training block, such as"
            f" results/demo/iterand/<run>/s0-4: `snakemake {manifest}` makes it"
        )
    if read_manifest(manifest).stage not in {model.stage for model in METHODS.values()}:
        raise ValueError(f"{folder} holds no nets: export takes a training block of a study")
    tensors, notes = load_tensors(folder / "nets.safetensors")
    seeds = sorted({int(name.partition("/")[0]) for name in tensors})
    if seed not in seeds:
        raise ValueError(
            f"--seed {seed}: {folder} has the seeds {', '.join(map(str, seeds))}; choose one of these"
        )
    metrics = load_table(folder / "metrics.csv")
    if ((metrics["seed"] == seed) & (metrics["metric"] == "diverged")).any():
        raise ValueError(f"--seed {seed}: this net diverged and was stopped, so there is nothing to export")
    own = {name.removeprefix(f"{seed}/"): t for name, t in tensors.items() if name.startswith(f"{seed}/")}
    form: Form = "compact" if any(name.startswith(MASK) for name in own) else "dense"
    return _stored(form, seed, own, notes), notes


def export(folder: Path, seed: int, form: Form, path: Path) -> str:
    """Write one net of a training block to a safetensors file; return a report of sizes.

    Before that, the two forms are checked to give the same weights and logits, bit for bit.
    Raises ValueError when the block cannot be exported so.
    """
    if path.suffix != ".safetensors":
        raise ValueError(f"the file to write must end in .safetensors: got {path}")
    trained, notes = read_block(folder, seed)
    if form == "compact" and trained.form == "dense":
        raise ValueError(f"{folder} is weight training: only a ticket has a compact form; use --to dense")
    net = trained.net()
    dense = StoredNet(
        "dense", trained.run, seed, trained.image_shape, trained.num_classes, dict(net.state_dict())
    )
    _check_equal(net, dense.net(), trained)
    chosen = dense if form == "dense" else trained
    kept_notes = {key: notes[key] for key in ("spec", "shape", "classes")}
    save_tensors(path, chosen.tensors, {**kept_notes, "form": form, "seed": str(seed)})
    _check_equal(net, load_net(path), trained)
    return _report(trained, net, int(load_table(folder / "metrics.csv")["step"].max()), path)


@torch.no_grad()
def _check_equal(net: nn.Module, other: nn.Module, trained: StoredNet) -> None:
    """Make sure that two nets have the same tensors and logits, also for a single image."""
    ours, theirs = net.state_dict(), other.state_dict()
    images = torch.randn(8, *trained.image_shape, generator=rng.generator(trained.seed, "export"))
    same = ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    if not (same and all(torch.equal(net(part), other(part)) for part in (images, images[:1]))):
        raise ValueError(
            "the dense and the compact form of this net differ: its block is damaged, train it again"
        )


def _report(trained: StoredNet, net: nn.Module, num_steps: int, path: Path) -> str:
    """Write the sizes of a net in every form, in bytes and as shares of its dense weights."""
    weights = [net.get_parameter(name) for name in prunable(net)]
    total = sum(w.numel() for w in weights)
    written = path.stat().st_size
    if trained.form == "dense":
        return f"{total:,} weights, all kept\n{path}: {written:,} bytes"
    kept = [_num_kept(trained.tensors[MASK + name]) for name in prunable(net)]
    sizes = _sizes(trained, [w.numel() for w in weights], kept, num_steps)
    sizes[f"{path.name}, as written"] = written
    width = max(map(len, sizes))
    dense = 4 * total
    lines = [f"{total:,} weights, {sum(kept):,} kept, seed {trained.seed}", ""]
    lines += [f"{what:{width}}  {size:>14,.0f} bytes  {size / dense:9.2%}" for what, size in sizes.items()]
    return "\n".join([*lines, "", NO_FASTER])


def _num_kept(bits: Tensor) -> int:
    return sum(value.bit_count() for value in bits.tolist())


def _sizes(
    trained: StoredNet, totals: Sequence[int], kept: Sequence[int], num_steps: int
) -> dict[str, float]:
    """Count bytes. Source: IteRand, sections 1.6 and 6.3."""
    num_events = num_steps // trained.run.randomize_every if isinstance(trained.run, IterandRun) else 0
    bits = ceil(log2(num_events + 1))
    stored = {
        kind: sum(_bytes(t) for n, t in trained.tensors.items() if n.startswith(kind))
        for kind in (MASK, EVENT, OTHER)
    }
    entropy = sum(n * _entropy(k / n) for n, k in zip(totals, kept, strict=True)) / 8
    sizes = {
        "dense weights, fp32": 4.0 * sum(totals),
        "mask, entropy bound": entropy,
        "mask, one bit per weight": stored[MASK],
        f"last of {num_events:,} redraws of each kept weight, {bits} bits": sum(kept) * bits / 8,
        "last redraws, as stored in whole bytes": stored[EVENT],
        "batch-norm statistics": stored[OTHER],
        f"one seed and the masks of {num_events:,} redraws and the end": 8
        + (num_events + 1) * sum(totals) / 8,
        "compact form: one seed, one mask, last redraws": 8.0 + sum(map(_bytes, trained.tensors.values())),
    }
    return {what: size for what, size in sizes.items() if size}


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _entropy(share: float) -> float:
    """Return the bits that one of two outcomes takes, if one has this share."""
    return -sum(p * log2(p) for p in (share, 1 - share) if p > 0)


def add_to(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `export` to the parser of `carryover`; its `run` takes the parsed arguments."""
    text = "write one trained net as a plain dense net or in its exact compact form"
    parser = subparsers.add_parser(
        "export", help=text, description=text, epilog=NO_FASTER, allow_abbrev=False
    )
    parser.add_argument("folder", type=Path, help="training block, such as results/demo/iterand/<run>/s0-4")
    parser.add_argument("--seed", type=int, required=True, help="which net of the block")
    parser.add_argument("--to", choices=get_args(Form), required=True, help="form to write")
    parser.add_argument("out", type=Path, help="file to write, ending in .safetensors")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Export one net and print the report of sizes.

    Raises ValueError when it cannot be exported as asked.
    """
    sys.stdout.write(export(args.folder, args.seed, args.to, args.out) + "\n")
