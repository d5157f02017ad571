"""Small trainings on real digits, frozen bit for bit where the machine is the one that froze them.

Rounding differs between CPUs and versions of torch, so bits are compared only where both are those in
`digits.json`; elsewhere the accuracies must be near. What is drawn must be the same everywhere.
`python tests/reference/test_digits.py` freezes them anew, after a change that is meant to change results.
"""

import json
import platform
import re
import tempfile
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from carryover.core.config import canonical
from carryover.core.rng import generator
from carryover.data.augment import random_boxes, random_flips
from carryover.data.images import load_images
from carryover.data.settings import Digits
from carryover.io.checkpoint import digest_of, load_tensors
from carryover.io.tables import load_table
from carryover.iterand.settings import METHODS
from carryover.sparse.init import draw_weights
from carryover.sparse.randomize import redraw_stream
from carryover.stages import iterand_dense, iterand_popup, iterand_search, prepare_digits

FROZEN = Path(__file__).with_name("digits.json")
STAGES = {"dense": iterand_dense, "popup": iterand_popup, "iterand": iterand_search}
SCORES = {"score_lr": 1.0, "sparsity": 0.5, "diagnose_every": 20}
ITERAND = {**SCORES, "randomize_every": 4, "randomize_prob": 0.1}
RUNS = {
    "dense": {"method": "dense", "lr": 0.1},
    "popup-ku": {"method": "popup", "weights": "ku", **SCORES},
    "iterand-ku": {"method": "iterand", "weights": "ku", **ITERAND},
    "iterand-sc": {"method": "iterand", "weights": "sc", **ITERAND, "rank": "absolute"},
}
NEAR = 0.08
"""Difference of a mean accuracy over three seeds that another machine's rounding may make."""


def this_machine() -> dict[str, str]:
    cpu = Path("/proc/cpuinfo")
    lines = (cpu.read_text() if cpu.exists() else "").partition("\n\n")[0].splitlines()
    facts = dict(re.split(r"\s*:\s*", line, maxsplit=1) for line in lines)
    model = [facts.get(key, "") for key in ("vendor_id", "cpu family", "model")]
    kind = " ".join([platform.machine(), *model, torch.backends.cpu.get_cpu_capability()])
    return {"torch": version("torch"), "cpu": kind}


def drawn() -> dict[str, str]:
    """Digests of everything that named streams draw."""
    weights = {
        d: draw_weights(d, (16, 64), 64, generator(0, "weights", "fc1")) for d in ("ku", "sc", "u", "hidden")
    }
    fresh = {"redraw": torch.rand(500, generator=redraw_stream(3, "fc1", 7))}
    order = {"order": torch.randperm(1400, generator=generator(3, "order", 5))}
    draw = generator(3, "augment", 5)
    crops = {"boxes": random_boxes(64, 40, 40, draw), "flips": random_flips(64, draw)}
    return {
        name: digest_of({name: tensor}) for name, tensor in {**weights, **fresh, **order, **crops}.items()
    }


def trained(name: str, images: Path, folder: Path) -> dict[str, object]:
    """Train three seeds for ten epochs; return digests of their nets and metrics, and their accuracy."""
    usual = {"dataset": "digits", "net": {"kind": "mlp", "hidden": [16, 16]}, "epochs": 10, "batch_size": 64}
    run = METHODS[RUNS[name]["method"]].model_validate(
        {**usual, "evaluate_every": 5, "curve": "test", **RUNS[name]}
    )
    block = folder / name / "s0-2"
    STAGES[RUNS[name]["method"]].main(
        [
            *("--spec", canonical(run), "--seeds", "s0-2", "--images", str(images)),
            *("--metrics", str(block / "metrics.csv"), "--nets", str(block / "nets.safetensors")),
            *("--manifest", str(block / "manifest.json")),
        ]
    )
    metrics = load_table(block / "metrics.csv")
    last = metrics.query("split == 'test' and metric == 'accuracy' and step == 220")
    return {
        "nets": digest_of(load_tensors(block / "nets.safetensors")[0]),
        "metrics": sha256((block / "metrics.csv").read_bytes()).hexdigest(),
        "accuracy": float(last["value"].mean()),
    }


def make_digits(folder: Path) -> Path:
    path = folder / "digits.safetensors"
    prepare_digits.main(["--spec", canonical(Digits(source="digits")), "--images", str(path)])
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    return make_digits(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def frozen() -> dict:
    return json.loads(FROZEN.read_text())


def test_named_streams_draw_what_they_drew_on_every_machine(frozen):
    assert drawn() == frozen["drawn"]


def test_the_digits_are_split_as_they_were(images, frozen):
    assert load_images(images).digest == frozen["images"]


@pytest.mark.parametrize("name", RUNS)
def test_a_training_ends_as_it_did(images, tmp_path, frozen, name):
    found, expected = trained(name, images, tmp_path), frozen["runs"][name]
    if frozen["machine"] == this_machine():
        assert found == expected
    else:
        assert found["accuracy"] == pytest.approx(expected["accuracy"], abs=NEAR)


def freeze() -> None:
    """Write `digits.json` from this machine."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = make_digits(folder)
        found = {
            "machine": this_machine(),
            "drawn": drawn(),
            "images": load_images(images).digest,
            "runs": {run: trained(run, images, folder) for run in RUNS},
        }
    FROZEN.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    freeze()
