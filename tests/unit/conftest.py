"""A laboratory for tables and figures: results folders as trainings leave them, without training."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from carryover.core.config import canonical
from carryover.io.manifest import write_manifest
from carryover.io.tables import save_table
from carryover.iterand.settings import METHODS

MLP = {"kind": "mlp", "hidden": [32, 32]}
EPOCH_STEPS = 10
OWN = {
    "dense": {"lr": 0.1},
    "popup": {"score_lr": 1.0, "sparsity": 0.5, "diagnose_every": 5},
    "iterand": {
        "score_lr": 1.0,
        "sparsity": 0.5,
        "diagnose_every": 5,
        "randomize_every": 5,
        "randomize_prob": 0.1,
    },
}


class MadeResults:
    """Writes training blocks into a folder; each `add` returns the path of a manifest."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.manifests: list[Path] = []

    def add(
        self,
        arm: str,
        accuracy: Mapping[int, float],
        *,
        run: str | None = None,
        diverged: Iterable[int] = (),
        splits: Iterable[str] = ("test",),
        **settings: object,
    ) -> Path:
        """Write a block whose seeds end at the given accuracies; a diverged seed stops after the first epoch."""
        method, _, weights = arm.partition("-")
        base = {"dataset": "digits", "net": MLP, "epochs": 3, "curve": "test", "weights": weights or "ku"}
        spec = METHODS[method].model_validate({"method": method, **base, **OWN[method], **settings})
        run = run or f"digits-{len(self.manifests)}-{arm}"
        block = f"s{min(accuracy)}-{max(accuracy)}" if len(accuracy) > 1 else f"s{min(accuracy)}"
        folder = self.folder / run / block
        rows = [
            {"run": run, "seed": seed, **row}
            for seed, value in accuracy.items()
            for row in (stopped() if seed in set(diverged) else observed(method, value, spec.epochs, splits))
        ]
        save_table(folder / "metrics.csv", rows)
        write_manifest(
            folder / "manifest.json",
            stage=spec.stage,
            spec=canonical(spec),
            code="abc",
            seeds=block,
            inputs=[],
            outputs=[folder / "metrics.csv"],
            record={"run": run},
        )
        self.manifests.append(folder / "manifest.json")
        return self.manifests[-1]


def row(split: str, step: int, metric: str, value: float) -> dict[str, object]:
    """Make one observation."""
    return {"split": split, "step": step, "metric": metric, "value": value}


def stopped() -> list[dict[str, object]]:
    """What a seed leaves that diverged in its second epoch."""
    first = [row("train", EPOCH_STEPS, "loss", 3.0), row("test", EPOCH_STEPS, "accuracy", 0.1)]
    return [*first, row("train", 2 * EPOCH_STEPS, "diverged", 1.0)]


def observed(method: str, accuracy: float, epochs: int, splits: Iterable[str]) -> list[dict[str, object]]:
    """What a finished seed leaves: accuracy rises in equal steps to its last value."""
    end = epochs * EPOCH_STEPS
    rows = [row("train", EPOCH_STEPS * (e + 1), "loss", 1.0) for e in range(epochs)]
    for split in splits:
        rows += [
            row(split, EPOCH_STEPS * (e + 1), "accuracy", accuracy * ((e + 1) / epochs))
            for e in range(epochs)
        ]
        rows += [row(split, end, "loss", 1 - accuracy)]
    rows += [row("none", end, "num_weights", 1000.0)]
    if method == "dense":
        return [*rows, row("none", end, "num_trained", 1010.0)]
    rows += [row("none", end, "num_kept", 500.0)]
    rows += [row("none", step, "never_kept", 0.5 - step / 1000) for step in range(5, end, 5)]
    rows += [row("none", step, "turnover", 0.1) for step in range(10, end, 5)]
    if method == "iterand":
        events = [0, *range(5, end, 5)]
        rows += [row("none", step, "last_redraw", 1 / len(events)) for step in events]
    return rows


@pytest.fixture
def made(tmp_path: Path) -> MadeResults:
    """Give an empty folder of results to write blocks into."""
    return MadeResults(tmp_path / "results")
