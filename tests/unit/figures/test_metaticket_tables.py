import numpy as np
import pytest
from metaticket_results import Made, add_family, family
from scipy.stats import t as student

from carryover.figures.metaticket_settings import FewshotFigureSettings
from carryover.figures.metaticket_tables import (
    as_trained,
    at_step,
    cells_of,
    levels,
    means_of,
    ordered,
    points,
    scored,
    table_of,
    task_interval,
)

TWO = ("maml", "metaticket")


def spec(**settings):
    return FewshotFigureSettings(draw="results", tests=["all"], **settings)


def labels(made):
    return cells_of(scored(made.results, "accuracy")).set_index("run")["label"].to_dict()


def test_the_interval_over_tasks_is_students_of_the_mean_over_seeds_of_every_task():
    draw = np.random.default_rng(0)
    scores = draw.normal(size=(3, 40))
    half, count = task_interval(list(scores))
    low, high = student.interval(0.95, 39, loc=0.0, scale=scores.mean(0).std(ddof=1) / np.sqrt(40))
    assert count == 40
    assert half == pytest.approx((high - low) / 2, rel=1e-12)


def test_seeds_that_agree_on_every_task_make_the_interval_no_narrower():
    scores = np.random.default_rng(0).normal(size=40)
    assert task_interval([scores, scores, scores])[0] == pytest.approx(task_interval([scores])[0], rel=1e-12)


def test_noise_of_seeds_that_differs_from_task_to_task_averages_out():
    scores = np.random.default_rng(0).normal(size=(100, 40))
    assert task_interval(list(scores))[0] < 0.2 * task_interval([scores[0]])[0]


def test_a_single_task_has_no_interval():
    half, count = task_interval([np.array([0.5])])
    assert np.isnan(half)
    assert count == 1


def test_spread_over_seeds_and_interval_over_tasks_are_two_columns(tmp_path):
    results = (
        Made(tmp_path).training("m", "maml").test("t", "m", tasks=30, steps=[3], norms=["trained"]).results
    )
    (row,) = means_of(results, scored(results, "accuracy")).to_dict("records")
    scores = np.array([results.scores["t", seed, "trained", "transductive", 3] for seed in (1, 2, 3)])
    assert row["mean"] == pytest.approx(scores.mean(), abs=1e-9)
    assert row["sd"] == pytest.approx(scores.mean(1).std(ddof=1), abs=1e-9)
    assert row["half"] == pytest.approx(task_interval(list(scores))[0])
    assert (row["n"], row["tasks"]) == (3, 30)


def test_one_seed_has_no_spread_over_seeds_but_an_interval_over_tasks(tmp_path):
    results = Made(tmp_path, (1,)).training("m", "maml").test("t", "m", steps=[3], norms=["trained"]).results
    (row,) = means_of(results, scored(results, "accuracy")).to_dict("records")
    assert np.isnan(row["sd"])
    assert row["half"] > 0


def test_single_values_are_those_at_the_wanted_step_or_at_the_last_one(tmp_path):
    results = family(tmp_path, methods=TWO, test={"steps": [0, 1, 3]}).results
    assert set(at_step(results, spec(step=1))["step"]) == {1}
    assert set(at_step(results, spec())["step"]) == {3}


def test_a_test_without_the_wanted_step_is_an_error_unless_it_is_there_for_its_ceiling(tmp_path):
    made = family(tmp_path, methods=TWO).test("top", "maml-x1", steps=[0], ceiling=True)
    assert "top" not in set(at_step(made.results, spec(step=3))["run"])
    made.test("short", "maml-x1", steps=[0, 1])
    with pytest.raises(
        ValueError, match="short was not measured after 3 inner steps, only after 0, 1: set `step`"
    ):
        at_step(made.results, spec(step=3))


def test_a_figure_without_accuracies_is_an_error(tmp_path):
    results = Made(tmp_path).training("m", "maml").results
    with pytest.raises(ValueError, match="no test of this figure has accuracy: name tests of images"):
        scored(results, "accuracy")
    with pytest.raises(ValueError, match="no test of this figure has mse: name tests of sinusoids"):
        scored(results, "mse")


