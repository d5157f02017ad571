"""A study's `metaticket` section expands to the runs that it describes, and every mistake in it is told."""

from pathlib import Path

import pytest
import yaml

from carryover.problems import ConfigError
from carryover.workflow import load_workflow

ROOT = Path(__file__).parent.parent.parent
STUDY = """
description: for tests
datasets:
  shots: {source: digits, class_split: digits, mean: [0], std: [1]}
  other: {source: mnist, class_split: ten-digits}
  plain: {source: digits}
  waves: {source: sinusoid}
nets:
  small: {kind: episode-mlp, hidden: [16]}
  large: {kind: episode-mlp, hidden: [16], width: 2}
  wave: {kind: regressor}
metaticket:
  seeds: [1-2, 3]
  recipes:
    short: {dataset: shots, net: small, outer_steps: 5, tasks: 10}
  trainings:
    main: {recipe: short, method: [maml, metaticket]}
    wide: {recipe: short, net: large, method: random, seeds: [3]}
    lth: {recipe: short, method: meta-lth, start: main-maml}
    wave: {dataset: waves, net: wave, ways: 1, norm: none, outer_steps: 5, method: maml}
  tests:
    all: {recipe: short, training: [main, wide]}
    more: {training: main-metaticket, ways: 3, shots: 1, query_shots: 15, tasks: 20}
    cross: {training: main-maml, dataset: other}
    mac: {training: main-maml, widen: {units: 4}}
  analyses:
    all: {training: main}
  figures:
    results: {draw: results, tests: [all, mac]}
    features: {draw: features, analyses: [all]}
"""
PLACE = "results/mine/metaticket"


def load(tmp_path, change=lambda study: None):
    study = yaml.safe_load(STUDY)
    change(study["metaticket"])
    (tmp_path / "studies").mkdir(exist_ok=True)
    (tmp_path / "studies" / "mine.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return load_workflow({"study": "mine"}, tmp_path).metaticket


def refusal(tmp_path, change):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, change)
    return str(caught.value)


def test_the_name_of_a_swept_training_stands_for_all_of_its_runs(tmp_path):
    flow = load(tmp_path)
    assert list(flow.runs["trainings"]) == ["main-maml", "main-metaticket", "wide", "lth", "wave"]
    assert list(flow.runs["tests"]) == [
        "all-main-maml",
        "all-main-metaticket",
        "all-wide",
        "more",
        "cross",
        "mac",
    ]
    assert list(flow.runs["analyses"]) == ["all-main-maml", "all-main-metaticket"]


def test_a_test_has_the_blocks_of_its_training(tmp_path):
    flow = load(tmp_path)
    assert flow.blocks("trainings", "main-maml") == ["s1-2", "s3"]
    assert flow.blocks("tests", "all-wide") == ["s3"]
    assert flow.needs("tests", "mac", "s1-2") == {
        "training": [f"{PLACE}/trainings/main-maml/s1-2/manifest.json"]
    }
    assert flow.needs("trainings", "lth", "s3") == {
        "start": [f"{PLACE}/trainings/main-maml/s3/manifest.json"]
    }
    assert flow.needs("trainings", "wide", "s3") == {"start": []}


def test_runs_that_are_measured_alike_share_their_stored_tasks(tmp_path):
    flow = load(tmp_path)
    folder = "results/data/episodes"
    assert flow.episodes("tests", "all-main-maml") == f"{folder}/shots/test-5w5s5q-10.safetensors"
    assert flow.episodes("tests", "all-wide") == flow.episodes("tests", "all-main-metaticket")
    assert flow.episodes("tests", "more") == f"{folder}/shots/test-3w1s15q-20.safetensors"
    assert flow.episodes("tests", "cross") == f"{folder}/other/test-5w5s5q-1000.safetensors"
    assert flow.episodes("trainings", "wave") == f"{folder}/waves/val-1w5s5q-200.safetensors"
    assert set(flow.stored) == {flow.episodes(kind, run) for kind, runs in flow.runs.items() for run in runs}


