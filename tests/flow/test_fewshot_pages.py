"""The how-to page on few-shot methods, followed word by word in a copy of the repository."""

import shlex
import subprocess
import sys

from pages import ROOT, commands, follow
from workflow_copy import WorkflowCopy

from carryover.io.fewshot import read_fewshot

PAGE = ROOT / "docs" / "how-to" / "add-a-fewshot-method.md"
MOST_FILES = 2


def test_a_fewshot_method_is_added_as_the_page_says_in_two_files(tmp_path):
    copy = WorkflowCopy(tmp_path)
    touched = sorted(path for path in follow(PAGE, copy.folder) if path.startswith("src/"))
    assert len(touched) <= MOST_FILES, touched
    (line,) = (line for line in commands(PAGE) if line.startswith("snakemake "))
    done = copy.snakemake("--cores", "1", *shlex.split(line)[1:])
    assert done.returncode == 0, done.stdout[-5000:]

    results = read_fewshot(sorted((copy.folder / "results/frozen/metaticket").rglob("manifest.json")))
    assert {*results.rows["method"]} == {"anil", "metaticket", "metaticket-anil"}
    masked = results.rows[results.rows["metric"].str.startswith("sparsity/")]
    assert {*masked["method"]} == {"metaticket", "metaticket-anil"}
    assert ((masked["value"] > 0) == (masked["step"] > 0)).all(), "dense at first, and then no more"
    tested = {(run, seed, step) for run, seed, _, _, step in results.scores}
    assert {("main-main-metaticket-anil", seed, step) for seed in (1, 2) for step in (0, 1, 3)} <= tested

    for words in (["check"], ["format", "--diff"]):
        command = [sys.executable, "-m", "ruff", *words, "--quiet", "--no-cache"]
        command += ["--config", str(ROOT / "pyproject.toml"), *touched]
        checked = subprocess.run(command, cwd=copy.folder, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr
