"""A study's `transfer` section expands to the runs that it describes, and every mistake in it is told."""

from pathlib import Path

import pytest
import yaml

from carryover.problems import ConfigError
from carryover.workflow import load_workflow

ROOT = Path(__file__).parent.parent.parent
STUDY = """
description: for tests
datasets:
  digits.val: {source: digits, split: {train: 1120, val: 280, test: 397}}
nets:
  mlp16: {kind: mlp, hidden: [16]}
  mlp32: {kind: mlp, hidden: [32]}
transfer:
  pairs: [1-2, 3]
  recipes:
    sgd: {dataset: digits.val, net: mlp16, epochs: 2, lr: 0.05, steps: 7}
  trainings:
    base: {recipe: sgd}
    wide: {recipe: sgd, net: [mlp16, mlp32], record: ends}
    tuned: {recipe: sgd, start: base, pairs: [3]}
  transfers:
    main: {training: base, steps: [1, 5], methods: [naive, gmt]}
    tuned: {training: tuned, pairs: [3]}
  continuations:
    main: {recipe: sgd, transfer: main-steps5, methods: [gmt]}
  cosines:
    widths: {training: [wide-mlp16, wide-mlp32]}
  landscapes:
    main: {transfer: main-steps5, continuation: main, methods: [naive, gmt], continued: gmt, map: false}
  ensembles:
    all: {continuation: main, methods: [gmt]}
  figures:
    fig5: {draw: curves, transfers: [main]}
    fig6: {draw: continuation, continuations: [main]}
"""
PLACE = "results/mine/transfer"


def load(tmp_path, change=lambda study: None):
    study = yaml.safe_load(STUDY)
    change(study["transfer"])
    (tmp_path / "studies").mkdir(exist_ok=True)
    (tmp_path / "studies" / "mine.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return load_workflow({"study": "mine"}, tmp_path).transfer


def refusal(tmp_path, change):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, change)
    return str(caught.value)


def test_a_setting_that_is_given_a_list_is_swept_and_names_its_runs(tmp_path):
    flow = load(tmp_path)
    assert list(flow.runs["transfers"]) == ["main-steps1", "main-steps5", "tuned"]
    assert list(flow.runs["trainings"]) == ["base", "wide-mlp16", "wide-mlp32", "tuned"]
    assert flow.runs["transfers"]["main-steps5"].settings.steps == 5


def test_a_recipe_gives_only_what_a_kind_of_run_has(tmp_path):
    flow = load(tmp_path)
    assert flow.training("base").epochs == 2  # and its `steps` is no setting of a training
    assert flow.runs["continuations"]["main"].settings.lr == 0.05


def test_sources_and_targets_are_trained_by_blocks_of_pairs(tmp_path):
    flow = load(tmp_path)
    assert flow.blocks("trainings", "base") == ["source1-2", "source3", "target1-2", "target3"]
    assert flow.blocks("transfers", "main-steps1") == ["pairs1-2", "pairs3"]
    assert flow.blocks("trainings", "tuned") == ["source3", "target3"]
    assert flow.blocks("ensembles", "all") == ["all"]


def test_a_block_needs_the_blocks_of_other_runs_that_hold_its_pairs(tmp_path):
    flow = load(tmp_path)
    assert flow.needs("transfers", "main-steps1", "pairs1-2") == {
        "source": [f"{PLACE}/trainings/base/source1-2/manifest.json"],
        "target": [f"{PLACE}/trainings/base/target1-2/manifest.json"],
    }
    assert flow.needs("trainings", "tuned", "source3") == {
        "start": [f"{PLACE}/trainings/base/source3/manifest.json"]
    }
    assert flow.needs("continuations", "main", "pairs3")["transfer"] == [
        f"{PLACE}/transfers/main-steps5/pairs3/manifest.json"
    ]
    ensemble = flow.needs("ensembles", "all", "all")
    assert len(ensemble["continuation"]) == 2
    assert ensemble["target"] == [
        f"{PLACE}/trainings/base/{block}/manifest.json" for block in ("target1-2", "target3")
    ]


def test_a_figure_reads_its_runs_and_the_trainings_that_they_start_from(tmp_path):
    flow = load(tmp_path)
    assert flow.figure_runs("fig5") == {"trainings": ["base"], "transfers": ["main-steps1", "main-steps5"]}
    assert flow.figure_runs("fig6") == {
        "trainings": ["base"],
        "transfers": ["main-steps5"],
        "continuations": ["main"],
    }


