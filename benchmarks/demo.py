"""Time the workflow from nothing: the demo and the tiny study, all figures, in a copy of the repository."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _report import write_report

from carryover.workflow import load_workflow

ROOT = Path(__file__).parent.parent
GOALS = {("demo", "iterand"): "180", ("demo", "transfer"): "180", ("demo", "metaticket"): "300"}
"""Seconds of one paper's figures, after those of the papers before it."""


def run(folder: Path, *arguments: str) -> tuple[float, str]:
    """Run snakemake in the copy; return its wall time in seconds and what it said."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=folder, env=environment, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return time.perf_counter() - began, done.stdout


def by_paper(folder: Path, study: str) -> dict[str, list[str]]:
    """Give the targets of each paper of a study."""
    flow = load_workflow({"study": study}, folder)
    papers = [flow.transfer, flow.metaticket]
    found = {part.paper: part.targets() for part in papers if part is not None}
    later = {target for targets in found.values() for target in targets}
    return {"iterand": [target for target in flow.targets() if target not in later], **found}


def main() -> None:
    """Make everything, then nothing, then one figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", nargs="+", default=["tiny", "demo"])
    parser.add_argument(
        "--only", help="time the figures of one paper alone, from nothing, and write no report"
    )
    args = parser.parse_args()
    studies = args.studies
    rows: list[list[object]] = [["what", "wall, s", "goal, s"]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        for study in studies:
            own = ("--config", f"study={study}")
            for paper, targets in by_paper(folder, study).items():
                if args.only not in (None, paper):
                    continue
                seconds, said = run(folder, *targets, *own)
                jobs = next(line.split()[1] for line in said.splitlines() if line.startswith("total "))
                goal = GOALS.get((study, paper), "")
                rows.append([f"`{study}`: {paper} from nothing, {jobs} jobs", f"{seconds:.0f}", goal])
            if args.only:
                continue
            seconds, said = run(folder, "all_figures", *own)
            assert "Nothing to be done" in said
            rows.append([f"`{study}`: again", f"{seconds:.1f}", "5"])
            (folder / f"results/{study}/figures/iterand/fig1.pdf").unlink()
            seconds, said = run(folder, *own)
            rows.append([f"`{study}`: after fig1.pdf was deleted (one figure job)", f"{seconds:.1f}", ""])
        size = sum(path.stat().st_size for path in (folder / "results").rglob("*") if path.is_file())
    if args.only:
        print(*rows, sep="\n")
        return
    told = [f"Two jobs at a time, one thread each, on {os.cpu_count()} cores; a clone of the last commit; n = 1.",
            f"All results together take {size / 1e6:.0f} MB."]  # fmt: skip
    write_report("demo", "The demo from nothing", told, rows)


if __name__ == "__main__":
    main()
