import numpy as np
import pytest
from metaticket_results import FAMILY, Made, add_family, drawn, family

from carryover.figures import style
from carryover.figures.metaticket import DRAWINGS
from carryover.figures.metaticket_settings import FewshotFigureSettings
from carryover.figures.style import save_figure
from carryover.published.meta_ticket import anchors

TWO = ("maml", "metaticket")
NAMES = {"tests": ["all"], "trainings": ["all"], "analyses": ["all"]}


def tabulated(made, draw, **settings):
    spec = FewshotFigureSettings(draw=draw, **{**NAMES, **settings})
    return DRAWINGS[draw].tabulate(made.results, spec)


def note_of(figure):
    return " ".join(figure.get_supxlabel().split())


def legend_of(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def titles_of(figure):
    return [axis.get_title(loc="left").split("\n")[0] for axis in figure.axes]


def texts_of(axis):
    return [text.get_text() for text in axis.texts]


def ticks_of(axis):
    return [label.get_text() for label in axis.get_xticklabels()]


def two_splits(folder, widths=(1, 2)):
    """Test trainings on their training classes too."""
    made = Made(folder)
    for width in widths:
        add_family(made, width, TWO, test={"norms": ["trained"]})
    for run in list(made.trainings):
        made.test(f"train-{run}", run, split="train", tasks=40, norms=["trained"])
    return made


def regressions(folder):
    made = Made(folder)
    for method in ("maml", "metaticket"):
        made.training(
            method, method, net={"kind": "regressor"}, dataset="sinusoid", ways=1, norm="none", inner_steps=5
        )
        made.test(f"test-{method}", method, steps=[0, 1, 10], norms=["trained"])
    return made


def test_results_are_lines_of_methods_with_both_norms_side_by_side(tmp_path):
    made = family(tmp_path / "r").test("mac", "anil-x1", widen={"units": 8})
    figure, table = drawn(made, tmp_path, "results", step=3)
    names = [*(text for text in texts_of(figure.axes[0]))]
    assert names == [
        "omniglot, MLP 256-128-64-64", "5-way 5-shot", "random network", "ANIL", "MAC (ANIL, widened)", "MAML", "BOIL",
        "Meta-ticket", "Meta-ticket + BOIL",
    ]  # fmt: skip
    assert [title for title in titles_of(figure) if title] == [
        "transductive", "mean ± interval,", "support statistics", "mean ± interval,",
    ]  # fmt: skip
    row = table[(table["method"] == "maml") & (table["norm"] == "support")].iloc[0]
    written = f"{100 * row['mean']:.1f} ± {100 * row['half']:.1f}, {100 * row['sd']:.1f}"
    assert written in texts_of(figure.axes[4])
    assert figure.axes[1].get_xlim() == figure.axes[3].get_xlim()
    assert "after 3 inner steps (K = 1 in training)" in note_of(figure)
    assert "n = 3 seeds and 60 tasks" in note_of(figure)
    assert "own numbers are not available to us" in note_of(figure)


def test_levels_that_lie_far_outside_are_named_at_the_edge_and_others_drawn(tmp_path):
    made = family(tmp_path / "r").test("top", "maml-x1", steps=[0], norms=["trained"], ceiling=True)
    figure, _ = drawn(made, tmp_path, "results", step=3)
    assert {"◂ chance 20", "ceiling"} <= set(texts_of(figure.axes[1]))
    dashed = [
        line for line in figure.axes[1].lines if line.get_linestyle() == "--" and len(line.get_xdata()) == 2
    ]
    assert [line.get_xdata()[0] for line in dashed] == pytest.approx([0.97], abs=0.01)


def test_a_seed_that_is_missing_is_written_beside_the_numbers(tmp_path):
    made = family(tmp_path / "r", methods=TWO)
    made.training("boil", "boil", diverged=[3]).test("b", "boil", seeds=(1, 2))
    figure, table = drawn(made, tmp_path, "results")
    assert table.set_index("method")["n"]["boil"].tolist() == [2, 2]
    assert sum(text.endswith("(n = 2)") for text in texts_of(figure.axes[2])) == 1
    assert "n = 3 seeds (fewer where marked)" in note_of(figure)


def test_one_seed_is_said_to_have_no_spread_over_seeds(tmp_path):
    figure, table = drawn(family(tmp_path / "r", methods=TWO, seeds=(1,)), tmp_path, "results")
    assert table["sd"].isna().all()
    assert table["half"][table["part"] == "result"].notna().all()
    assert "n = 1 seed and 60 tasks, the same for every method; one seed has no pale bar" in note_of(figure)


def test_anchors_are_listed_with_their_recipes_and_never_drawn(tmp_path):
    figure, table = drawn(family(tmp_path / "r", methods=TWO), tmp_path, "results", anchors=True)
    near = [each for each in anchors() if (each.ways, each.shots) == (5, 5)]
    listed = table[table["part"] == "anchor"]
    assert listed["mean"].tolist() == [each.mean for each in near]
    assert listed["title"].tolist() == [each.recipe for each in near]
    assert "BOIL's README, ResNet-12, 5-way 5-shot: miniImageNet MAML 68.0 and BOIL 69.7" in note_of(figure)
    assert "Published by neighbours with other recipes, not comparable" in note_of(figure)
    plain, _ = drawn(family(tmp_path / "q", methods=TWO), tmp_path, "results")
    assert len(figure.axes[1].lines) == len(plain.axes[1].lines)
    assert "Published by neighbours" not in note_of(plain)


def test_steps_start_at_chance_in_a_column_for_each_norm(tmp_path):
    figure, table = drawn(family(tmp_path / "r", methods=TWO, test={"steps": [0, 1, 10]}), tmp_path, "steps")
    start = table[(table["x"] == 0) & (table["part"] == "result")]
    assert start["mean"].to_numpy() == pytest.approx(np.full(4, 0.2), abs=0.03)
    assert ticks_of(figure.axes[0]) == ["0", "1", "10"]
    assert len(figure.axes) == 2
    assert legend_of(figure) == ["MAML", "Meta-ticket"]
    assert "chance" in texts_of(figure.axes[0])
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_the_mean_squared_error_of_sinusoids_is_on_a_logarithmic_axis_without_chance(tmp_path):
    figure, table = drawn(regressions(tmp_path / "r"), tmp_path, "sinusoid")
    assert set(table["part"]) == {"result"}
    assert set(table["quantity"]) == {"mse"}
    assert figure.axes[0].get_yscale() == "log"
    assert titles_of(figure) == ["sinusoid, MLP 40-40"]
    assert "K = 5 in training" in note_of(figure)


def test_widths_of_a_family_of_nets_are_along_the_axis(tmp_path):
    made = family(tmp_path / "r", methods=TWO)
    for width in (2, 8):
        add_family(made, width, TWO)
    figure, table = drawn(made, tmp_path, "widths", step=3)
    assert table[table["method"] == "maml"]["x"].tolist() == [1, 2, 8]
    assert ticks_of(figure.axes[0]) == ["1", "2", "8"]
    assert titles_of(figure) == ["omniglot, MLP 256-128-64-64"]
    assert set(table["norm"].dropna()) == {"transductive"}
    assert "chance 20 ▾" in texts_of(figure.axes[0])


def test_series_at_one_place_lie_side_by_side(tmp_path):
    figure, _ = drawn(family(tmp_path / "r"), tmp_path, "widths", step=3)
    places = [line.get_xdata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    assert len(set(np.round(places, 6))) == len(FAMILY)


def test_a_sweep_has_its_setting_along_the_axis_and_its_name_below(tmp_path):
    made = Made(tmp_path / "r")
    for p in (0.9, 0.0, 0.25):
        made.training(f"p{p}", "metaticket", initial_sparsity=p).test(f"t{p}", f"p{p}")
    figure, table = drawn(made, tmp_path, "sweep", x="initial_sparsity")
    assert table["x"].dropna().tolist() == [0.0, 0.25, 0.9]
    assert (ticks_of(figure.axes[0]), figure.axes[0].get_xlabel()) == (
        ["0", "0.25", "0.9"],
        "initial sparsity, p",
    )
    assert legend_of(figure) == ["Meta-ticket"]


def test_a_sweep_over_words_has_them_in_the_order_of_the_study(tmp_path):
    made = Made(tmp_path / "r")
    for masked in ("inner", "body"):
        made.training(masked, "metaticket", masked=masked).test(f"t-{masked}", masked)
    figure, table = drawn(made, tmp_path, "sweep", x="masked")
    assert ticks_of(figure.axes[0]) == ["inner", "body"]
    assert table["place"].dropna().tolist() == ["inner", "body"]


def test_a_sweep_over_a_setting_of_tests_leaves_other_methods_as_levels(tmp_path):
    made = family(tmp_path / "r", methods=("anil",))
    for units in (8, 16):
        made.test(f"mac{units}", "anil-x1", widen={"units": units})
    figure, table = drawn(made, tmp_path, "sweep", x="widen.units")
    assert table.set_index("method").loc["mac-anil", "x"].tolist() == [8, 16]
    assert np.isnan(table.set_index("method").loc["anil", "x"])
    assert sum(line.get_linestyle() == ":" for line in figure.axes[0].lines) == 1


def test_a_sweep_over_a_setting_that_no_run_has_is_an_error(tmp_path):
    with pytest.raises(
        ValueError, match="no run of this figure has the setting depth, which `x` of the figure names"
    ):
        tabulated(family(tmp_path, methods=TWO), "sweep", x="depth")


def test_the_gap_is_training_less_test_seed_by_seed_with_the_interval_of_a_difference(tmp_path):
    figure, table = drawn(two_splits(tmp_path / "r"), tmp_path, "gap", step=3)
    own = table[(table["method"] == "maml") & (table["x"] == 2)].set_index("split")
    gap = own.loc["none"]
    assert gap["part"] == "gap"
    assert gap["mean"] == pytest.approx(own.loc["train", "mean"] - own.loc["test", "mean"])
    assert gap["half"] == pytest.approx(np.hypot(own.loc["train", "half"], own.loc["test", "half"]))
    rows = two_splits(tmp_path / "again").results.rows
    rows = rows[(rows["training"] == "maml-x2") & (rows["metric"] == "accuracy") & (rows["step"] == 3)]
    values = rows[rows["kind"] == "test"].pivot_table(index="seed", columns="split", values="value")
    assert gap["sd"] == pytest.approx((values["train"] - values["test"]).std(ddof=1))
    assert [axis.get_ylabel() for axis in figure.axes] == [
        "accuracy on training classes (%)", "accuracy on test classes (%)", "training less test (%)",
    ]  # fmt: skip
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    assert "40 or 60 tasks" in note_of(figure)


def test_a_gap_of_a_training_without_one_of_the_splits_is_an_error(tmp_path):
    made = family(tmp_path, methods=TWO).test("train", "maml-x1", split="train")
    with pytest.raises(ValueError, match="metaticket-x1 is not tested on both splits, train and test"):
        tabulated(made, "gap")


def test_roles_are_side_by_side_with_everything_first(tmp_path):
    made = family(tmp_path / "r", methods=TWO, test={"adapted": ["head", "trained", "body"]})
    figure, table = drawn(made, tmp_path, "roles")
    assert ticks_of(figure.axes[0]) == ["as trained", "body alone", "classifier alone"]
    means = table[table["method"] == "maml"].set_index("adapted")["mean"]
    assert means["trained"] > means["body"] > means["head"]


def test_cross_shows_the_data_set_of_the_training_first_with_the_ceiling_of_each(tmp_path):
    made = family(tmp_path / "r", methods=TWO)
    for run in list(made.trainings):
        made.test(f"far-{run}", run, dataset="mnist", shift=-0.1)
    made.test("top", "maml-x1", dataset="mnist", steps=[0], norms=["trained"], ceiling=True)
    made.manifests = [*made.manifests[-3:], *made.manifests[:-3]]  # the other data set comes first
    figure, table = drawn(made, tmp_path, "cross", step=3)
    assert ticks_of(figure.axes[0]) == ["omniglot", "mnist"]
    assert titles_of(figure) == ["trained on omniglot, MLP 256-128-64-64"]
    (ceiling,) = table[table["part"] == "ceiling"].to_dict("records")
    assert ceiling["place"] == "mnist"


def test_every_drawing_fits_its_page_and_is_drawn_the_same_again(tmp_path):
    made = two_splits(tmp_path / "r", widths=(1,))
    for run in list(made.trainings):
        made.analysis(f"of-{run}", run)
    for draw in DRAWINGS:
        own = regressions(tmp_path / draw) if draw == "sinusoid" else made
        figure, table = drawn(own, tmp_path, draw, x="order" if draw == "sweep" else None)
        assert figure.get_figwidth() == style.PAGE
        box = figure.get_tightbbox()
        assert box.x0 >= -0.02, draw
        assert box.y0 >= -0.02, draw
        assert box.x1 <= figure.get_figwidth() + 0.02, draw
        assert box.y1 <= figure.get_figheight() + 0.02, draw
    save_figure(figure, tmp_path / "a.pdf", tmp_path / "a.png")
    save_figure(DRAWINGS[draw].draw(table), tmp_path / "b.pdf", tmp_path / "b.png")
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
