import pytest
from metaticket_results import LAYERS, Made, drawn, family

from carryover.figures.metaticket import DRAWINGS
from carryover.figures.metaticket_settings import FewshotFigureSettings

TWO = ("maml", "metaticket")


def tabulated(made, draw, **settings):
    spec = FewshotFigureSettings(draw=draw, trainings=["all"], analyses=["all"], **settings)
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


def regressions(folder):
    made = Made(folder)
    for method in ("maml", "metaticket"):
        made.training(
            method, method, net={"kind": "regressor"}, dataset="sinusoid", ways=1, norm="none", inner_steps=5
        )
        made.test(f"test-{method}", method, steps=[0, 1, 10], norms=["trained"])
    return made


def analysed(folder):
    made = family(folder, methods=("anil", *TWO))
    for run in list(made.trainings):
        made.analysis(f"of-{run}", run)
    return made


def test_curves_show_training_and_validation_tasks_with_a_cross_where_a_seed_diverged(tmp_path):
    made = family(tmp_path / "r", methods=("random", "maml")).training("boil", "boil", diverged=[2])
    figure, table = drawn(made, tmp_path, "curves")
    own = table[(table["method"] == "boil") & (table["part"] == "course") & (table["split"] == "train")]
    assert own.set_index("x")["n"].to_dict() == {200: 3, 400: 3, 600: 2, 800: 2, 1000: 2}
    gone = table[table["part"] == "diverged"]
    assert gone[["method", "x", "n"]].to_numpy().tolist() == [["boil", 600, 1]]
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    (cross,) = [line for line in crosses if len(line.get_xdata())]
    assert cross.get_xdata().tolist() == [600]
    assert cross.get_ydata().tolist() == pytest.approx(own["mean"][own["x"] == 600].tolist())
    assert "where seeds diverged and ended (1 in all)" in note_of(figure)
    assert "n = 2" in texts_of(figure.axes[0])


def test_a_random_network_is_a_level_of_the_validation_panel(tmp_path):
    figure, _ = drawn(family(tmp_path / "r", methods=("random", "maml")), tmp_path, "curves")
    levels = [[line for line in axis.lines if line.get_linestyle() == ":"] for axis in figure.axes]
    assert [len(lines) for lines in levels] == [0, 1]


def test_curves_of_sinusoids_are_mean_squared_errors(tmp_path):
    figure, table = drawn(regressions(tmp_path / "r"), tmp_path, "curves")
    assert set(table["quantity"]) == {"mse"}
    assert figure.axes[0].get_ylabel() == "mean squared error"


def test_sparsity_has_a_panel_for_each_training_with_masks_and_a_line_for_each_tensor(tmp_path):
    figure, table = drawn(family(tmp_path / "r", methods=TWO), tmp_path, "sparsity")
    assert titles_of(figure) == ["Meta-ticket, omniglot, MLP 256-128-64-64"]
    assert legend_of(figure) == [f"{layer}.weight" for layer in LAYERS]
    last = table[table["x"] == 1000].set_index("place")["mean"]
    assert last.is_monotonic_increasing
    assert figure.axes[0].get_ylim()[0] == 0
    with pytest.raises(ValueError, match="no training of this figure has masks"):
        tabulated(family(tmp_path / "q", methods=("maml",)), "sparsity")


def test_features_show_cka_and_cosines_before_and_after_by_layer(tmp_path):
    figure, table = drawn(analysed(tmp_path / "r"), tmp_path, "features")
    anil = table[(table["method"] == "anil") & (table["quantity"] == "cka")]
    assert anil.set_index("x")["mean"].to_dict() == {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}
    assert len(figure.axes) == 3
    lines = [line.get_linestyle() for line in figure.axes[1].lines]
    assert (lines.count(":"), lines.count("-")) == (3, 3)
    assert figure.axes[1].get_ylim() == figure.axes[2].get_ylim()
    assert "before and after 1 inner step." in note_of(figure)


def test_features_of_one_shot_tasks_have_no_panel_for_what_is_not_defined(tmp_path):
    made = analysed(tmp_path / "r")
    results = made.results
    rows = results.rows[~results.rows["metric"].fillna("").str.startswith(("within", "between"))]
    spec = FewshotFigureSettings(draw="features", analyses=["all"])
    figure = DRAWINGS["features"].draw(DRAWINGS["features"].tabulate(type(results)(rows, {}), spec))
    assert len(figure.axes) == 1


def test_magnitudes_are_drawn_of_weights_in_the_order_of_the_net_and_tabulated_of_all_tensors(tmp_path):
    figure, table = drawn(analysed(tmp_path / "r"), tmp_path, "magnitudes")
    own = table[(table["method"] == "maml") & (table["quantity"] == "change")]
    numbered = own[own["x"].notna()].sort_values("x")
    assert numbered["place"].tolist() == [*(f"{layer}.weight" for layer in LAYERS), "classifier.weight"]
    assert set(own["adapted"][own["x"].isna()]) == {"bias", "norm"}
    assert ticks_of(figure.axes[1]) == ["1", "2", "3", "4", "head"]
    assert [axis.get_yscale() for axis in figure.axes] == ["log", "linear"]


def test_cost_is_seconds_of_a_thousand_steps_beside_those_of_maml(tmp_path):
    made = Made(tmp_path / "r")
    for method, seconds in (("maml", (10.0, 12.0)), ("metaticket", (14.0, 16.4))):
        record = {"seconds": dict(zip("12", seconds, strict=True)), "peak_mb": 640.0}
        made.training(method, method, outer_steps=500, seeds=(1, 2), record=record)
    figure, table = drawn(made, tmp_path, "cost")
    values = table.set_index(["method", "quantity"])["mean"]
    assert values["maml", "seconds"] == pytest.approx(22.0)
    assert values["metaticket", "of_maml"] == pytest.approx(15.2 / 11)
    assert {"22.0 ± 2.8", "× 1.38", "640"} <= set(texts_of(figure.axes[0]))
    assert "On cpu, 1 thread." in note_of(figure)


def test_costs_of_two_machines_are_in_panels_of_their_own(tmp_path):
    made = Made(tmp_path / "r").training("maml", "maml").training("boil", "boil", record={"device": "cuda"})
    figure, table = drawn(made, tmp_path, "cost")
    assert table["panel"].nunique() == 2
    assert set(table["method"][table["quantity"] == "of_maml"]) == {"maml"}
    assert {"5-way 5-shot, cpu, 1 thread", "5-way 5-shot, cuda, 1 thread"} <= set(texts_of(figure.axes[0]))


def test_trainings_that_took_no_step_have_no_cost(tmp_path):
    with pytest.raises(ValueError, match="no training of this figure has taken an outer step"):
        tabulated(family(tmp_path, methods=("random",)), "cost")
