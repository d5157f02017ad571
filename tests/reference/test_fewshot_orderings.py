"""Section 7.3 of the specification, items 1 to 5: what a sound implementation shows on Omniglot, in short trainings."""

import os

import pandas
import pytest
from workflow_copy import WorkflowCopy

from carryover.io.fewshot import read_fewshot

MIRROR = os.environ.get("CARRYOVER_MIRROR")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.mirror,
    pytest.mark.skipif(not MIRROR, reason="CARRYOVER_MIRROR does not name a folder of real images"),
]
STUDY = """
extends: omniglot
datasets:
  omniglot.small: {source: omniglot, class_split: omniglot-small, mean: [0], std: [1]}
metaticket:
  seeds: [1, 2]
  claims: false
  recipes:
    5shot: {dataset: omniglot.small, outer_steps: 1000, warmup_steps: 100, evaluate_every: 500}
  trainings: {lth: null}
  tests:
    main: {tasks: 300}
    lth: null
    mac: null
    mac-long: null
    long: null
    roles: null
    mnist: null
    mnist-mac: null
    train: null
  figures: null
"""
"""The specification's small replica: 616 training classes, tests on alphabets that were not seen, 1,000 outer steps."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """All that two seeds of the study measured."""
    copy = WorkflowCopy(tmp_path_factory.mktemp("omniglot"))
    (copy.folder / "studies" / "orderings.yaml").write_text(STUDY)
    config = ("--config", "study=orderings", "device=cpu", f"data={{mirror: {MIRROR}}}")
    done = copy.snakemake("--cores", "2", *config)
    assert done.returncode == 0, done.stdout[-5000:]
    return read_fewshot(
        sorted((copy.folder / "results/orderings/metaticket").glob("*/*/*/manifest.json"))
    ).rows


def accuracy(rows, method, step=3):
    """Mean over tasks and seeds on new classes, as trained."""
    own = rows[(rows["kind"] == "test") & (rows["method"] == method) & (rows["metric"] == "accuracy")]
    return own[(own["norm"] == "transductive") & (own["step"] == step)]["value"].mean()


def looked_at(rows, method, metric, layer):
    own = rows[(rows["kind"] == "analysis") & (rows["method"] == method) & (rows["metric"] == metric)]
    return own[own["layer"].astype(str).isin(layer)]["value"]


def test_without_a_step_every_method_is_at_chance(rows):
    for method in ("random", "anil", "maml", "boil", "metaticket", "metaticket-boil"):
        assert accuracy(rows, method, step=0) == pytest.approx(0.2, abs=0.02), method


def test_meta_ticket_is_far_above_the_random_network_and_anil(rows):
    assert accuracy(rows, "metaticket") > accuracy(rows, "random") + 0.10
    assert accuracy(rows, "metaticket") > accuracy(rows, "anil") + 0.05


def test_meta_ticket_is_about_as_good_as_maml(rows):
    assert accuracy(rows, "metaticket") == pytest.approx(accuracy(rows, "maml"), abs=0.02)


def test_the_body_moves_more_under_meta_ticket_and_most_with_boil(rows):
    last = {m: looked_at(rows, m, "cka", ["4"]).mean() for m in ("maml", "metaticket", "metaticket-boil")}
    assert last["metaticket-boil"] < last["metaticket"] < last["maml"]
    layers = [f"fc{number}.weight" for number in range(1, 5)]
    change = {m: looked_at(rows, m, "change", layers).mean() for m in ("maml", "metaticket")}
    assert change["metaticket"] > change["maml"]
    assert looked_at(rows, "anil", "cka", ["1", "2", "3", "4"]).to_numpy() == pytest.approx(1.0, abs=1e-5)


def test_sparsity_rises_fast_at_first_then_slowly_and_does_not_collapse(rows):
    own = rows[(rows["kind"] == "training") & (rows["method"] == "metaticket")]
    own = own[own["metric"].str.startswith("sparsity/")]
    course = pandas.Series(own.groupby("step")["value"].mean())
    assert course[0] < 1e-4
    assert course[500] - course[0] > course[1000] - course[500] > 0
    assert own["value"].max() < 0.9
    assert 0.25 < course[1000] < 0.5
