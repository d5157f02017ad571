import numpy as np
import pytest
from metaticket_results import Made, family

from carryover.figures.metaticket_measurements import tabulate_measurements
from carryover.figures.metaticket_tables import task_interval


@pytest.fixture
def made(tmp_path):
    """Make a training with everything that is measured of it."""
    made = Made(tmp_path / "results").training("main", "metaticket", inner_lr=0.5)
    return made.test("t", "main", tasks=20, steps=[0, 3], adapted=["trained", "head"]).analysis("a", "main")


def test_every_measurement_of_a_test_has_both_spreads_and_the_value_of_every_seed(made):
    results = made.results
    table = tabulate_measurements(results)
    tests = table[table["kind"] == "test"]
    assert len(tests) == 2 * 2 * 2 * 2  # adapted, norm, step, metric
    place = {"adapted": "head", "norm": "support", "step": 3, "metric": "accuracy"}
    (row,) = tests[(tests[list(place)] == list(place.values())).all(axis=1)].to_dict("records")
    scores = [results.scores["t", seed, "head", "support", 3] for seed in (1, 2, 3)]
    assert row["mean"] == pytest.approx(np.mean(scores))
    assert row["sd"] == pytest.approx(np.mean(scores, axis=1).std(ddof=1))
    assert row["half"] == pytest.approx(task_interval(scores)[0])
    assert (row["n"], row["tasks"]) == (3, 20)
    values = [seed.split(":") for seed in row["seeds"].split()]
    assert [int(seed) for seed, _ in values] == [1, 2, 3]
    assert [float(value) for _, value in values] == pytest.approx([score.mean() for score in scores])


def test_losses_have_no_interval_over_tasks_since_only_scores_are_kept_for_each(made):
    table = tabulate_measurements(made.results)
    assert table["half"][(table["kind"] == "test") & (table["metric"] == "loss")].isna().all()
    assert table["half"][(table["kind"] == "test") & (table["metric"] != "loss")].notna().all()


def test_of_trainings_only_the_last_values_are_kept(made):
    table = tabulate_measurements(made.results)
    own = table[table["kind"] == "training"]
    assert set(own["step"]) == {1000}
    assert {"accuracy", "loss", "sparsity/fc1.weight"} <= set(own["metric"])
    assert not set(own["metric"]) & {"seconds", "peak_mb"}


def test_analyses_keep_layers_and_roles(made):
    table = tabulate_measurements(made.results)
    own = table[(table["kind"] == "analysis") & (table["metric"] == "change")]
    assert own[["layer", "role"]].to_numpy().tolist()[:3] == [
        ["fc1.weight", "body"],
        ["fc1.bias", "bias"],
        ["norm1.weight", "norm"],
    ]


def test_settings_of_the_run_and_its_training_are_beside_every_number(made):
    table = tabulate_measurements(made.results)
    assert set(table["training.inner_lr"]) == {0.5}
    assert set(table["method"]) == {"metaticket"}
    assert set(table["test.tasks"].dropna()) == {20}
    assert "test.widen.units" not in table


def test_mac_is_a_method_of_its_own(tmp_path):
    made = family(tmp_path, methods=("anil",)).test("mac", "anil-x1", widen={"units": 8})
    table = tabulate_measurements(made.results)
    assert table.drop_duplicates("run").set_index("run")["method"].to_dict() == {
        "anil-x1": "anil",
        "test-anil-x1": "anil",
        "mac": "mac-anil",
    }


def test_a_study_of_trainings_alone_has_a_table(tmp_path):
    table = tabulate_measurements(Made(tmp_path).training("main", "maml").results)
    assert set(table["kind"]) == {"training"}


def test_the_order_of_the_manifests_does_not_matter(tmp_path):
    made = (
        Made(tmp_path)
        .training("b", "maml", seeds=(1, 2))
        .training("b", "maml", seeds=(3,))
        .training("a", "boil")
    )
    made.test("t", "b", seeds=(1, 2)).test("t", "b", seeds=(3,))
    first = tabulate_measurements(made.results)
    made.manifests.reverse()
    second = tabulate_measurements(made.results)
    assert first.equals(second[first.columns])
    assert set(first.columns) == set(second.columns)