def test_a_figure_gets_its_tests_and_the_trainings_they_belong_to(tmp_path):
    flow = load(tmp_path)
    assert flow.figure_runs("results") == {
        "trainings": ["main-maml", "main-metaticket", "wide"],
        "tests": ["all-main-maml", "all-main-metaticket", "all-wide", "mac"],
    }
    assert len(flow.figure_results("results")) == 2 + 2 + 1 + 2 + 2 + 1 + 2
    assert f"{PLACE}/table.csv" in flow.targets()


@pytest.mark.parametrize(
    ("section", "entry", "change", "said"),
    [
        ("trainings", "main", {"method": "mamel"}, "'mamel' is not allowed; did you mean 'maml'?"),
        (
            "trainings",
            "main",
            {"dataset": "plain"},
            "needs splits of different classes: give plain a class_split",
        ),
        (
            "tests",
            "cross",
            {"dataset": "plain"},
            "needs splits of different classes: give plain a class_split",
        ),
        ("trainings", "main", {"net": "smal"}, "'smal' is no net of this study; did you mean 'small'?"),
        ("trainings", "main", {"net": "wave"}, "the net of kind regressor and sinusoids belong together"),
        ("trainings", "main", {"inner_rate": 1}, "unknown setting; did you mean 'inner_"),
        ("trainings", "lth", {"start": None}, "start names the training that meta-lth prunes"),
        (
            "trainings",
            "lth",
            {"start": "main-metaticket"},
            "meta-lth prunes a training of maml with the same net",
        ),
        ("tests", "mac", {"training": "main-metaticket"}, "units are added to nets of maml or anil"),
        ("tests", "more", {"training": "main-maml"}, "maml learns the classifier of 5 ways"),
        ("tests", "cross", {"dataset": "waves"}, "a net of classes is tested on images"),
        ("tests", "all", {"training": "man"}, "'man' is no run in metaticket.trainings"),
        ("analyses", "all", {"dataset": "nothing"}, "'nothing' is no dataset of this study"),
        (
            "figures",
            "results",
            {"tests": ["al"]},
            "'al' is no run in metaticket.tests of this study; did you mean",
        ),
        ("figures", "results", {"tests": []}, "draw results shows tests: name at least one of them"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path, section, entry, change, said):
    told = refusal(tmp_path, lambda study: study[section][entry].update(change))
    assert f"metaticket.{section}.{entry}" in told
    assert said in told
    assert "nothing was started" in told


@pytest.mark.parametrize("name", ["shots", "waves"])
def test_a_data_set_divided_by_class_is_for_few_shot_learning_alone(tmp_path, name):
    study = yaml.safe_load(STUDY)
    study["nets"]["mlp"] = {"kind": "mlp", "hidden": [8]}
    base = {"epochs": 1, "batch_size": 8, "lr": 0.1}
    study["iterand"] = {
        "seeds": [0],
        "recipes": {"base": base},
        "arms": {"dense": {"method": "dense"}},
        "grids": {
            "all": {"product": {"dataset": [name], "net": ["mlp"], "arm": ["dense"], "recipe": ["base"]}}
        },
    }
    study["transfer"] = {"pairs": [1], "trainings": {"all": {"dataset": name, "net": "mlp", **base}}}
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "mine.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    with pytest.raises(ConfigError, match="2 problems") as caught:
        load_workflow({"study": "mine"}, tmp_path)
    assert str(caught.value).count(f"{name} is for few-shot learning, its splits have different classes") == 2


def test_several_mistakes_are_told_at_once(tmp_path):
    def spoil(study):
        study["trainings"]["main"]["method"] = "mamel"
        study["tests"]["mac"]["tasks"] = 0
        study["figures"]["results"]["draw"] = "result"

    assert "3 problems" in refusal(tmp_path, spoil)


def test_the_paper_study_has_the_grids_of_the_specification():
    """E1 to E8 and X1 to X4 of section 5.1."""
    flow = load_workflow({"study": "paper"}, ROOT).metaticket
    trainings = flow.runs["trainings"]
    omniglot = [run for run in trainings if trainings[run].where[-1] in ("omniglot", "omniglot.ticket")]
    assert len(omniglot) == 4 * 2 * 2 * (1 + 2)  # widths, ways, shots, MAML and two kinds of redraw
    assert len([run for run in trainings if trainings[run].where[-1] == "omniglot.random"]) == 4 * 2 * 2
    mini = trainings["mini.ticket-metaticket-shots5"].settings
    assert (mini.outer_steps, mini.inner_lr, mini.inner_steps, mini.warmup_steps, mini.meta_batch) == (
        30_000,
        0.3,
        1,
        1000,
        4,
    )
    constant = trainings["constant"].settings
    assert (constant.masked, constant.weights, constant.outer_lr, constant.meta_batch) == (
        "body+head",
        "constant",
        0.1,
        32,
    )
    datasets = {flow.dataset("tests", run) for run in flow.runs["tests"]}
    assert {"cub.shots", "cars.shots", "aircraft", "vgg.flower", "cifar.fs", "mini"} <= datasets
    assert all(
        flow.runs["tests"][run].settings.tasks == 1000 for run in flow.runs["tests"] if "sine" not in run
    )


@pytest.mark.parametrize("study", ["paper", "omniglot", "omniglot.full", "demo", "metaticket.full"])
def test_an_untrained_net_meets_all_tasks_on_which_methods_are_compared(study):
    """Source: Meta-ticket, section 7.3. A sweep of one method's settings, and a net of constant weights, need none."""
    flow = load_workflow({"study": study}, ROOT).metaticket
    own = {run: (flow.training(entry.settings.training), entry) for run, entry in flow.runs["tests"].items()}
    compared = {
        (training.net, flow.episodes("tests", run))
        for run, (training, entry) in own.items()
        if training.method in ("maml", "boil") and entry.settings.adapted == ("trained",)
    }
    untrained = {
        (training.net, flow.episodes("tests", run))
        for run, (training, _) in own.items()
        if training.method == "random"
    }
    assert compared
    assert compared <= untrained


def test_the_paper_study_asks_what_adapts_of_every_trained_net_of_images():
    """Source: Meta-ticket, section 5.3 (body against head), but for nets that are about one setting of a mask."""
    flow = load_workflow({"study": "paper"}, ROOT).metaticket
    about_masks = ("constant", "constant.random", "sparsity", "redraw")
    trained = {
        run
        for run, entry in flow.runs["trainings"].items()
        if flow.training(run).method != "random"
        and flow.training(run).net.kind != "regressor"
        and entry.where[-1] not in about_masks
    }
    asked = {
        entry.settings.training
        for entry in flow.runs["tests"].values()
        if entry.settings.adapted != ("trained",)
    }
    assert trained <= asked
    looked_at = {flow.training(entry.settings.training).net.kind for entry in flow.runs["analyses"].values()}
    assert looked_at == {"resnet12", "wrn28", "episode-mlp"}
    splits = {
        entry.settings.split
        for run, entry in flow.runs["analyses"].items()
        if flow.dataset("analyses", run) == "mini"
    }
    assert splits == {"train", "val", "test"}


def test_a_study_of_omniglot_has_one_data_set_to_cross_to_and_its_full_form_all_widths():
    flow = load_workflow({"study": "omniglot.full"}, ROOT).metaticket
    settings = [flow.training(run) for run in flow.runs["trainings"] if flow.training(run).method == "maml"]
    assert {(each.net.width, each.shots) for each in settings} == {(1, 5), (1, 1), (2, 5), (4, 5)}
    crossed = [run for run in flow.runs["tests"] if flow.dataset("tests", run) == "mnist.digits"]
    methods = 6
    assert len(crossed) == methods * len(settings) + 1  # MAC on ANIL


def test_the_demo_tests_sinusoids_that_no_training_has_met():
    flow = load_workflow({"study": "demo"}, ROOT)
    near, far = (flow.study.datasets[name] for name in ("sinusoid", "sinusoid.far"))
    assert far.amplitude == near.amplitude
    assert far.test_amplitude[0] >= near.amplitude[1]
    own = flow.metaticket
    tested = {
        name: {own.runs["tests"][run].settings.training for run in own.of_entry("tests", name)}
        for name in ("sine", "sine-far")
    }
    assert tested["sine"] == tested["sine-far"] == {"sine-random", "sine-anil", "sine-maml", "sine-ticket"}
    ticket = own.training("sine-ticket")
    assert ticket.randomize_every < ticket.outer_steps
