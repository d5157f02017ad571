import statistics

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carryover.figures.iterand_tables import along, final_accuracy, net_names, with_counts
from carryover.figures.style import look_of
from carryover.io.results import read_results


@pytest.fixture
def six_seeds(made):
    return read_results([made.add("popup-ku", dict.fromkeys(range(6), 0.5))])


@given(accuracy=st.dictionaries(st.integers(0, 5), st.floats(0, 1), min_size=1))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mean_and_standard_deviation_are_those_of_the_seeds(six_seeds, accuracy):
    rows = six_seeds[six_seeds["seed"].isin(list(accuracy))]
    measured = rows["value"].where(rows["metric"] != "accuracy", rows["seed"].map(accuracy))
    (row,) = final_accuracy(rows.assign(value=measured), "test").to_dict("records")
    accuracy = dict(sorted(accuracy.items()))
    values = list(accuracy.values())
    assert row["n"] == len(values)
    assert row["mean"] == pytest.approx(statistics.fmean(values), abs=1e-12)
    if len(values) > 1:
        assert row["sd"] == pytest.approx(statistics.stdev(values), abs=1e-9)
    assert row["per_seed"] == " ".join(f"{seed}:{value}" for seed, value in accuracy.items())


def test_a_single_seed_has_no_standard_deviation(made):
    made.add("popup-ku", {3: 0.5})
    table = final_accuracy(read_results(made.manifests), "test")
    assert table["n"].tolist() == [1]
    assert table["sd"].isna().all()


def test_a_seed_that_diverged_is_counted_and_left_out(made):
    made.add("popup-ku", {0: 0.5, 1: 0.7, 2: 0.0}, diverged=[2])
    made.add("iterand-ku", {0: 0.0, 1: 0.0}, diverged=[0, 1])
    table = final_accuracy(read_results(made.manifests), "test").to_dict("records")
    assert [(row["n"], row["diverged"]) for row in table] == [(2, 1), (0, 2)]
    assert table[0]["mean"] == pytest.approx(0.6)
    assert table[0]["per_seed"] == "0:0.5 1:0.7 2:diverged"
    assert table[1]["mean"] != table[1]["mean"]


def test_edge_popup_is_r_0(made):
    made.add("iterand-ku", {0: 0.5}, randomize_prob=0.1)
    made.add("popup-ku", {0: 0.5})
    made.add("dense", {0: 0.5})
    table = final_accuracy(read_results(made.manifests), "test", ["randomize_prob"])
    assert table["arm"].tolist() == ["dense", "popup-ku", "iterand-ku"]
    assert table["randomize_prob"].fillna(-1).tolist() == [-1, 0.0, 0.1]


def test_nets_stay_in_the_order_of_the_study_and_arms_in_that_of_the_methods(made):
    for hidden in ([64, 64], [16, 16]):
        for arm in ("iterand-ku", "dense"):
            made.add(arm, {0: 0.5}, net={"kind": "mlp", "hidden": hidden})
    table = final_accuracy(read_results(made.manifests), "test")
    assert table[["net", "arm"]].to_numpy().tolist() == [
        ["MLP 64-64", "dense"],
        ["MLP 64-64", "iterand-ku"],
        ["MLP 16-16", "dense"],
        ["MLP 16-16", "iterand-ku"],
    ]


def test_an_arm_of_ones_own_comes_after_the_known_ones_and_always_looks_the_same(made):
    made.add("popup-kn", {0: 0.5})
    made.add("popup-sc", {0: 0.5})
    table = final_accuracy(read_results(made.manifests), "test")
    assert list(table["arm"]) == ["popup-sc", "popup-kn"]
    assert look_of("popup-kn") == look_of("popup-kn")
    assert look_of("popup-kn").label == "popup-kn"


def test_two_runs_on_one_point_are_refused(made):
    made.add("popup-ku", {0: 0.5}, run="a", sparsity=0.5)
    made.add("popup-ku", {0: 0.5}, run="b", sparsity=0.7)
    results = read_results(made.manifests)
    with pytest.raises(ValueError, match=r"a and b fall on one point of the figure.*\(dataset, net, arm\)"):
        final_accuracy(results, "test")
    assert len(final_accuracy(results, "test", ["sparsity"])) == 2
    with pytest.raises(ValueError, match="a and b fall on one point"):
        along(results, "accuracy", "test")


def test_a_split_that_was_not_evaluated_is_refused(made):
    made.add("popup-ku", {0: 0.5}, run="a")
    with pytest.raises(ValueError, match=r"a has no val accuracy.*set `split`"):
        final_accuracy(read_results(made.manifests), "val")


def test_a_course_has_epochs_and_the_seeds_that_are_alive(made):
    made.add("popup-ku", {0: 0.3, 1: 0.9}, diverged=[1])
    table = along(read_results(made.manifests), "accuracy", "test")
    assert table["epoch"].tolist() == [1, 2, 3]
    assert table["n"].tolist() == [2, 1, 1]
    assert table["mean"].tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert table["diverged"].tolist() == [1, 1, 1]


def test_counts_are_those_kept_by_masks_or_trained(made):
    made.add("dense", {0: 0.5})
    made.add("popup-ku", {0: 0.0, 1: 0.5}, diverged=[0])
    results = read_results(made.manifests)
    table = with_counts(final_accuracy(results, "test"), results)
    assert table["num_weights"].tolist() == [1000, 1000]
    assert table["num_left"].tolist() == [1010, 500]


@pytest.mark.parametrize(
    ("net", "names"),
    [
        ({"net.kind": "mlp", "net.hidden": "32-32"}, ("MLP 32-32", "MLP h-h", 32)),
        ({"net.kind": "mlp", "net.hidden": "16"}, ("MLP 16", "MLP h", 16)),
        ({"net.kind": "conv", "net.depth": 6, "net.width": 1.0}, ("Conv6", "Conv6", 1)),
        (
            {"net.kind": "resnet", "net.depth": 18, "net.width": 0.25},
            ("ResNet18, width 0.25", "ResNet18", 0.25),
        ),
    ],
)
def test_nets_are_called_what_people_call_them(net, names):
    assert net_names(net) == names


def test_hidden_layers_of_several_sizes_have_no_width():
    name, _, size = net_names({"net.kind": "mlp", "net.hidden": "32-16"})
    assert name == "MLP 32-16"
    assert size != size
