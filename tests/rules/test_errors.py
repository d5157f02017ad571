"""A wrong config says everything that is wrong, once, before anything starts."""

import contextlib
import re
from pathlib import Path

import pytest
import yaml

from carryover.problems import ConfigError
from carryover.workflow import load_workflow

STUDY = """
description: for tests
datasets: {digits: {source: digits}}
nets: {mlp16: {kind: mlp, hidden: [16, 16]}}
iterand:
  seeds: [0-2]
  recipes:
    short: {epochs: 2, lr: 0.1, score_lr: 1.0, sparsity: 0.5, randomize_every: 3, randomize_prob: 0.1}
  arms:
    dense: {method: dense}
    popup-ku: {method: popup}
    iterand-ku: {method: iterand}
  grids:
    width: {recipe: short, product: {dataset: [digits], net: [mlp16], arm: [dense, popup-ku, iterand-ku]}}
  figures:
    fig2: {draw: width, grids: [width]}
"""


def load(tmp_path: Path, change=lambda study: None, **config):
    study = yaml.safe_load(STUDY)
    change(study)
    (tmp_path / "studies").mkdir(exist_ok=True)
    (tmp_path / "studies" / "mine.yaml").write_text(yaml.safe_dump(study))
    return load_workflow({"study": "mine", **config}, tmp_path)


def refusal(tmp_path, change=lambda study: None, **config) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, change, **config)
    return str(caught.value)


def test_a_sound_study_is_accepted(tmp_path):
    assert sorted(load(tmp_path).runs) == [
        "digits-mlp16-dense",
        "digits-mlp16-iterand-ku",
        "digits-mlp16-popup-ku",
    ]


def test_all_problems_are_told_at_once_each_with_its_path_and_the_nearest_name(tmp_path):
    def change(study):
        study["nets"]["mlp16"]["hiden"] = [1]
        study["iterand"]["recipes"]["short"]["sparsity"] = 1.5
        study["iterand"]["recipes"]["short"]["randomise_prob"] = 0.2
        study["iterand"]["arms"]["popup-ku"]["method"] = "popups"
        study["iterand"]["grids"]["width"]["product"]["net"] = ["mlp61"]
        study["iterand"]["figures"]["fig2"]["grids"] = ["widht"]
        study["iterand"]["sedes"] = [1]

    text = refusal(tmp_path, change, device="gpu", precison="bf16")
    assert text.startswith("9 problems in the settings; nothing was started\n")
    for line in (
        "config.yaml: device: 'gpu' is not allowed",
        "config.yaml: precison: unknown setting; did you mean 'precision'?",
        "nets.mlp16.hiden: unknown setting; did you mean 'hidden'?",
        "iterand.recipes.short.sparsity: input should be less than 1, got 1.5",
        "iterand.recipes.short.randomise_prob: unknown setting; did you mean 'randomize_prob'?",
        "iterand.arms.popup-ku.method: 'popups' is no method; did you mean 'popup'?",
        "iterand.grids.width.product.net[0]: 'mlp61' is no net of this study; did you mean 'mlp16'?",
        "iterand.figures.fig2.grids[0]: 'widht' is no grid of this study; did you mean 'width'?",
        "iterand.sedes: unknown setting; did you mean 'seeds'?",
    ):
        assert line in text, text


def test_a_setting_that_a_method_lacks_is_refused_on_an_axis_and_ignored_in_a_recipe(tmp_path):
    def change(study):
        study["iterand"]["grids"]["width"]["product"]["randomize_prob"] = [0.1]

    text = refusal(tmp_path, change)
    assert "product.randomize_prob[0]: method dense has no setting 'randomize_prob'" in text


def test_a_missing_setting_names_the_method_that_needs_it(tmp_path):
    text = refusal(tmp_path, lambda study: study["iterand"]["recipes"]["short"].pop("score_lr"))
    assert "score_lr: method popup needs this setting" in text


def test_numbers_may_be_written_in_scientific_notation(tmp_path):
    flow = load(
        tmp_path, lambda study: study["iterand"]["recipes"]["short"].update(weight_decay="1e-3", lr="1e-2")
    )
    settings = flow.runs["digits-mlp16-dense"].settings
    assert (settings.weight_decay, settings.lr) == (0.001, 0.01)


def test_two_different_runs_may_not_share_a_name(tmp_path):
    def change(study):
        study["iterand"]["recipes"]["long"] = {**study["iterand"]["recipes"]["short"], "epochs": 9}
        study["iterand"]["grids"]["long"] = {**study["iterand"]["grids"]["width"], "recipe": "long"}

    text = refusal(tmp_path, change)
    assert "two different runs would be called 'digits-mlp16-dense' (they differ in epochs)" in text


def test_a_run_that_two_grids_share_is_one_run(tmp_path):
    def change(study):
        study["iterand"]["grids"]["rate"] = {
            "recipe": "short",
            "product": {
                "dataset": ["digits"],
                "net": ["mlp16"],
                "arm": ["iterand-ku"],
                "randomize_prob": [0.1, 1],
            },
        }

    flow = load(tmp_path, change)
    assert flow.grids["rate"] == ["digits-mlp16-iterand-ku", "digits-mlp16-iterand-ku-r1"]
    assert len(flow.runs) == 4


def test_axes_that_move_together_need_equal_lengths(tmp_path):
    def change(study):
        study["iterand"]["grids"]["width"]["zip"] = {"epochs": [1, 2], "sparsity": [0.1]}

    assert "iterand.grids.width.zip: axes that move together need equal lengths" in refusal(tmp_path, change)


def test_excluded_combinations_are_left_out_and_included_ones_added(tmp_path):
    def change(study):
        study["iterand"]["grids"]["width"]["exclude"] = [{"arm": "dense"}]
        study["iterand"]["grids"]["width"]["include"] = [
            {"dataset": "digits", "net": "mlp16", "arm": "popup-ku", "sparsity": 0.9}
        ]

    assert sorted(load(tmp_path, change).runs) == [
        "digits-mlp16-iterand-ku",
        "digits-mlp16-popup-ku",
        "digits-mlp16-popup-ku-p0.9",
    ]


def test_a_name_that_promises_another_data_set_is_refused(tmp_path):
    text = refusal(tmp_path, lambda study: study["datasets"].update(cifar10={"source": "mnist"}))
    assert "datasets.cifar10: the name cifar10 belongs to the source cifar10" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("description: [", "is not YAML"),
        ("- a list", "must be a mapping of settings, not list"),
        ("nets: {a: 1}\nnets: {b: 2}", "nets written twice"),
        ("extends: mine", "extend each other in a circle: mine -> mine"),
        ("extends: other", "does not exist; studies there are: mine"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, text, said):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_workflow({"study": "mine"}, tmp_path)


@pytest.mark.parametrize("value", [None, 3, "text", [], {}, [[]], {"x": {"y": 1}}, True])
@pytest.mark.parametrize(
    "path",
    ["datasets", "nets", "iterand", "iterand.seeds", "iterand.recipes", "iterand.arms", "iterand.grids",
     "iterand.grids.width", "iterand.grids.width.product", "iterand.recipes.short", "iterand.arms.dense",
     "iterand.figures", "iterand.figures.fig2", "datasets.digits", "nets.mlp16", "iterand.theory", "iterand.job"],
)  # fmt: skip
def test_no_value_in_any_place_ends_in_anything_but_a_config_or_a_list_of_problems(tmp_path, path, value):
    def change(study):
        *parents, last = path.split(".")
        for part in parents:
            study = study[part]
        study[last] = value

    with contextlib.suppress(ConfigError):
        load(tmp_path, change)
