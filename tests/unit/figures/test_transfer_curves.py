import pytest
from transfer_results import ALL, FINAL, Made, digits, drawn

from carryover.figures.style import METHODS
from carryover.figures.transfer import DRAWINGS
from carryover.figures.transfer_settings import TransferFigureSpec

MNIST = {"kind": "mlp", "hidden": [4096]}
EVERY = ["source", "standard", "standard-gmt", *ALL]


def mnist(steps=5, **settings):
    """Make a transfer with every setting of figure 5a."""
    made = Made(spread=0.002)
    made.training("mnist", epochs=15, net=MNIST, dataset="mnist", weight_decay=0, schedule="constant")
    made.settings["training/mnist"]["lr"] = 0.01
    return made.transfer(
        "mnist", "mnist", steps=steps, final=dict.fromkeys(FINAL, 0.98), early=0.3, **settings
    )


def tabulated(made, draw, **settings):
    return DRAWINGS[draw].tabulate(made.results, TransferFigureSpec(draw=draw, **settings))


def note_of(figure):
    return " ".join(figure.get_supxlabel().split())


def legend_of(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def titles_of(figure):
    return [axis.get_title(loc="left").split("\n")[0] for axis in figure.axes]


def test_curves_are_means_over_pairs_by_step():
    made = digits()
    table = tabulated(made, "curves", transfers=["main"])
    course = table[(table["part"] == "course") & (table["method"] == "gmt")]
    values = made.results
    values = values[
        (values["metric"] == "accuracy") & (values["method"] == "gmt") & (values["split"] == "val")
    ]
    assert course["x"].tolist() == list(range(11))
    assert course["mean"].to_numpy() == pytest.approx(values.groupby("step")["value"].mean().to_numpy())
    assert course["sd"].to_numpy() == pytest.approx(values.groupby("step")["value"].std().to_numpy())
    assert set(course["n"]) == {3}


def test_curves_always_have_source_naive_random_and_standard_training():
    table = tabulated(digits(), "curves", transfers=["main"])
    assert set(table["method"][table["part"] == "course"]) == set(EVERY)


def test_a_figure_shows_the_methods_that_it_names_in_its_order():
    table = tabulated(digits(), "curves", transfers=["main"], methods=["fgmt", "naive"])
    assert list(table["method"][table["part"] == "course"].unique()) == ["fgmt", "naive"]


def test_levels_are_the_trainings_of_source_and_target_after_stated_epochs():
    levels = tabulated(digits(), "curves", transfers=["main"]).query("part == 'level'")
    assert levels.groupby("method")["x"].apply(list).to_dict() == {
        "source": [30.0],
        "target": [1.0, 7.0, 30.0],
    }
    levels = tabulated(digits(), "curves", transfers=["main"], epochs=[2, 5]).query("part == 'level'")
    assert levels.groupby("method")["x"].apply(list).to_dict() == {"source": [30.0], "target": [2.0, 5.0]}


def test_the_result_is_the_test_accuracy_at_the_selected_step():
    made = digits(pairs=2)
    selected = tabulated(made, "curves", transfers=["main"]).query("part == 'selected'").set_index("method")
    rows = made.results
    rows = rows[(rows["kind"] == "transfer") & (rows["method"] == "fgmt")]
    best = rows[rows["metric"] == "best"].set_index("pair")["step"]
    tested = rows[(rows["metric"] == "accuracy") & (rows["split"] == "test")].set_index(["pair", "step"])[
        "value"
    ]
    assert selected.loc["fgmt", "mean"] == pytest.approx(sum(tested[p, best[p]] for p in (1, 2)) / 2)
    assert selected.loc["fgmt", "x"] == best.mean()
    assert selected.loc["source", "x"] == 10
    assert list(selected.index) == EVERY


def test_the_figure_of_curves_names_everything_that_it_shows(tmp_path):
    figure, _ = drawn(
        digits().transfer("other", "mlp", steps=5),
        tmp_path,
        "curves",
        transfers=["main"],
        published=["fig5b"],
    )
    assert titles_of(figure) == ["MLP 256-256 on digits.val"] * 2 + ["published: Chijiwa 2024, figure 5b"]
    assert figure.axes[0].get_ylabel() == "validation accuracy (%)"
    assert legend_of(figure) == [METHODS[method].label for method in METHODS if method in EVERY]
    written = [text.get_text() for text in figure.axes[0].texts]
    assert "target, 7 and 30 epochs; source, 30 epochs" in written or any(
        "source, 30 epochs" in t for t in written
    )
    for words in (
        "n = 3 pairs",
        "one standard deviation",
        "gradient evaluations",
        "Grey strip: test accuracy",
    ):
        assert words in note_of(figure)
    assert "the paper's own numbers, of another setting than ours" in note_of(figure)


def test_a_published_curve_is_on_our_axes_where_data_set_and_setting_agree(tmp_path):
    figure, table = drawn(mnist(), tmp_path, "curves", transfers=["mnist"], published=["fig5a"])
    assert set(table["part"]) == {"course", "selected", "level", "agreeing", "welch"}
    markers = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert len(markers) == 4
    assert markers[0].get_ydata().tolist() == pytest.approx([0.8717, 0.9676, 0.9753, 0.9787, 0.9806])
    note = note_of(figure)
    assert "Open markers on axes of ours: Chijiwa 2024, validation images" in note
    assert "Welch's 95% interval" in note
    assert "tinted" not in note.lower()


@pytest.mark.parametrize(
    "changed", [{"steps": 6}, {"grid": "cosine"}, {"trajectory": "actual"}, {"num_batches": 2}]
)
def test_a_published_curve_of_another_setting_is_never_on_our_axes(changed):
    table = tabulated(mnist(**changed), "curves", transfers=["mnist"], published=["fig5a"])
    assert "agreeing" not in set(table["part"])
    assert set(table["panel"]) == {"mnist", "fig5a"}


def test_the_difference_to_the_paper_is_that_of_the_last_step():
    table = tabulated(mnist(), "curves", transfers=["mnist"], published=["fig5a"])
    welch = table[table["part"] == "welch"].set_index("method")
    last = table[(table["part"] == "course") & (table["x"] == 5)].set_index("method")
    assert set(welch.index) == {"gmt", "fgmt", "oracle", "naive"}
    assert welch.loc["gmt", "mean"] == pytest.approx(last.loc["gmt", "mean"] - 0.9806)
    assert (welch["sd"] > 0).all()


def test_no_published_spread_is_lost_in_the_table():
    table = tabulated(digits(), "curves", transfers=["main"], published=["fig5b", "fig9b"])
    printed = table[table["part"] == "reference"]
    assert printed["sd"].notna().all()
    assert printed.groupby("panel").size().to_dict() == {"fig5b": 4 * 30, "fig9b": 4 * 60}


def test_a_single_pair_has_no_band_and_the_note_says_so(tmp_path):
    figure, _ = drawn(digits(pairs=1), tmp_path, "curves", transfers=["main"])
    assert "n = 1 pair of source and target, so no band or bar." in note_of(figure)


def test_variants_of_one_transfer_are_lines_of_a_panel_for_each_method(tmp_path):
    made = digits().transfer("actual", "mlp", trajectory="actual", steps=30)
    figure, table = drawn(made, tmp_path, "ablation", transfers=["main"], published=["fig4"])
    assert titles_of(figure)[:3] == ["GMT", "FGMT", "oracle"]
    assert legend_of(figure) == ["linear, T = 10", "actual, T = 30"]
    assert table["x"].max() == 1
    assert table["x"][table["part"] == "reference"].max() == 1
    assert {axis.get_ylim() for axis in figure.axes[:8]} == {figure.axes[0].get_ylim()}
    printed = table[table["part"] == "reference"]
    assert set(printed["label"]) == {"linear", "actual"}
    assert set(printed["title"]) == {"published: Chijiwa 2024, figure 4"}


def test_variants_with_one_trajectory_are_told_apart_by_name():
    table = tabulated(digits().transfer("again", "mlp", end="best"), "ablation", transfers=["main"])
    assert set(table["label"]) == {"linear, T = 10 (main)", "linear, T = 10 (again)"}


def test_an_ablation_of_two_trainings_is_refused():
    made = digits().training("other").transfer("other", "other")
    with pytest.raises(ValueError, match="compares transfers of one training: these are of mlp, other"):
        tabulated(made, "ablation", transfers=["main"])
