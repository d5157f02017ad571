"""The how-to page on transferring one's own network, followed word by word."""

import os
import re
import shlex
import subprocess
import sys

import pytest
from pages import ROOT, blocks, commands
from safetensors.torch import load_file
from workflow_copy import WorkflowCopy

from carryover.cli import main

PAGE = ROOT / "docs" / "how-to" / "transfer-your-own-network.md"
NAMED = re.compile(r"# (\w+\.py)\n")


def typed(program, number=0):
    """Words of a command of the page behind the name of its program."""
    return [shlex.split(line)[1:] for line in commands(PAGE) if line.startswith(f"{program} ")][number]


def without_numbers(text):
    return re.sub(r"\d[\d,.]*", "#", text).split()


@pytest.fixture
def followed(tmp_path, monkeypatch):
    """A folder with the programs of the page, run as it says; what each printed."""
    monkeypatch.chdir(tmp_path)
    for block in blocks(PAGE):
        if block.language == "python":
            name = NAMED.match(block.text)
            (tmp_path / name[1]).write_text(block.text, "utf-8")
    printed = {}
    for number in (0, 1):
        (program,) = typed("python", number)
        done = subprocess.run(
            [sys.executable, program],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr
        printed[program] = done.stdout
    return printed


def test_the_page_on_ones_own_network_does_what_it_says(followed, capsys):
    lines = followed["move.py"].splitlines()
    promised = next(block.text for block in blocks(PAGE) if block.language == "text")
    assert without_numbers("\n".join(lines[:-1])) == without_numbers(promised.partition("\n\n")[0])

    main(typed("carryover"))
    told = capsys.readouterr().out
    assert without_numbers(told) == without_numbers(promised)
    rows = re.findall(r"^(.{13})  \S+  ([\d.]+)", told, re.MULTILINE)
    accuracy = {what.strip(): float(on_test) for what, on_test in rows}
    assert accuracy["source end"] > 0.9
    assert accuracy["transferred"] > accuracy["naive"] + 0.2
    assert load_file("moved.safetensors").keys() == load_file("target.safetensors").keys()


def test_nets_of_a_study_are_transferred_as_the_page_says(tmp_path, monkeypatch, capsys):
    def in_tiny(words):
        return [word.replace("/demo/", "/tiny/").replace("1-3", "1-2") for word in words]

    copy = WorkflowCopy(tmp_path)
    done = copy.snakemake("--cores", "1", *in_tiny(typed("snakemake")), "--config", "study=tiny")
    assert done.returncode == 0, done.stdout[-5000:]
    monkeypatch.chdir(tmp_path)
    main(in_tiny(typed("carryover", 1)))
    told = capsys.readouterr().out
    assert re.search(r"^transferred .* step \d+, best of all steps on validation images$", told, re.MULTILINE)
