"""A transfer, or a training after it, that is killed or runs out of time ends with the bytes of one left alone."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from transfer_stages import CONTINUATION, STAGES, TRANSFER, Laboratory, record, results

pytestmark = pytest.mark.xdist_group("resume")
NET = {"kind": "mlp", "hidden": [96, 96], "bias": True}
METHODS = ("naive", "gmt", "fgmt")
SPECS = {
    "transfers": {**TRANSFER, "steps": 24, "methods": METHODS},
    "continuations": {**CONTINUATION, "net": NET, "epochs": 60, "methods": METHODS},
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    made = Laboratory(tmp_path_factory.mktemp("laboratory"), net=NET)
    made.train("1")
    return made


@pytest.fixture(scope="module", params=list(SPECS))
def whole(request, lab):
    """What is left alone, in a process of its own."""
    if request.param == "continuations":
        spec = {**TRANSFER, "methods": METHODS}
        lab.run("transfers", "main", "pairs1", spec, *lab.ends("1"))
    subprocess.run(command(lab, request.param, "whole"), check=True)
    return request.param, outputs(lab, request.param, "whole")


def command(lab, kind, run, *extra):
    parts = (
        lab.ends("1")
        if kind == "transfers"
        else ["--transfer", *lab.manifests("transfers", "main", "pairs1")]
    )
    words = lab.command(kind, run, "pairs1", SPECS[kind], *parts, "--save-every", "0.02", *extra)
    return [sys.executable, "-m", STAGES[kind].__name__, *words]


def first_save(lab, run, process):
    """Wait until something was saved that was not there before."""
    work = lab.folder / "work" / run
    before = set(work.rglob("step-*.safetensors"))
    while process.poll() is None and set(work.rglob("step-*.safetensors")) <= before:
        time.sleep(0.005)


def finish(lab, kind, run):
    """Run the command to its end; give how many attempts there were."""
    subprocess.run(command(lab, kind, run), check=True)
    return record(lab.block(kind, run, "pairs1"))["attempt"]


def outputs(lab, kind, run):
    """Read all outputs as if the run had another name, which is in each row."""
    block = lab.block(kind, run, "pairs1")
    return {name: content.replace(f"\n{run},".encode(), b"\n,") for name, content in results(block).items()}


def test_three_kills_at_random_moments_change_no_byte(lab, whole):
    kind, expected = whole
    moments = random.Random(kind)
    for _ in range(3):
        process = subprocess.Popen(command(lab, kind, "kills"))
        first_save(lab, "kills", process)
        time.sleep(moments.uniform(0.0, 0.15))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the stage was over before it could be killed"
    assert not results(lab.block(kind, "kills", "pairs1")), "no half-finished output"
    assert finish(lab, kind, "kills") == 4
    assert outputs(lab, kind, "kills") == expected


def test_a_stop_signal_saves_and_exits_75(lab, whole):
    kind, expected = whole
    process = subprocess.Popen(command(lab, kind, "stops"), stderr=subprocess.PIPE, text=True)
    first_save(lab, "stops", process)
    process.terminate()
    _, told = process.communicate()
    assert process.returncode == os.EX_TEMPFAIL
    assert "told to stop (SIGTERM)" in told
    assert "the same command goes on from there" in told
    assert finish(lab, kind, "stops") == 2
    assert outputs(lab, kind, "stops") == expected


def test_a_spent_budget_saves_and_exits_75(lab, whole):
    kind, expected = whole
    spent = command(lab, kind, "short", "--minutes", "0.0001")  # over before the first save
    for _ in range(3):
        stopped = subprocess.run(spent, check=False, stderr=subprocess.PIPE, text=True)
        assert stopped.returncode == os.EX_TEMPFAIL
        assert "the time budget is over" in stopped.stderr
    assert finish(lab, kind, "short") == 4
    assert outputs(lab, kind, "short") == expected
