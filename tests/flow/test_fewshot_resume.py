"""A meta-training that is killed, or that runs out of time, ends with the bytes of one that is left alone."""

import random
import signal
import subprocess
import sys
import time

import pytest
from fewshot_runs import block_of, training, write_marks
from spent_budgets import assert_every_attempt_comes_further

pytestmark = pytest.mark.xdist_group("resume")
RUNS = {
    "ticket": {"method": "metaticket", "randomize_every": 7, "randomize_prob": 0.5, "initial_sparsity": 0.3},
    "maml": {"method": "maml"},
}
LENGTH = {"outer_steps": 120, "evaluate_every": 50, "warmup_steps": 10}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_marks(tmp_path_factory.mktemp("data") / "marks.safetensors")


def command(images, folder, run, *more):
    words = training(folder, images, run, "s1-2", **RUNS[run], **LENGTH)
    return [sys.executable, "-m", "carryover.stages.train_fewshot", *words, "--save-every", "0.05", *more]


def outputs(folder, run):
    block = block_of(folder, "trainings", run, "s1-2")
    return {name: (block / name).read_bytes() for name in ("metrics.csv", "nets.safetensors")}


@pytest.fixture(scope="module", params=list(RUNS))
def whole(request, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    subprocess.run(command(images, folder, request.param), check=True)
    return request.param, outputs(folder, request.param)


def saved(folder):
    return set((folder / "work").rglob("step-*.safetensors"))


def test_three_kills_change_no_byte(images, whole, tmp_path):
    run, expected = whole
    moments = random.Random(run)
    for _ in range(3):
        before = saved(tmp_path)
        process = subprocess.Popen(command(images, tmp_path, run))
        while process.poll() is None and saved(tmp_path) <= before:
            time.sleep(0.005)
        time.sleep(moments.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the training was over before it could be killed"
    assert not list(block_of(tmp_path, "trainings", run, "s1-2").iterdir()), "no half-finished output"
    subprocess.run(command(images, tmp_path, run), check=True)
    assert outputs(tmp_path, run) == expected


def test_a_spent_budget_saves_and_exits_75(images, whole, tmp_path):
    run, expected = whole
    assert_every_attempt_comes_further(command(images, tmp_path, run))
    subprocess.run(command(images, tmp_path, run), check=True)
    assert outputs(tmp_path, run) == expected
