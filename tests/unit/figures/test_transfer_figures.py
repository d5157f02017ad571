import numpy as np
import pytest
from pandas import DataFrame
from transfer_results import EPOCH_STEPS, Made, digits, drawn

from carryover.figures import transfer_theory
from carryover.figures.style import save_figure
from carryover.figures.transfer import DRAWINGS
from carryover.figures.transfer_cost import size
from carryover.figures.transfer_settings import TransferFigureSpec

BARRIERS = {"naive": (0.0, 0.15, 0.36), "oracle": (0.0, 0.0, 0.02), "gmt": (0.0, 0.03, 0.07)}


def tabulated(made, draw, **settings):
    return DRAWINGS[draw].tabulate(made.results, TransferFigureSpec(draw=draw, **settings))


def note_of(figure):
    return " ".join(figure.get_supxlabel().split())


def legend_of(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def titles_of(figure):
    return [axis.get_title(loc="left").split("\n")[0] for axis in figure.axes]


def texts_of(axis):
    return [text.get_text() for text in axis.texts]


def inherited():
    """Make transfers from a poor pre-training to a good one and to itself."""
    made = Made().training("rich", start="all", final=0.95).training("poor", start="tenth", final=0.90)
    methods = ["naive", "fgmt"]
    made.transfer("across", "poor", target_training="rich", methods=methods).transfer(
        "within", "poor", methods=methods
    )
    made.continuation("across", "across", methods=methods, final=0.96)
    return made.continuation("within", "within", methods=methods, final=0.89)


def test_training_after_transfer_is_beside_the_target_s_own_training(tmp_path):
    made = digits().continuation("after", "main")
    figure, table = drawn(made, tmp_path, "continuation", continuations=["after"], published=["fig6a"])
    course = table[table["part"] == "course"]
    assert set(course["method"]) == {"standard", "naive", "random", "oracle", "gmt", "fgmt"}
    assert course[course["method"] == "gmt"]["x"].tolist() == list(range(21))
    assert course[course["method"] == "standard"]["x"].tolist() == list(range(1, 31))
    assert titles_of(figure)[:2] == ["MLP 256-256 on digits.val", "its first epochs"]
    assert figure.axes[1].get_xlim()[1] < 6
    assert "standard training" in legend_of(figure)
    assert table["sd"][table["part"] == "reference"].notna().sum() == 5 * 60


def test_the_cost_of_a_transfer_is_told_in_epochs_of_images(tmp_path):
    made = digits().continuation("after", "main")
    figure, table = drawn(made, tmp_path, "continuation", continuations=["after"])
    costs = table[table["part"] == "cost"].set_index("method")["mean"]
    assert costs["fgmt"] == pytest.approx(20 * 128 / (EPOCH_STEPS * 128))
    assert costs["gmt"] == pytest.approx(65 / EPOCH_STEPS)
    assert "in epochs of images: FGMT 1.1, GMT 3.6" in note_of(figure)


def test_inheritance_has_a_column_for_each_pair_of_trainings_with_accuracy_and_gap(tmp_path):
    figure, table = drawn(inherited(), tmp_path, "inheritance", continuations=["x"], published=["fig8a"])
    assert titles_of(figure)[:3] == ["poor to rich", "poor to poor", "published: Chijiwa 2024, figure 8a"]
    assert len(figure.axes) == 6
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    assert [figure.axes[0].get_ylabel(), figure.axes[3].get_ylabel()] == [
        "validation accuracy (%)", "training less validation (%)",
    ]  # fmt: skip
    gap = table[(table["quantity"] == "gap") & (table["part"] == "course") & (table["method"] == "fgmt")]
    assert gap.iloc[-1]["mean"] == pytest.approx(0.03 * (1 - np.exp(-20 / 8)) - 0.08 * np.exp(-10), abs=1e-6)


def test_the_gap_is_training_less_validation_accuracy_pair_by_pair():
    table = tabulated(inherited(), "inheritance", continuations=["x"])
    results = inherited().results
    rows = results[
        (results["run"] == "within") & (results["method"] == "fgmt") & (results["metric"] == "accuracy")
    ]
    rows = rows[(rows["kind"] == "continuation") & (rows["step"] == EPOCH_STEPS)]
    values = rows.pivot(index="pair", columns="split", values="value")
    found = table[(table["run"] == "within") & (table["quantity"] == "gap") & (table["x"] == 1)]
    found = found[found["method"] == "fgmt"].iloc[0]
    assert found["mean"] == pytest.approx((values["train"] - values["val"]).mean())
    assert found["sd"] == pytest.approx((values["train"] - values["val"]).std())


def test_cosines_are_shown_by_width_with_their_mean_over_the_steps(tmp_path):
    made = Made()
    for width, mean in ((32, 0.56), (8, 0.3)):
        made.cosine(f"width{width}", width, mean=mean, steps=100, every=5)
    figure, table = drawn(made, tmp_path, "cosines", cosines=["width"], published=["fig3a"])
    assert titles_of(figure)[::2] == ["MLP h on digits.val", "published: Chijiwa 2024, figure 3a"]
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["8", "32"]
    assert [label.get_text() for label in figure.axes[3].get_xticklabels()] == ["8", "16", "32", "64", "128"]
    means = table[table["part"] == "mean"].set_index(["label", "method"])["mean"]
    assert means[8, "permuted"] == pytest.approx(0.3, abs=0.02)
    assert "n and spread not known" in " ".join(texts_of(figure.axes[2]))


def test_a_published_cosine_is_on_our_axes_where_its_width_is_ours():
    recipe = {"dataset": "mnist", "lr": 0.01, "batch_size": 128, "momentum": 0.9}
    table = tabulated(
        Made().cosine("w", 16, with_recipe=recipe), "cosines", cosines=["w"], published=["fig3a"]
    )
    agreeing = table[table["part"] == "agreeing"]
    assert set(agreeing["label"]) == {"16"}
    assert agreeing[agreeing["method"] == "permuted"]["mean"].iloc[0] == 0.53
    assert set(table["label"][table["part"] == "reference"]) == {"128", "64", "32", "8"}


def test_nets_of_one_family_on_several_data_sets_are_told_apart_by_their_starts():
    made = Made()
    for run, dataset, start in (("a", "one", None), ("b", "two", None), ("c", "two", "a")):
        made.cosine(run, 8, with_recipe={"dataset": dataset, "start": start}, steps=20)
    table = tabulated(made, "cosines", cosines=["a"])
    assert set(table["label"]) == {"random->one", "random->two", "a->two"}
    assert set(table["title"]) == {"MLP h"}


def test_lines_between_solutions_have_their_barriers_beside_them(tmp_path):
    figure, table = drawn(
        digits().landscape("lines", "main", BARRIERS, plane=False), tmp_path, "landscape", landscapes=["x"]
    )
    assert len(figure.axes) == 3
    barriers = table[(table["part"] == "barrier") & (table["quantity"] == "between")].set_index("method")
    assert barriers["mean"].to_dict() == pytest.approx({"naive": 0.36, "oracle": 0.02, "gmt": 0.07}, abs=0.02)
    assert figure.axes[0].get_ylabel() == "validation loss (nats per example)"
    assert legend_of(figure) == ["naive", "oracle", "GMT"]
    course = table[(table["part"] == "course") & (table["method"] == "gmt") & (table["quantity"] == "target")]
    assert (course["x"].min(), course["x"].max(), len(course)) == (0, 1, 101)


def test_a_plane_has_its_three_solutions_and_the_lowest_accuracy_between_them(tmp_path):
    made = digits(pairs=1).landscape("lines", "main", BARRIERS)
    figure, table = drawn(made, tmp_path, "plane", landscapes=["x"], published=["fig7a"])
    edges = table[table["part"] == "edge"].set_index(["panel", "method"])["value"]
    expected = 0.1 + 0.86 * np.exp(-((4 / 6) ** 2))  # of the two cells beside the middle
    assert edges["lines/1/plane", "target, transferred"] == pytest.approx(expected)
    assert len(table[table["part"] == "cell"]) == 2 * 18 * 23
    plane, loss_map, published = (axis for axis in figure.axes if axis.get_title(loc="left"))
    assert {"target\n96%", "continued\n96%", "source*\n96%"} <= set(texts_of(plane))
    assert {"oracle\n0.1", "GMT\n0.1"} <= set(texts_of(loss_map))
    assert {"target\n65%", "58%", "16%", "15%"} <= set(texts_of(published))
    assert plane.get_aspect() == 1


def test_ensembles_are_a_table_with_dots_and_the_paper_s_are_tinted(tmp_path):
    made = (
        digits().continuation("after", "main").ensemble("short", "after", {"gmt": 0.972, "standard": 0.975})
    )
    figure, table = drawn(made, tmp_path, "ensembles", ensembles=["short"], published=["table3"])
    ours = table[table["part"] == "ensemble"].set_index("method")
    assert ours.loc["gmt", "less_full"] == pytest.approx(-0.003)
    assert ours.loc["gmt", ["epochs", "num_members"]].tolist() == [20, 3]
    printed = table[table["part"] == "published"]
    assert len(printed) == 12
    assert printed.set_index(["title", "method"])["less_full"]["CUB", "fgmt"] == pytest.approx(0.016)
    written = texts_of(figure.axes[0])
    assert {"published: Chijiwa 2024, table 3", "CUB", "trained targets", "97.2", "96.2"} <= set(written)
    assert "One ensemble of 3" in note_of(figure) or "one ensemble of 3 nets" in note_of(figure)


def test_steps_are_compared_at_the_last_and_at_the_selected_step(tmp_path):
    made = digits()
    for steps in (1, 5):
        made.transfer(f"steps{steps}", "mlp", steps=steps, methods=["gmt"])
    figure, table = drawn(made, tmp_path, "steps", transfers=["main"])
    gmt = table[(table["method"] == "gmt") & (table["quantity"] == "last")]
    assert gmt["x"].tolist() == [1, 5, 10]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["1", "5", "10"]
    assert figure.axes[0].get_ylabel() == "test accuracy (%)"
    assert texts_of(figure.axes[0]) == ["linear, at the last step"]
    levels = [line for line in figure.axes[0].lines if set(line.get_xdata()) == {0, 1}]
    assert len(levels) == 4  # naive, random, weight matching and oracle have one run only; source has three


def test_two_runs_at_one_point_of_a_sweep_are_refused():
    with pytest.raises(ValueError, match="main and again fall on one point"):
        tabulated(digits().transfer("again", "mlp"), "steps", transfers=["main"])


def test_widths_are_compared_at_the_last_step_on_a_doubling_axis(tmp_path):
    made = Made()
    for width in (64, 256):
        made.training(f"one{width}", net={"kind": "mlp", "hidden": [width]}).transfer(
            f"one{width}", f"one{width}", steps=5
        )
    figure, table = drawn(made, tmp_path, "widths", transfers=["x"])
    assert titles_of(figure) == ["MLP h on digits.val"]
    assert sorted(table["x"].unique()) == [64, 256]
    assert figure.axes[0].get_xscale() == "log"
    assert {"source", "standard", "naive", "random"} <= set(table["method"])


def test_the_table_of_costs_has_gradients_bytes_seconds_and_accuracy(tmp_path):
    figure, table = drawn(digits(), tmp_path, "cost", transfers=["main"])
    cost = table.set_index(["quantity", "method"])["mean"]
    assert cost["num_gradients", "gmt"] == 65
    assert cost["num_gradients", "fgmt"] == 20
    assert cost["cache_bytes", "fgmt"] == 20 * 4 * 85_000
    written = texts_of(figure.axes[0])
    assert {"65", "20", "6.8 MB", "GMT", "seconds", "< 0.1"} <= set(written)


def test_costs_without_recorded_seconds_have_no_seconds():
    made = digits()
    made.rows = [row for row in made.rows if row[7] != "seconds"]
    assert "seconds" not in set(tabulated(made, "cost", transfers=["main"])["quantity"])


@pytest.mark.parametrize(
    ("num_bytes", "words"), [(0.0, "0"), (850.0, "850 B"), (6.8e6, "6.8 MB"), (3.7e9, "3.7 GB")]
)
def test_bytes_are_written_as_people_say_them(num_bytes, words):
    assert size(num_bytes) == words


def test_synced_runs_of_one_training_share_a_panel_with_one_source_and_target(tmp_path):
    made = Made().synced_run("a").synced_run("b", method="random", final=0.6)
    figure, table = drawn(made, tmp_path, "synced", synced=["a"])
    assert len(figure.axes) == 1
    assert legend_of(figure) == ["source", "target", "random", "FGMT"]
    assert set(table["run"][table["method"] == "source"]) == {"a"}


def test_a_figure_and_its_table_have_the_same_bytes_each_time(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        figure, _ = drawn(Made().synced_run("a", epochs=3), tmp_path / name, "synced", synced=["a"])
        save_figure(figure, tmp_path / name / "figure.pdf", tmp_path / name / "figure.png")
    for file in ("figure.pdf", "figure.png", "table.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_two_synced_runs_of_one_method_are_refused():
    with pytest.raises(ValueError, match="a and b would be one line"):
        tabulated(Made().synced_run("a").synced_run("b"), "synced", synced=["a"])


def theory(exponent):
    """Make distances that fall with a known power of the width."""
    return DataFrame(
        [
            {
                "labels": "dependent", "inputs": d, "width": n, "pairing": pairing, "seed": seed,
                "distance": n**exponent * (1 + 0.01 * seed), "cosine": 0.5,
                "slope": -1 / (d + 1) if pairing == "parameters" else None,
            }
            for d in (2, 4)
            for n in (16, 64, 256)
            for pairing in ("identity", "parameters", "gradients")
            for seed in (0, 1)
        ]
    )  # fmt: skip


def test_the_slope_of_the_theorem_is_measured_in_logarithms():
    table = transfer_theory.tabulate(theory(-0.25))
    assert table["slope"].to_numpy() == pytest.approx(np.full(len(table), -0.25))
    assert table["predicted"].dropna().unique().tolist() == pytest.approx([-1 / 3, -1 / 5])
    assert set(table["n"]) == {2}


def test_the_theorem_has_a_column_for_each_number_of_inputs_and_writes_its_slopes():
    figure = transfer_theory.draw(transfer_theory.tabulate(theory(-0.25)))
    assert titles_of(figure) == ["d = 2", "d = 4"]
    assert texts_of(figure.axes[0]) == ["slope \N{MINUS SIGN}0.25"] * 3
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
