"""What only several settings of few-shot learning together can tell: each mistake is told with its place and remedy."""

import pytest
import yaml

from carryover.problems import ConfigError
from carryover.workflow import load_workflow

STUDY = """
description: for tests
datasets:
  shots: {source: digits, class_split: digits, mean: [0], std: [1]}
  other: {source: mnist, class_split: ten-digits}
  waves: {source: sinusoid}
nets:
  small: {kind: episode-mlp, hidden: [16]}
  large: {kind: episode-mlp, hidden: [16], width: 2}
  wave: {kind: regressor}
metaticket:
  seeds: [1]
  recipes:
    short: {dataset: shots, net: small, outer_steps: 5}
  trainings:
    main: {recipe: short, method: [maml, metaticket]}
    anil: {recipe: short, method: anil, inner_lrs: {body: 0}}
    random: {recipe: short, method: random}
    lth: {recipe: short, method: meta-lth, start: main-maml}
    wave: {dataset: waves, net: wave, ways: 1, norm: none, outer_steps: 5, method: boil}
    wave.random: {dataset: waves, net: wave, ways: 1, norm: none, outer_steps: 5, method: random}
  tests:
    all: {training: [main, anil]}
    ways: {training: random, ways: 3}
    wave: {training: [wave, wave.random], ways: 1}
    mac: {training: anil, widen: {units: 4, lr: 0.1}}
  figures:
    results: {draw: results, tests: [all, mac]}
"""


def load(tmp_path, change=lambda study: None):
    study = yaml.safe_load(STUDY)
    change(study)
    (tmp_path / "studies").mkdir(exist_ok=True)
    (tmp_path / "studies" / "mine.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return load_workflow({"study": "mine"}, tmp_path).metaticket


def refusal(tmp_path, change):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, change)
    return str(caught.value)


def entry_of(section, name, change):
    return lambda study: study["metaticket"][section][name].update(change)


def test_the_study_has_no_mistake(tmp_path):
    flow = load(tmp_path)
    assert [len(runs) for runs in flow.runs.values()] == [7, 7, 0]


SAME = "meta-lth prunes a training of maml with the same net, dataset, ways, norm, masked and weights; main-maml has"
REDRAW = {"randomize_prob": 0.5, "masked": "body"}


@pytest.mark.parametrize(
    ("place", "change", "said"),
    [
        (
            "trainings.lth.start",
            {"start": "main"},
            "start names one run, such as main-maml: main has several",
        ),
        ("trainings.lth.start", {"start": "main-mamel"}, "did you mean 'main-maml'?"),
        ("trainings.lth.start", {"net": "large"}, f"{SAME} another net"),
        ("trainings.lth.start", {"dataset": "other"}, f"{SAME} another dataset"),
        ("trainings.lth.start", {"ways": 3, "norm": "support"}, f"{SAME} another ways, norm"),
        ("trainings.lth.start", {"masked": "inner"}, f"{SAME} another masked"),
        ("trainings.lth.start", {"weights": "sc"}, f"{SAME} another weights"),
        ("trainings.lth.start", {"start": "anil"}, "masked and weights; anil is one of anil"),
        ("trainings.anil.ways", {"ways": 1}, "`ways` is 2 at least"),
        ("trainings.wave.random.ways", {"ways": 2}, "sinusoids have no classes: `ways` is 1"),
        ("trainings.wave.norm", {"norm": "support"}, "has no batch-norm: set `norm: none`"),
        (
            "trainings.anil.inner_lrs",
            {"inner_lrs": {"head": 0}},
            "anil adapts head, and with rates of 0 nothing",
        ),
        (
            "trainings.wave.inner_lrs",
            {"inner_lrs": {"body": 0, "bias": 0}},
            "boil adapts body, bias, and with",
        ),
        (
            "trainings.main.randomize_every",
            {**REDRAW, "randomize_every": 5},
            "the first redraw comes after 5 steps, too late for 5 outer steps",
        ),
        ("tests.ways.ways", {"ways": 1}, "`ways` is 2 at least"),
        ("tests.ways.ways", {"training": "main-maml"}, "maml learns the classifier of 5 ways"),
        ("tests.wave.ways", {"ways": 2}, "sinusoids have no classes: `ways` is 1"),
        ("tests.mac.inner_lr", {"inner_lr": 0.1}, "with `widen` the rate is widen.lr: set that"),
        ("tests.mac.training", {"training": {"a": 1}}, "{'a': 1} is no run in metaticket.trainings"),
        (
            "tests.all.training",
            {"training": ["anil", {"a": 1}]},
            "{'a': 1} is no run in metaticket.trainings",
        ),
        ("figures.results.tests[1]", {"tests": ["all", {"a": 1}]}, "should be a valid string"),
        ("figures.results.tests", {"tests": 3}, "should be a valid list"),
        ("figures.results.tests", {"tests": "all"}, "should be a valid list"),
    ],
)
def test_a_mistake_is_told_once_with_its_place(tmp_path, place, change, said):
    section, rest = place.split(".", 1)
    told = refusal(tmp_path, entry_of(section, rest.rpartition(".")[0], change))
    assert f"metaticket.{place}: " in told
    assert said in told
    assert "1 problem in the settings" in told


@pytest.mark.parametrize("more", [{"auxiliary_lr": 0.1}, {"masked": "body+head"}])
def test_a_classifier_is_learned_by_its_mask_or_as_an_auxiliary_value_and_never_by_a_random_network(
    tmp_path, more
):
    def change(study):
        study["metaticket"]["trainings"]["random"].update(more)

    assert load(tmp_path, change).runs["tests"]["ways"].settings.ways == 3

    def learned(study):
        study["metaticket"]["trainings"]["random"].update(more, method="metaticket")

    assert "metaticket learns the classifier of 5 ways" in refusal(tmp_path, learned)


@pytest.mark.parametrize(
    "more",
    [
        {**REDRAW, "randomize_every": 4},
        {**REDRAW, "randomize_every": 5, "outer_steps": 0},
        {"randomize_prob": 0, "randomize_every": 5},
        {**REDRAW, "randomize_every": 5, "method": ["maml"]},
    ],
)
def test_redraws_are_refused_only_where_they_would_be_too_late(tmp_path, more):
    def change(study):
        study["metaticket"]["trainings"]["main"].update(more)

    assert "main-maml" in load(tmp_path, change).runs["trainings"]


def test_a_sweep_in_a_recipe_is_no_training_of_a_test(tmp_path):
    def change(study):
        study["metaticket"]["recipes"]["tested"] = {"training": "main"}
        study["metaticket"]["tests"]["mac"] = {"recipe": "tested"}

    told = refusal(tmp_path, change)
    assert (
        "metaticket.tests.mac.training: training names one run, such as main-maml: main has several" in told
    )


@pytest.mark.parametrize(
    "change",
    [
        entry_of("trainings", "main", {"masked": "bodies"}),
        entry_of("trainings", "main", {"recipe": "long"}),
        lambda study: study["nets"]["small"].update(hidden=[]),
    ],
)
def test_runs_that_need_an_unsound_one_are_no_further_problems(tmp_path, change):
    told = refusal(tmp_path, change)
    assert "is no run" not in told
    assert "names one run" not in told


def test_a_net_of_another_paper_is_refused(tmp_path):
    def change(study):
        study["nets"]["plain"] = {"kind": "conv", "depth": 2}
        study["metaticket"]["trainings"]["random"]["net"] = "plain"

    assert "metaticket.trainings.random.net: kind 'conv' is not allowed" in refusal(tmp_path, change)
