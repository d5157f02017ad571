"""A dry run of the demo plans the jobs of learning transfer that the study describes, with their commands."""

import re

import pytest
from workflow_copy import WorkflowCopy

from carryover.transfer.settings import KINDS
from carryover.workflow import load_workflow

pytestmark = pytest.mark.xdist_group("plan")  # one worker asks snakemake once
PLACE = "results/demo/transfer"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return WorkflowCopy(tmp_path_factory.mktemp("plan"))


@pytest.fixture(scope="module")
def said(copy):
    """What a dry run says, with the commands."""
    done = copy.snakemake("-n", "-p")
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def flow(copy):
    return load_workflow({"study": "demo"}, copy.folder).transfer


def command(said, kind, run, block):
    """Pick the command that makes a block."""
    stage, metrics = KINDS[kind].stage, f"{PLACE}/{kind}/{run}/{block}/metrics.csv"
    (found,) = (
        line for line in said.splitlines() if f"stages.{stage} " in line and f"--metrics {metrics} " in line
    )
    return found


def all_results(flow):
    """List what the study shows, and all trainings that lead there."""
    found = list(flow.every_result)
    for path in found:
        _, _, _, kind, run, block, _ = path.split("/")
        needed = [manifest for part in flow.needs(kind, run, block).values() for manifest in part]
        found += [manifest for manifest in needed if manifest not in found]
    return found


def option(text, name):
    """Read the values of an option of a command; settings are not looked into."""
    found = re.search(rf" --{name} (.*?)(?= --|  | 2> )", text)
    return found[1].split() if found else []


def test_each_block_of_each_run_is_one_job_and_nothing_else_is_planned(said, flow):
    stats = dict(re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE))
    every = all_results(flow)
    made = {kind: [path for path in every if f"/{kind}/" in path] for kind in KINDS}
    for kind, model in KINDS.items():
        assert int(stats[model.stage]) == len(made[kind]) > 0
    assert int(stats["transfer_figure"]) == len(flow.section.figures)
    assert stats["transfer_table"] == stats["transfer_claims"] == stats["transfer_theory"] == "1"
    assert stats["transfer_theory_figure"] == "1"
    assert set(made["trainings"]) < set(
        flow.results("trainings", list(flow.runs["trainings"]))
    )  # some lend recipes


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_reads_what_its_run_needs_and_writes_its_own_folder(said, flow, kind):
    for path in all_results(flow):
        _, _, _, own, run, block, _ = path.split("/")
        if own != kind:
            continue
        text = command(said, kind, run, block)
        for part, manifests in flow.needs(kind, run, block).items():
            assert option(text, part) == manifests
        assert option(text, "manifest") == [path]
        assert option(text, "seeds") == [block]
        (images,) = option(text, "images")
        assert images == f"results/data/{flow.dataset(kind, run)}.safetensors"
        extra = {"trainings": "trajectory", "transfers": "nets", "continuations": "nets"}
        for name, file in (("trajectory", "trajectory"), ("nets", "nets.safetensors")):
            expected = [f"{PLACE}/{kind}/{run}/{block}/{file}"] if extra.get(kind) == name else []
            assert option(text, name) == expected
        assert option(text, "work") == ["results/demo/.work/transfer"]
        assert option(text, "minutes") == [str(flow.job(kind, run).minutes)]
