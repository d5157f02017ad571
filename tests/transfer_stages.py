"""Learning transfer's stages on a few dozen digits: trainings and whatever follows them, run in this process."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch
from pandas import DataFrame
from sklearn.datasets import load_digits

from carryover.core.config import canonical
from carryover.core.resume import OutOfTime
from carryover.data.images import Images, Split, save_images
from carryover.io.checkpoint import load_tensors
from carryover.io.tables import load_table
from carryover.io.trajectory import RecordedTrajectory, open_trajectory
from carryover.nets.build import build_net
from carryover.stages import (
    train_net,
    train_transferred,
    transfer_cosine,
    transfer_ensemble,
    transfer_landscape,
    transfer_synced,
    transfer_trajectory,
)
from carryover.transfer.network import Network
from carryover.transfer.pairs import seed_of
from carryover.transfer.settings import KINDS

MLP = {"kind": "mlp", "hidden": [10, 8], "bias": True}
BN = {"kind": "resnet", "depth": 18, "width": 1 / 64, "stem": "cifar"}
TRAINING = {"dataset": "few", "net": MLP, "epochs": 4, "batch_size": 16, "lr": 0.1, "weight_decay": 0}
TRANSFER = {"training": "base", "steps": 3, "batch_size": 16, "statistics_batches": 2}
CONTINUATION = {
    **{key: value for key, value in TRAINING.items() if key != "net"},
    **{"transfer": "main", "epochs": 2, "methods": ["naive", "gmt", "fgmt"]},
}
STAGES = {
    "trainings": train_net,
    "transfers": transfer_trajectory,
    "continuations": train_transferred,
    "cosines": transfer_cosine,
    "synced": transfer_synced,
    "landscapes": transfer_landscape,
    "ensembles": transfer_ensemble,
}
FILES = {"trainings": "trajectory", "transfers": "nets", "continuations": "nets"}
TAKES_LONG = ("trainings", "transfers", "continuations")


@cache
def digits(num_val: int) -> Images:
    """Take a few dozen digits of four classes."""
    bunch = load_digits(n_class=4)
    pixels = torch.from_numpy(bunch.images).to(torch.uint8)[:, None]
    labels = torch.from_numpy(bunch.target).long()
    ends = {"train": (0, 60), "val": (60, 60 + num_val), "test": (200, 240)}
    splits = {
        name: Split(pixels[first:last], labels[first:last], torch.arange(first, last))
        for name, (first, last) in ends.items()
    }
    return Images(
        dataset="few",
        splits=splits,
        classes=tuple("0123"),
        max_value=16,
        mean=(0.3,),
        std=(0.4,),
        spec="{}",
        origin="Digits of scikit-learn.",
    )


@dataclass
class Laboratory:
    """A folder of results; each method runs a stage as its rule does and returns the folder of the block."""

    folder: Path
    net: dict[str, object] = field(default_factory=lambda: MLP)
    num_val: int = 40

    @property
    def images(self) -> Path:
        path = self.folder / "few.safetensors"
        if not path.exists():
            save_images(path, digits(self.num_val))
        return path

    @property
    def splits(self) -> Mapping[str, Split]:
        return digits(self.num_val).splits

    def block(self, kind: str, run: str, block: str) -> Path:
        return self.folder / kind / run / block

    def command(self, kind: str, run: str, block: str, spec: dict[str, object], *extra: str) -> list[str]:
        """Write the arguments of a stage."""
        folder = self.block(kind, run, block)
        folder.mkdir(parents=True, exist_ok=True)
        settings = KINDS[kind].model_validate({k: v for k, v in spec.items() if k != "recipe"})
        text = canonical(settings)
        if "recipe" in spec:
            recipe = KINDS["trainings"].model_validate(spec["recipe"]).model_dump(mode="json")
            text = canonical({**settings.model_dump(mode="json"), "recipe": recipe})
        files = {"trajectory": "trajectory", "nets": "nets.safetensors"}
        output = FILES.get(kind)
        return [
            *("--spec", text, "--code", "abc", "--seeds", block, "--device", "cpu"),
            *("--images", str(self.images), "--metrics", str(folder / "metrics.csv")),
            *((f"--{output}", str(folder / files[output])) if output else ()),
            *("--manifest", str(folder / "manifest.json"), "--work", str(self.folder / "work"), *extra),
        ]

    def run(self, kind: str, run: str, block: str, spec: dict[str, object], *extra: str) -> Path:
        """Run a stage."""
        STAGES[kind].main(self.command(kind, run, block, spec, *extra))
        return self.block(kind, run, block)

    def manifests(self, kind: str, run: str, *blocks: str) -> list[str]:
        """Name the manifests of some blocks."""
        return [str(self.block(kind, run, block) / "manifest.json") for block in blocks]

    def train(self, pairs: str = "1-2", run: str = "base", **changes: object) -> None:
        """Train the sources and the targets of some pairs."""
        for role in ("source", "target"):
            self.run("trainings", run, f"{role}{pairs}", {**TRAINING, "net": self.net, **changes})

    def ends(self, pairs: str = "1-2", run: str = "base", target: str | None = None) -> list[str]:
        """Say where sources and targets are."""
        return [
            *("--source", *self.manifests("trainings", run, f"source{pairs}")),
            *("--target", *self.manifests("trainings", target or run, f"target{pairs}")),
        ]

    def transfer(
        self, block: str = "pairs1-2", run: str = "main", extra: tuple[str, ...] = (), **changes: object
    ) -> Path:
        """Transfer from the training that was made."""
        return self.run("transfers", run, block, {**TRANSFER, **changes}, *self.ends(), *extra)

    def continued(
        self, block: str = "pairs1-2", run: str = "main", extra: tuple[str, ...] = (), **changes: object
    ) -> Path:
        """Train on from the nets of the transfer `main` that was made."""
        where = next(path for path in (self.folder / "transfers" / "main").iterdir())
        spec = {**CONTINUATION, "net": self.net, **changes}
        return self.run("continuations", run, block, spec, "--transfer", str(where / "manifest.json"), *extra)

    def recorded(self, role: str, pair: int, run: str = "base", pairs: str = "1-2") -> RecordedTrajectory:
        """Open a recorded trajectory."""
        return open_trajectory(
            self.block("trainings", run, f"{role}{pairs}") / "trajectory", seed_of(role, pair)
        )

    def network(self) -> Network:
        """Build the net."""
        settings = KINDS["trainings"].model_validate({**TRAINING, "net": self.net}).net
        net = build_net(settings, (1, 8, 8), 4, affine=True)
        return Network(net, dict(net.named_buffers()))


def results(block: Path) -> dict[str, bytes]:
    """Read every byte of a result but the manifest, which holds times; without what was not made by the block."""
    found = [path for path in sorted(block.rglob("*")) if path.is_file() and path.name != "manifest.json"]
    return {path.relative_to(block).as_posix(): path.read_bytes() for path in found}


def metrics(block: Path) -> DataFrame:
    """Read what a block measured."""
    return load_table(block / "metrics.csv")


def values(
    block: Path, method: str, metric: str = "accuracy", split: str = "val", pair: int = 1
) -> dict[int, float]:
    """Read one metric of a method by step."""
    table = metrics(block)
    own = table[(table["method"] == method) & (table["metric"] == metric)]
    own = own[(own["split"] == split) & (own["pair"] == pair)]
    assert not own["step"].duplicated().any()
    return dict(zip(own["step"].tolist(), own["value"].tolist(), strict=True))


def nets(block: Path, prefix: str) -> dict[str, torch.Tensor]:
    """Read the nets of a block whose names begin with a prefix."""
    tensors, _ = load_tensors(block / "nets.safetensors")
    return {name.removeprefix(prefix): own for name, own in tensors.items() if name.startswith(prefix)}


def record(block: Path) -> dict[str, object]:
    """Read the circumstances that a manifest records."""
    return json.loads((block / "manifest.json").read_text())["record"]


def attempts(attempt: Callable[[], Path], most: int = 100) -> int:
    """Make attempts of a stage until one is not stopped, and count them; there must be no more than `most`."""
    for number in range(1, most + 1):
        try:
            attempt()
        except OutOfTime:
            continue
        return number
    raise AssertionError(f"still not over after {most} attempts")
