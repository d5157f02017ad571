"""A copy of the workflow that a test may edit, and the ways to run it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


class WorkflowCopy:
    """The workflow and the package in a folder of their own; `results` lie there too."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in ("Snakefile", "config.yaml"):
            shutil.copy(ROOT / name, folder / name)
        for name in ("workflow", "studies", "envs", "profiles", "slurm"):
            shutil.copytree(ROOT / name, folder / name)
        shutil.copytree(
            ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )

    @property
    def environment(self) -> dict[str, str]:
        """Environment in which the copy of the package is the one that is imported."""
        return {**os.environ, "PYTHONPATH": str(self.folder / "src"), "OMP_NUM_THREADS": "1"}

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run snakemake in the copy; stdout holds everything."""
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def planned(self, *arguments: str) -> dict[str, int]:
        """Count the jobs by rule that a dry run plans."""
        done = self.snakemake("-n", *arguments)
        assert done.returncode == 0, done.stdout
        table = re.search(
            r"^Job stats:\njob +count\n[- ]+\n(.*?)^total", done.stdout, re.MULTILINE | re.DOTALL
        )
        rows = table[1].split("\n") if table else []
        return {rule: int(count) for rule, count in (row.split() for row in rows if row.strip())}

    def edit(self, path: str, before: str, after: str) -> None:
        """Replace text in a file of the copy; it must be there."""
        file = self.folder / path
        text = file.read_text()
        assert before in text, f"{before!r} is not in {path}"
        file.write_text(text.replace(before, after, 1))
