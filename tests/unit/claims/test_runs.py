import pytest

from carryover.claims.runs import runs_of, sweeps


def found(study, arms, along):
    return sweeps(runs_of(study.table, study.names), arms, along)


def widths(study, arm, *hidden, **settings):
    for units in hidden:
        study.run(arm, 0.9, **{"net.hidden": f"{units}-{units}", **settings})
    return study


def test_a_run_has_the_settings_of_its_method_and_accuracies_by_seed(study):
    study.run("popup-ku", 0.8, seeds=3, diverged=[1]).run("iterand-ku", 0.9, seeds=2, val=0.7)
    popup, iterand = runs_of(study.table, study.names)
    assert "randomize_prob" not in popup.settings
    assert "lr" not in iterand.settings
    assert iterand.settings["randomize_every"] == 13
    assert sorted(popup.accuracy["test"]) == [0, 2]
    assert popup.diverged == {1}
    assert popup.accuracy["val"] == {}
    assert iterand.accuracy["val"] == pytest.approx({0: 0.7, 1: 0.7}, abs=0.003)


def test_columns_that_are_no_settings_are_no_reason_to_keep_runs_apart(study):
    widths(study, "popup-ku", 16, 32)
    for number, row in enumerate(study.rows):
        row["steps"] = number
    assert len(found(study, ["popup-ku"], "width")) == 1


def test_a_table_without_accuracies_is_refused(study):
    study.run("dense", 0.9)
    with pytest.raises(ValueError, match=r"column test_accuracy is missing.*table\.csv"):
        runs_of(study.table.drop(columns="test_accuracy"), study.names)


@pytest.mark.parametrize(
    ("net", "width"),
    [
        ({"net.kind": "mlp", "net.hidden": "32-32"}, 32),
        ({"net.kind": "mlp", "net.hidden": 16.0}, 16),  # what pandas makes of a column of single layers
        ({"net.kind": "conv", "net.hidden": None, "net.width": 0.25, "net.depth": 4}, 0.25),
    ],
)
def test_the_width_of_a_net_is_one_number(study, net, width):
    (run,) = runs_of(study.run("dense", 0.9, **net).table, study.names)
    assert run.settings["width"] == width


def test_a_sweep_over_widths_has_nets_of_one_shape(study):
    widths(study, "popup-ku", 16, 64)
    for hidden in ("16-32", "32-64"):
        study.run("popup-ku", 0.9, **{"net.hidden": hidden})
    study.run("popup-ku", 0.9, **{"net.hidden": "16"})
    assert [sweep.places for sweep in found(study, ["popup-ku"], "width")] == [[16, 64], [16, 32]]


def test_arms_are_matched_by_the_settings_that_both_have(study):
    widths(study, "dense", 16, 32)
    widths(study, "iterand-ku", 16, 32)
    widths(study, "dense", 16, 32, epochs=136)
    (sweep,) = found(study, ["dense", "iterand-ku"], "width")
    assert {(arm, place): len(runs) for (arm, place), runs in sweep.runs.items()} == {
        ("dense", 16): 1, ("dense", 32): 1, ("iterand-ku", 16): 1, ("iterand-ku", 32): 1,
    }  # fmt: skip
    assert sweep.shared["epochs"] == 68


def test_places_are_those_that_all_arms_have(study):
    widths(study, "popup-ku", 16, 32, 64, 128)
    widths(study, "iterand-ku", 32, 128, 256)
    (sweep,) = found(study, ["iterand-ku", "popup-ku"], "width")
    assert sweep.places == [32, 128]


def test_one_place_is_no_sweep(study):
    widths(study, "popup-ku", 16, 32)
    widths(study, "iterand-ku", 16)
    assert found(study, ["iterand-ku", "popup-ku"], "width") == []


def test_edge_popup_is_the_same_run_at_every_rate(study):
    study.run("popup-ku", 0.8)
    for rate in (0.1, 1.0):
        study.run("iterand-ku", 0.9, randomize_prob=rate)
    (sweep,) = found(study, ["iterand-ku", "popup-ku"], "randomize_prob")
    assert sweep.runs["popup-ku", 0.1] == sweep.runs["popup-ku", 1.0]


def test_every_data_set_has_its_own_sweep(study):
    widths(study, "popup-ku", 16, 32)
    widths(study, "popup-ku", 16, 32, dataset="mnist")
    assert [sweep.shared["dataset"] for sweep in found(study, ["popup-ku"], "width")] == ["digits", "mnist"]


def test_of_rival_sweeps_the_one_remains_that_more_runs_agree_with(study):
    widths(study, "iterand-ku", 16, 32, randomize_every=1)
    widths(study, "iterand-ku", 16, 32, 64)
    widths(study, "iterand-ku", 16, 32, randomize_every=400)
    (sweep,) = found(study, ["iterand-ku"], "width")
    assert sweep.shared["randomize_every"] == 13


def test_longer_trainings_are_compared_at_the_same_number_of_redraws(study):
    study.run("popup-ku", 0.8).run("popup-ku", 0.8, epochs=272)
    study.run("iterand-ku", 0.9).run("iterand-ku", 0.9, epochs=272, randomize_every=52)
    study.run("iterand-ku", 0.9, epochs=272)  # four times as many
    (sweep,) = found(study, ["iterand-ku", "popup-ku"], "epochs")
    assert sweep.places == [68, 272]
    (long,) = sweep.runs["iterand-ku", 272]
    assert long.settings["randomize_every"] == 52


def test_how_often_a_run_was_watched_does_not_matter(study):
    widths(study, "popup-ku", 16, 32)
    widths(study, "popup-ku", 16, 32, evaluate_every=1)
    (sweep,) = found(study, ["popup-ku"], "width")
    assert [len(runs) for runs in sweep.runs.values()] == [1, 1]


def test_the_usual_place_is_what_most_runs_of_the_data_set_have(study):
    for period in (1, 13, 400):
        study.run("iterand-ku", 0.9, randomize_every=period)
    widths(study, "iterand-ku", 16, 64)
    widths(study, "iterand-ku", 16, 32, 64, 128, randomize_every=400, dataset="mnist")
    assert [sweep.usual for sweep in found(study, ["iterand-ku"], "randomize_every")] == [13]


def test_where_a_data_set_has_each_place_once_the_whole_study_says_what_is_usual(study):
    for lr in (0.03, 1.0, 3.0):
        study.run("popup-ku", 0.9, score_lr=lr, dataset="digits.val")
    study.run("popup-ku", 0.9)
    (sweep,) = found(study, ["popup-ku"], "score_lr")
    assert sweep.usual == 1.0