def test_panels_are_told_by_data_set_net_and_size_of_tasks(tmp_path):
    made = family(tmp_path, methods=TWO)
    made.test("far", "maml-x1", dataset="mnist").test("few", "metaticket-x1", shots=1, ways=3)
    cells = cells_of(scored(made.results, "accuracy")).set_index("run")
    assert cells["title"].to_dict() == {
        "test-maml-x1": "omniglot, MLP 256-128-64-64",
        "test-metaticket-x1": "omniglot, MLP 256-128-64-64",
        "far": "mnist, MLP 256-128-64-64",
        "few": "omniglot, MLP 256-128-64-64",
    }
    assert cells["subtitle"].to_dict() == {
        "test-maml-x1": "5-way 5-shot",
        "test-metaticket-x1": "5-way 5-shot",
        "far": "5-way 5-shot, trained on omniglot",
        "few": "3-way 1-shot, trained with 5-way 5-shot",
    }
    assert cells["panel"].nunique() == 3
    by_home = cells_of(scored(made.results, "accuracy"), by_home=True).set_index("run")
    assert by_home.loc["far", "panel"] == by_home.loc["test-maml-x1", "panel"]


def test_nets_of_one_family_share_a_panel_where_width_is_along_the_axis(tmp_path):
    made = add_family(family(tmp_path, methods=TWO), 2, methods=TWO)
    rows = scored(made.results, "accuracy")
    assert cells_of(rows)["panel"].nunique() == 2
    wide = cells_of(rows, ["training.net.width"])
    assert wide["panel"].unique().tolist() == ["omniglot, MLP 256-128-64-64, 5-way 5-shot"]
    assert wide["width"].tolist() == [1, 1, 2, 2]
    assert wide["label"].tolist() == ["MAML", "Meta-ticket"] * 2


def test_runs_of_one_method_are_told_apart_by_the_one_setting_in_which_they_differ(tmp_path):
    made = Made(tmp_path, (1,))
    for chance in (0.0, 1.0):
        made.training(f"r{chance}", "metaticket", randomize_every=10, randomize_prob=chance)
        made.test(f"t{chance}", f"r{chance}")
    made.training("boil", "boil").test("b", "boil")
    assert labels(made) == {"t0.0": "Meta-ticket, r = 0", "t1.0": "Meta-ticket, r = 1", "b": "BOIL"}


def test_runs_that_differ_in_several_settings_are_told_apart_by_their_trainings_but_for_the_first(tmp_path):
    made = (
        Made(tmp_path, (1,)).training("usual", "maml").training("sgd", "maml", optimizer="sgd", outer_lr=0.1)
    )
    made.test("a", "usual").test("b", "sgd")
    assert labels(made) == {"a": "MAML", "b": "MAML, sgd"}


def test_what_changes_no_result_tells_nothing_apart(tmp_path):
    made = Made(tmp_path, (1,)).training("m", "maml").training("n", "maml", chunk=2, val_tasks=7)
    made.test("a", "m").test("b", "n", steps=[3])
    assert labels(made) == {"a": "MAML", "b": "MAML"}


def test_two_runs_on_one_point_are_an_error_that_names_them(tmp_path):
    results = family(tmp_path, methods=TWO).test("again", "maml-x1", tasks=30).results
    table = table_of(points(results, as_trained(at_step(results, spec()))))
    with pytest.raises(
        ValueError, match=r"test-maml-x1 and again fall on one point .*MAML in the panel omniglot"
    ):
        ordered(table)


def test_a_point_that_two_tests_of_one_training_measured_on_the_same_tasks_is_there_once(tmp_path):
    results = family(tmp_path, methods=TWO).test("again", "maml-x1").results
    table = ordered(table_of(points(results, as_trained(at_step(results, spec())))))
    assert table["run"].tolist() == ["test-maml-x1", "test-metaticket-x1"]


def test_rows_are_in_the_order_of_the_family(tmp_path):
    results = family(tmp_path, methods=("metaticket", "anil", "random", "maml")).results
    table = ordered(table_of(points(results, as_trained(at_step(results, spec())))))
    assert table["method"].tolist() == ["random", "anil", "maml", "metaticket"]


def test_chance_is_one_in_the_number_of_ways_and_the_ceiling_that_of_the_same_tasks(tmp_path):
    made = family(tmp_path, methods=TWO).test("few", "metaticket-x1", ways=3)
    made.test("top", "maml-x1", steps=[0], ceiling=True).test("far", "maml-x1", dataset="mnist")
    results = made.results
    found = levels(results, points(results, as_trained(at_step(results, spec(step=3)))))
    chances = found[found["part"] == "chance"].set_index("subtitle")["mean"]
    assert chances.to_dict() == {
        "5-way 5-shot": 0.2,
        "3-way 5-shot, trained with 5-way 5-shot": 1 / 3,
        "5-way 5-shot, trained on omniglot": 0.2,
    }
    (ceiling,) = found[found["part"] == "ceiling"].to_dict("records")
    assert ceiling["subtitle"] == "5-way 5-shot"
    assert ceiling["mean"] == pytest.approx(results.scores["top", 1, "ceiling", "none", 0].mean())