def test_a_training_that_only_lends_its_recipe_is_never_made(tmp_path):
    assert not [path for path in load(tmp_path).every_result if "/wide-" in path]


def test_a_continuation_trains_what_its_transfer_ends_on(tmp_path):
    settings = load(tmp_path).runs["continuations"]["main"].settings
    assert (settings.dataset, settings.net.hidden) == ("digits.val", (16,))


@pytest.mark.parametrize(
    ("kind", "entry", "change", "told"),
    [
        (
            "trainings",
            "base",
            {"net": "mlp61"},
            "base.net: 'mlp61' is no net of this study; did you mean 'mlp16'",
        ),
        (
            "trainings",
            "base",
            {"recipe": "sdg"},
            "base.recipe: 'sdg' is no recipe of this study; did you mean 'sgd'",
        ),
        ("trainings", "base", {"epoch": 3}, "trainings.base.epoch: unknown setting; did you mean 'epochs'"),
        ("trainings", "tuned", {"net": "mlp32"}, "trainings.tuned.start: base trains another net"),
        ("trainings", "tuned", {"pairs": [3, 4]}, "trainings.tuned.start: base has no pair 4"),
        ("transfers", "main", {"training": "bsae"}, "main.training: 'bsae' is no run in transfer.trainings"),
        ("transfers", "main", {"target_training": "wide-mlp32"}, "source and target have one net"),
        (
            "transfers",
            "main",
            {"methods": ["gtm"]},
            "main.methods[0]: 'gtm' is not allowed; did you mean 'gmt'",
        ),
        (
            "transfers",
            "tuned",
            {"training": "wide-mlp16", "trajectory": "actual"},
            "wide-mlp16 records its ends only",
        ),
        ("trainings", "base", {"start": "base"}, "base.start: base would start from its own end"),
        ("trainings", "base", {"start": "tuned"}, "base.start: base would start from its own end"),
        ("trainings", "base", {"pairs": ["1-2", 2, 3]}, "base.pairs: pair 2 is in two blocks"),
        ("trainings", "base", {"pairs": ["2-1", 3]}, "base.pairs: blocks of pairs are written 1 or 1-3"),
        (
            "transfers",
            "tuned",
            {"target_training": "wide-mlp16", "trajectory": "actual", "oracle": "first"},
            "tuned.oracle: the first gap of the target is that of the source only if both record the same points",
        ),
        ("continuations", "main", {"methods": ["fgmt"]}, "'fgmt' is no method of main-steps5"),
        ("landscapes", "main", {"continued": "naive"}, "main.continued: 'naive' is no method of main"),
        ("landscapes", "main", {"map": True}, "main.map: 'oracle' is no method of main-steps5"),
        (
            "figures",
            "fig5",
            {"transfers": ["mian"]},
            "fig5.transfers[0]: 'mian' is no run in transfer.transfers",
        ),
    ],
)
def test_what_does_not_fit_together_is_told_with_its_place(tmp_path, kind, entry, change, told):
    assert told in refusal(tmp_path, lambda section: section[kind][entry].update(change))


def test_a_pair_in_two_blocks_of_the_whole_section_is_told_once(tmp_path):
    text = refusal(tmp_path, lambda section: section.update(pairs=["1-2", "2-3"]))
    assert "1 problem in the settings" in text
    assert "transfer.pairs: pair 2 is in two blocks: leave it in one of them" in text


def test_an_ensemble_has_the_pairs_of_its_continuation(tmp_path):
    def fewer(section):
        section["continuations"]["main"].update(pairs=["1-2"])
        section["landscapes"]["main"].update(pairs=["1-2"])

    needs = load(tmp_path, fewer).needs("ensembles", "all", "all")
    assert needs["continuation"] == [f"{PLACE}/continuations/main/pairs1-2/manifest.json"]


def test_what_builds_on_an_unsound_run_is_not_told_again(tmp_path):
    text = refusal(tmp_path, lambda section: section["trainings"]["base"].update(epochs=0))
    assert "1 problem in the settings" in text


@pytest.mark.parametrize("study", ["demo", "tiny", "digits.transfer", "mnist", "transfer.full", "paper"])
def test_the_paths_of_shipped_studies_are_short(study):
    flow = load_workflow({"study": study}, ROOT).transfer
    joined = [
        len(f"{run}{block}")
        for kind in flow.runs
        for run in flow.runs[kind]
        for block in flow.blocks(kind, run)
    ]
    assert max(joined) < 100
