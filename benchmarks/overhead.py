"""Time what Snakemake itself costs: parsing, planning the paper study, and finding nothing to do."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _report import write_report

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "numpy", "pandas", "matplotlib", "scipy", "sklearn")


def timed(*arguments: str, expect: str = "", rounds: int = 5) -> float:
    """Run snakemake several times; return the median wall time in seconds."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        times.append(time.perf_counter() - began)
        assert expect in done.stdout + done.stderr, done.stdout + done.stderr
    return statistics.median(times)


def bare_start() -> float:
    """Time snakemake on a workflow of one empty rule."""
    with tempfile.TemporaryDirectory() as folder:
        snakefile = Path(folder) / "Snakefile"
        snakefile.write_text("rule nothing:\n    shell: 'true'\n")
        return timed("--list-rules", "-s", str(snakefile), "-d", folder, "--workflow-profile", "none")


def main() -> None:
    """Measure; the last row needs a finished demo."""
    loaded = subprocess.run(
        [sys.executable, "-c", "import carryover.workflow, sys; print(' '.join(sys.modules))"],
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    heavy = [name for name in HEAVY if name in loaded]
    start, parse = bare_start(), timed("--list-rules")
    rows: list[list[object]] = [
        ["what", "median wall, s", "goal, s"],
        ["start of snakemake, no workflow", f"{start:.2f}", ""],
        ["start and parse of our Snakefile (demo)", f"{parse:.2f}", ""],
        ["parse alone (difference)", f"{parse - start:.2f}", "1.5"],
        ["dry run of the paper study (206 trainings)", f"{timed('-n', '--config', 'study=paper'):.2f}", "5"],
        [
            "`snakemake all_figures`, nothing to do",
            f"{timed('all_figures', expect='Nothing to be done'):.2f}",
            "5",
        ],
    ]
    told = ["Median of n = 5.", f"Of {', '.join(HEAVY)}, the Snakefile imports {', '.join(heavy) or 'none'}."]
    write_report("overhead", "What the workflow costs beside the work", told, rows)


if __name__ == "__main__":
    main()
