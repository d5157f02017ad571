"""Time five seeds of the digits MLP (h = 32) in one block against five processes, start-up included."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _report import write_report

from carryover.core.config import canonical
from carryover.workflow import load_workflow

ROOT = Path(__file__).parent.parent


def train(images: Path, folder: Path, method: str, seeds: str) -> float:
    """Run the command of a training stage with one thread; return its wall time in seconds."""
    run = load_workflow({"study": "demo"}, ROOT).runs[f"digits-mlp32-{method}-ku"]
    out = folder / run.name / seeds
    command: list[str | Path] = [
        sys.executable, "-m", f"carryover.stages.{run.settings.stage}", "--spec", run.spec, "--code", "0",
        "--seeds", seeds, "--device", "cpu", "--images", images, "--metrics", out / "metrics.csv",
        "--nets", out / "nets.safetensors", "--manifest", out / "manifest.json", "--work", folder / "work",
    ]  # fmt: skip
    began = time.perf_counter()
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Alternate the two ways, so that a change of the machine's speed meets both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    rows: list[list[object]] = [["method", "one block, s", "five processes, s", "ratio"]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = folder / "digits.safetensors"
        spec = canonical(load_workflow({"study": "demo"}, ROOT).study.datasets["digits"])
        prepare: list[str | Path] = [
            sys.executable,
            "-m",
            "carryover.stages.prepare_digits",
            "--spec",
            spec,
            "--images",
            images,
        ]
        subprocess.run(prepare, check=True)
        for method in ("popup", "iterand"):
            together, apart = [], []
            for number in range(rounds):
                together.append(train(images, folder / f"t{number}", method, "s0-4"))
                apart.append(sum(train(images, folder / f"a{number}", method, f"s{s}") for s in range(5)))
            ratio = statistics.median(a / t for a, t in zip(apart, together, strict=True))
            rows.append(
                [
                    method,
                    f"{statistics.median(together):.1f}",
                    f"{statistics.median(apart):.1f}",
                    f"{ratio:.1f}",
                ]
            )
    told = [
        f"1,496 steps of the demo's recipe, median of n = {rounds} rounds; start-up of Python and torch included."
    ]
    write_report("block", "Five seeds in one process", told, rows)


if __name__ == "__main__":
    main()
