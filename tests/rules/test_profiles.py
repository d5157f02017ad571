import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_args

ROOT = Path(__file__).parents[2]
DEFAULT = ROOT / "profiles" / "default" / "config.yaml"
SLURM = ROOT / "slurm" / "config.yaml"
WIDE = """
description: Trainings that want eight CPUs and a GPU.
extends: tiny
iterand:
  job: {cpus: 8, gpus: 1, mem_mb: 3000, minutes: 45, retries: 0}
"""
RECORDER = '#!/bin/sh\necho "$(basename "$0") $*" >> calls\n'


@pytest.fixture
def project(tmp_path):
    """Copy what Snakemake reads, and add the study `wide`."""
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("workflow", "studies", "profiles", "slurm", "envs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "studies" / "wide.yaml").write_text(WIDE)
    return tmp_path


def snakemake(project, *words):
    """Run snakemake on the study `wide`; programs in the project's `bin` come first. Returns all that it says."""
    ran = subprocess.run(
        [sys.executable, "-m", "snakemake", *words, "--config", "study=wide"],
        cwd=project,
        env={**os.environ, "PATH": f"{project / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return ran.returncode, ran.stdout


def jobs(said, rule):
    """Pick what a dry run says of each job of the rules that match."""
    return re.findall(
        rf"^rule (?:{rule}):\n(?: {{4}}.*\n)+(?:Shell command: .*\n)?", said, flags=re.MULTILINE
    )


def uncommented(text):
    """Switch every preset of a profile on: whatever looks like a key or a nested line."""
    return re.sub(r"^( *)# (?=[a-z_-]+:( |$)|  )", r"\1", text, flags=re.MULTILINE)


def test_the_default_profile_sets_nothing_that_the_slurm_profile_sets():
    default, slurm = (yaml.safe_load(uncommented(path.read_text())) for path in (DEFAULT, SLURM))
    assert not set(default) & set(slurm)
    assert "rerun-incomplete" in default
    assert {"slurm-requeue", "set-resources", "groups"} <= set(slurm)


def test_profile_slurm_is_found_and_keeps_its_values_beside_the_default_profile(monkeypatch):
    monkeypatch.chdir(ROOT)
    _, args = parse_args(["--profile", "slurm"])
    assert (args.executor, args.jobs, args.local_cores, args.latency_wait) == ("slurm", 200, 2, 60)
    assert args.slurm_jobname_prefix == "carryover"
    assert args.default_resources["mem_mb"].value == 4000
    assert args.rerun_incomplete
    assert args.scheduler == "greedy"


def test_the_cores_of_this_machine_do_not_cap_the_cpus_that_a_training_asks_for(project):
    status, said = snakemake(project, "--cores", "1", "--dry-run", "--printshellcmds")
    assert status == 0, said
    trainings = jobs(said, "iterand_dense|iterand_popup|iterand_search")
    assert len(trainings) > 10
    for training in trainings:
        assert " cpus_per_task=8," in training
        assert " --threads 8 " in training


def test_the_slurm_profile_and_all_its_presets_are_accepted(project):
    profile = project / "slurm" / "config.yaml"
    profile.write_text(uncommented(profile.read_text()))
    status, said = snakemake(project, "--profile", "slurm", "--dry-run")
    assert status == 0, said
    for training in jobs(said, "iterand_search"):
        assert "gpu=0," in training
        assert "gres=gpu:1" in training
        assert "slurm_partition=gpu" in training


def test_sbatch_is_asked_for_the_cpus_of_the_study_whatever_the_login_machine_has(project):
    (project / "bin").mkdir()
    for name, does in {"sbatch": "exit 1", "sinfo": "echo batch*", "sacct": "", "scontrol": ""}.items():
        (project / "bin" / name).write_text(RECORDER + does)
        (project / "bin" / name).chmod(0o755)
    images = project / "results" / "data" / "digits.safetensors"
    images.parent.mkdir(parents=True)
    images.write_bytes(b"")
    _, said = snakemake(project, "--cores", "1", "--dry-run")
    target = re.search(r"results/\S+-iterand-\S+/metrics.csv", said)
    assert target, said

    words = ("--cores", "1", "--retries", "0", "--slurm-init-seconds-before-status-checks", "1")
    status, said = snakemake(project, "--profile", "slurm", *words, target[0])
    assert status != 0, said
    (call,) = [line for line in (project / "calls").read_text().splitlines() if line.startswith("sbatch ")]
    assert {"--cpus-per-task=8", "--gpus=1"} <= set(call.split())
    assert " -t 45 --mem 3000 " in call
