from math import isnan, sqrt

import numpy as np
import pytest
from pandas import DataFrame
from scipy import stats
from transfer_results import EPOCH_STEPS, Made, digits

from carryover.figures.transfer_published import Sample, Shown, agrees, published_rows, welch
from carryover.figures.transfer_settings import TransferFigureSpec
from carryover.figures.transfer_tables import measured, named, over_pairs, shown_methods, trajectory
from carryover.io.recipes import at_last, at_selected, epoch_steps, recipes
from carryover.published.learning_transfer import Curve


def spec(**settings):
    return TransferFigureSpec(draw="curves", transfers=["main"], **settings)


def test_a_run_is_known_by_its_own_settings_and_by_those_of_the_runs_below_it():
    made = digits().training("low").training("high", start="low").transfer("tuned", "high")
    known = recipes(made.continuation("after", "tuned", methods=["gmt"]).results)
    recipe = known["continuation", "after"]
    assert recipe["continuation.transfer"] == "tuned"
    assert recipe["transfer.steps"] == 10
    assert recipe["training.start"] == "low"
    assert recipe["start.epochs"] == 30
    assert "training.start" not in known["transfer", "main"]


def test_a_figure_calls_a_run_by_net_and_data_set_and_says_that_it_was_pre_trained():
    known = recipes(digits().training("high", start="low").transfer("tuned", "high").results)
    assert named(known["transfer", "main"], "main").title == "MLP 256-256 on digits.val"
    assert named(known["transfer", "tuned"], "tuned").title == "MLP 256-256, pre-trained, on digits.val"
    assert named({}, "unknown").title == "unknown"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"trajectory": "linear", "grid": "uniform"}, "linear, T = 7"),
        ({"trajectory": "linear", "grid": "cosine"}, "linear, cosine grid, T = 7"),
        ({"trajectory": "actual", "grid": "uniform"}, "actual, T = 7"),
        ({"trajectory": "actual", "segments": 2}, "actual, T = 7, 2 permutations"),
    ],
)
def test_a_trajectory_is_named_by_what_it_goes_along(settings, words):
    assert trajectory({f"transfer.{key}": value for key, value in settings.items()}, 7) == words


def test_a_mean_is_over_pairs_with_the_sample_standard_deviation():
    rows = DataFrame({"method": ["a", "a", "b"], "value": [0.1, 0.3, 0.5]})
    table = over_pairs(rows, ["method"]).set_index("method")
    assert table.loc["a", ["mean", "sd", "n"]].tolist() == pytest.approx([0.2, sqrt(0.02), 2])
    assert isnan(table.loc["b", "sd"])


def test_a_result_is_at_the_step_that_each_pair_selected_and_at_the_last_for_what_selects_none():
    made = Made(pairs=2)
    made.add("transfers", "main", training="mlp")
    for pair, best in ((1, 2), (2, 1)):
        made.row("transfer", "main", pair, "gmt", "none", best, "best", 1.0)
        for method in ("gmt", "source"):
            for step in range(4):
                made.row("transfer", "main", pair, method, "test", step, "accuracy", step / 10)
    results = made.results
    rows = results[results["metric"] == "accuracy"]
    chosen = at_selected(results, rows).set_index(["method", "pair"])["step"]
    assert chosen.to_dict() == {("gmt", 1): 2, ("gmt", 2): 1, ("source", 1): 3, ("source", 2): 3}
    assert set(at_last(rows)["step"]) == {3}


def test_an_epoch_is_as_long_as_the_first_that_was_reported():
    assert epoch_steps(digits().results).to_dict() == {"mlp": EPOCH_STEPS}


def test_methods_are_in_the_order_of_the_figure_or_of_all_figures():
    assert shown_methods(["fgmt", "naive", "gmt"], spec()) == ["naive", "gmt", "fgmt"]
    assert shown_methods(["fgmt", "naive", "gmt"], spec(methods=["gmt", "naive"])) == ["gmt", "naive"]


def test_a_method_that_no_run_has_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="names oracel, which none of its runs has: did you mean oracle"):
        shown_methods(["oracle", "gmt"], spec(methods=["oracel"]))


def test_a_split_that_was_not_measured_is_refused_with_those_that_were():
    results = digits().results
    with pytest.raises(ValueError, match=r"no transfer of this figure has accuracy on train .*test, val"):
        measured(results, "transfer", "accuracy", "train")


def test_welch_is_the_interval_of_scipy():
    draw = np.random.default_rng(0)
    ours, theirs = draw.normal(0.9, 0.02, 4), draw.normal(0.88, 0.01, 3)
    expected = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    samples = [Sample(v.mean(), v.std(ddof=1), len(v)) for v in (ours, theirs)]
    difference, low, high = welch(*samples)
    assert difference == pytest.approx(ours.mean() - theirs.mean())
    assert (low, high) == pytest.approx((expected.low, expected.high))


def test_a_single_pair_has_a_difference_and_no_interval():
    difference, low, high = welch(Sample(0.9, float("nan"), 1), Sample(0.8, 0.01, 3))
    assert difference == pytest.approx(0.1)
    assert isnan(low)
    assert isnan(high)


def test_a_curve_agrees_only_with_all_its_settings_and_on_validation_images():
    curve = Curve("GMT", "gmt", (0.5,), (0.1,), {"transfer.steps": 5, "training.start": None})
    assert agrees(curve, Shown({"transfer.steps": 5}, "val", {}))
    assert not agrees(curve, Shown({"transfer.steps": 5}, "test", {}))
    assert not agrees(curve, Shown({"transfer.steps": 10}, "val", {}))
    assert not agrees(curve, Shown({"transfer.steps": 5, "training.start": "low"}, "val", {}))
    assert not agrees(Curve("GMT", "gmt", (0.5,), (0.1,)), Shown({}, "val", {}))


def test_published_curves_of_another_setting_have_a_panel_of_their_own_that_says_whose_they_are():
    rows = list(published_rows(["fig5a"], []))
    assert {row["part"] for row in rows} == {"reference", "reference level"}
    assert {row["title"] for row in rows} == {"published: Chijiwa 2024, figure 5a"}
    assert {row["subtitle"] for row in rows} == {"MNIST, MLP 4096, linear, T = 5, n = 3 pairs"}
    assert all(row["sd"] > 0 for row in rows if row["part"] == "reference")
    assert len(rows) == 4 * 5 + 3
