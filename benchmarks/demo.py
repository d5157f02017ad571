"""Time the workflow from nothing: the demo and the tiny study, all figures, in a copy of the repository."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _report import write_report

ROOT = Path(__file__).parent.parent
GOALS = {"demo": "660"}
"""Seconds from nothing: three minutes for IteRand, three for learning transfer, five for few-shot learning."""


def run(folder: Path, *arguments: str) -> tuple[float, str]:
    """Run snakemake in the copy; return its wall time in seconds and what it said."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=folder, env=environment, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return time.perf_counter() - began, done.stdout


def main() -> None:
    """Make everything, then nothing, then one figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", nargs="+", default=["tiny", "demo"])
    studies = parser.parse_args().studies
    rows: list[list[object]] = [["what", "wall, s", "goal, s"]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        for study in studies:
            own = ("--config", f"study={study}")
            seconds, said = run(folder, *own)
            jobs = next(line.split()[1] for line in said.splitlines() if line.startswith("total "))
            rows.append(
                [f"`{study}`: all figures from nothing, {jobs} jobs", f"{seconds:.0f}", GOALS.get(study, "")]
            )
            seconds, said = run(folder, "all_figures", *own)
            assert "Nothing to be done" in said
            rows.append([f"`{study}`: again", f"{seconds:.1f}", "5"])
            (folder / f"results/{study}/figures/iterand/fig1.pdf").unlink()
            seconds, said = run(folder, *own)
            rows.append([f"`{study}`: after fig1.pdf was deleted (one figure job)", f"{seconds:.1f}", ""])
        size = sum(path.stat().st_size for path in (folder / "results").rglob("*") if path.is_file())
    told = [f"Two jobs at a time, one thread each, on {os.cpu_count()} cores; a clone of the last commit; n = 1.",
            f"All results together take {size / 1e6:.0f} MB."]  # fmt: skip
    write_report("demo", "The demo from nothing", told, rows)


if __name__ == "__main__":
    main()
