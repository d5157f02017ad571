"""The how-to pages on learning transfer, followed word by word in a copy of the repository."""

import shlex
import subprocess
import sys

import pytest
from pages import ROOT, blocks, commands, follow
from workflow_copy import WorkflowCopy

from carryover.io.observations import read_observations
from carryover.workflow import load_workflow

PAGES = ROOT / "docs" / "how-to"
MOST_FILES = 3


@pytest.fixture
def copy(tmp_path):
    return WorkflowCopy(tmp_path)


def test_a_transfer_method_is_added_as_the_page_says_in_three_files(copy):
    page = PAGES / "add-a-transfer-method.md"
    touched = sorted(path for path in follow(page, copy.folder) if path.startswith("src/"))
    assert len(touched) <= MOST_FILES, touched
    for words in (["check"], ["format", "--diff"]):
        config = str(ROOT / "pyproject.toml")
        command = [
            sys.executable,
            "-m",
            "ruff",
            *words,
            "--quiet",
            "--no-cache",
            "--config",
            config,
            *touched,
        ]
        checked = subprocess.run(command, cwd=copy.folder, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr

    (line,) = (line for line in commands(page) if line.startswith("snakemake "))
    done = copy.snakemake("--cores", "1", *shlex.split(line)[1:])
    assert done.returncode == 0, done.stdout[-5000:]

    rows = read_observations([copy.folder / "results/starts/transfer/transfers/main/pairs1-2/manifest.json"])
    costs = rows[rows["metric"] == "num_gradients"].set_index(["pair", "method", "step"])["value"]
    accuracies = rows.query("metric == 'accuracy' and split == 'val'").set_index(["pair", "method", "step"])[
        "value"
    ]
    for pair in (1, 2):
        assert [costs[pair, "once", t] for t in (1, 4)] == [2, 2]
        assert [costs[pair, "fgmt", t] for t in (1, 4)] == [2, 8]
        assert accuracies[pair, "once", 1] == accuracies[pair, "fgmt", 1]
        assert accuracies[pair, "once", 4] != accuracies[pair, "fgmt", 4]


def test_a_study_of_learning_transfer_plans_the_jobs_that_the_page_says(copy):
    page = PAGES / "write-a-study.md"
    follow(page, copy.folder)
    promised = next(block.text for block in blocks(page) if "train_net" in block.text)
    planned = copy.planned("--config", "study=carried")
    planned.pop("all_figures")
    assert planned == {rule: int(count) for rule, count in map(str.split, promised.splitlines())}
    runs = load_workflow({"study": "carried"}, copy.folder).transfer.runs
    assert {*runs["trainings"]} == {"plain-mlp16", "plain-mlp64"}
    assert {*runs["transfers"]} == {"width-plain-mlp16", "width-plain-mlp64", "more-steps1", "more-steps8"}
