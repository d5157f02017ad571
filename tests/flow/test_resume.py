"""A training that is killed, or that runs out of time, ends with the same bytes as one that is left alone."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from spent_budgets import assert_every_attempt_comes_further

from carryover.core.config import canonical
from carryover.iterand.settings import IterandRun

pytestmark = pytest.mark.xdist_group("resume")
RUN = IterandRun(
    dataset="digits",
    net={"kind": "mlp", "hidden": [32, 32]},
    method="iterand",
    epochs=40,
    batch_size=64,
    score_lr=1.0,
    sparsity=0.5,
    randomize_every=7,
    randomize_prob=0.1,
    curve="test",
    diagnose_every=7,
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "digits.safetensors"
    spec = '{"source":"digits"}'
    subprocess.run(
        [sys.executable, "-m", "carryover.stages.prepare_digits", "--spec", spec, "--images", path],
        check=True,
    )
    return path


def command(images, folder, run=RUN, *extra):
    block = folder / "digits-mlp32-iterand" / "s0-1"
    return [
        sys.executable, "-m", f"carryover.stages.{run.stage}",
        "--spec", canonical(run), "--code", "0", "--seeds", "s0-1", "--device", "cpu",
        "--images", str(images), "--work", str(folder / "work"), "--save-every", "0.05",
        "--metrics", str(block / "metrics.csv"), "--nets", str(block / "nets.safetensors"),
        "--manifest", str(block / "manifest.json"), *extra,
    ]  # fmt: skip


def outputs(folder):
    block = folder / "digits-mlp32-iterand" / "s0-1"
    return (block / "metrics.csv").read_bytes(), (block / "nets.safetensors").read_bytes()


@pytest.fixture(scope="module", params=["always", "never"], ids=["stacked", "one by one"])
def uninterrupted(request, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    run = RUN.model_copy(update={"stack": request.param})
    subprocess.run(command(images, folder, run), check=True)
    return run, outputs(folder)


def first_save(folder, process):
    while process.poll() is None and not list((folder / "work").rglob("step-*.safetensors")):
        time.sleep(0.01)


def test_three_kills_change_no_byte(images, uninterrupted, tmp_path):
    run, expected = uninterrupted
    moments = random.Random(1)
    killed = 0
    for _ in range(3):
        process = subprocess.Popen(command(images, tmp_path, run))
        first_save(tmp_path, process)
        time.sleep(moments.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed == 3, "the training was over before it could be killed"
    assert not (tmp_path / "digits-mlp32-iterand").exists(), "no half-finished output"
    subprocess.run(command(images, tmp_path, run), check=True)
    assert outputs(tmp_path) == expected


def test_a_stop_signal_saves_and_exits_75(images, uninterrupted, tmp_path):
    run, expected = uninterrupted
    process = subprocess.Popen(command(images, tmp_path, run), stderr=subprocess.PIPE, text=True)
    first_save(tmp_path, process)
    process.terminate()
    _, told = process.communicate()
    assert process.returncode == os.EX_TEMPFAIL
    assert "the same command goes on from there" in told
    subprocess.run(command(images, tmp_path, run), check=True)
    assert outputs(tmp_path) == expected


def test_a_spent_budget_saves_and_exits_75(images, uninterrupted, tmp_path):
    run, expected = uninterrupted
    assert_every_attempt_comes_further(command(images, tmp_path, run))
    assert not (tmp_path / "digits-mlp32-iterand").exists(), "no half-finished output"
    subprocess.run(command(images, tmp_path, run), check=True)
    assert outputs(tmp_path) == expected


def test_two_writers_are_never_at_work(images, uninterrupted, tmp_path):
    run, expected = uninterrupted
    first = subprocess.Popen(command(images, tmp_path, run))
    first_save(tmp_path, first)
    second = subprocess.run(command(images, tmp_path, run), check=False, stderr=subprocess.PIPE, text=True)
    assert first.wait() == 0
    assert second.returncode in (0, os.EX_TEMPFAIL)
    assert outputs(tmp_path) == expected
