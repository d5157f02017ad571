import pytest

from carryover.figures.iterand import DRAWINGS
from carryover.figures.settings import FigureSettings, FigureSpec
from carryover.figures.style import ITERAND as METHODS
from carryover.io.results import plain_rows, read_results
from carryover.io.tables import load_table, save_table
from carryover.published.iterand import ACCURACIES

ARMS = list(METHODS)
SEEDS = {0: 0.7, 1: 0.8, 2: 0.9}
CONV = {"kind": "conv", "depth": 6}
RESNET = {"kind": "resnet", "depth": 18, "stem": "cifar"}


def mlp(size):
    return {"kind": "mlp", "hidden": [size, size]}


def drawn(made, folder, draw, **settings):
    """Draw as the stage does: from the saved table."""
    spec = FigureSpec(draw=draw, **{"grids": ["grid"], "runs": {}, **settings})
    rows = plain_rows(DRAWINGS[draw].tabulate(read_results(made.manifests), spec))
    save_table(folder / "table.csv", rows)
    table = load_table(folder / "table.csv")
    figure = DRAWINGS[draw].draw(table)
    figure.draw_without_rendering()
    return figure, table


def note_of(figure):
    return " ".join(figure.get_supxlabel().split())


def legend_of(holder):
    (legend,) = [holder.get_legend()] if hasattr(holder, "get_legend") else holder.legends
    return [text.get_text() for text in legend.get_texts()]


def titles_of(figure):
    return [axis.get_title(loc="left") for axis in figure.axes]


def add_rates(made, nets=None, weights=("ku",), **settings):
    for net in nets or [mlp(32)]:
        for kind in weights:
            made.add(f"popup-{kind}", SEEDS, net=net, **settings)
            for rate in (1.0, 0.01, 0.1):
                made.add(f"iterand-{kind}", SEEDS, net=net, randomize_prob=rate, **settings)


def test_every_drawing_that_a_study_can_name_exists():
    assert set(DRAWINGS) == set(FigureSettings.model_fields["draw"].annotation.__args__)


def test_rate_has_a_panel_for_each_net_with_r_in_order(made, tmp_path):
    add_rates(made, [CONV, RESNET], ["ku", "sc"])
    figure, table = drawn(made, tmp_path, "rate")
    assert titles_of(figure) == ["Conv6 on digits", "ResNet18 on digits"]
    for axis in figure.axes:
        assert axis.get_xlabel() == "chance of a redraw, r"
        assert [label.get_text() for label in axis.get_xticklabels()] == ["0", "0.01", "0.1", "1"]
    assert figure.axes[0].get_ylabel() == "test accuracy (%)"
    assert legend_of(figure) == [METHODS[arm].label for arm in ARMS[1:]]
    assert table["mean"].tolist() == pytest.approx([0.8] * 16)


def test_every_figure_of_accuracies_states_n_data_set_split_and_what_a_band_is(made, tmp_path):
    add_rates(made)
    for draw in ("rate", "curves", "imagenet", "parameters"):
        if draw in ("imagenet", "parameters"):
            made.manifests = made.manifests[:2]
        note = note_of(drawn(made, tmp_path, draw)[0])
        assert "digits, test images." in note
        assert "n = 3 seeds" in note
        assert "one standard deviation" in note
        assert "IteRand's own numbers are not available to us." in note


def test_validation_accuracy_is_called_that(made, tmp_path):
    add_rates(made, splits=("val", "test"), curve="val")
    for draw in ("rate", "curves"):
        figure, _ = drawn(made, tmp_path, draw, split="val")
        assert figure.axes[0].get_ylabel() == "validation accuracy (%)"
        assert "digits, validation images." in note_of(figure)


def test_curves_have_a_line_for_each_r_over_epochs(made, tmp_path):
    add_rates(made, weights=["ku", "sc"])
    figure, _ = drawn(made, tmp_path, "curves")
    assert titles_of(figure) == ["MLP 32-32 on digits, KU", "MLP 32-32 on digits, SC"]
    for axis in figure.axes:
        assert legend_of(axis) == ["edge-popup", *(f"IteRand, r = {r}" for r in ("0.01", "0.1", "1"))]
        assert all(line.get_xdata().tolist() == [1, 2, 3] for line in axis.lines)
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_a_course_that_was_not_recorded_is_an_error(made, tmp_path):
    made.add("popup-ku", SEEDS, run="a", epochs=1)
    with pytest.raises(ValueError, match="a recorded no test accuracy along its training: set `split`"):
        drawn(made, tmp_path, "curves")


def test_width_has_a_panel_for_each_family_on_a_log_axis(made, tmp_path):
    for net in (mlp(16), mlp(32), mlp(64), {**CONV, "width": 0.5}, CONV):
        for arm in ARMS:
            made.add(arm, SEEDS, net=net)
    figure, table = drawn(made, tmp_path, "width")
    assert titles_of(figure) == ["MLP h-h on digits", "Conv6 on digits"]
    assert [axis.get_xlabel() for axis in figure.axes] == ["units of each hidden layer, h", "width, ρ"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["16", "32", "64"]
    assert figure.axes[0].get_xscale() == "log"
    assert legend_of(figure) == [look.label for look in METHODS.values()]
    assert len(table) == 25


def test_a_net_without_one_width_is_refused(made, tmp_path):
    made.add("dense", SEEDS, net={"kind": "mlp", "hidden": [32, 16]})
    with pytest.raises(ValueError, match="MLP 32-16 has no single width"):
        drawn(made, tmp_path, "width")


def test_fewer_seeds_are_marked_and_diverged_ones_told(made, tmp_path):
    made.add("popup-ku", SEEDS, net=mlp(16))
    made.add("popup-ku", SEEDS, net=mlp(32), diverged=[1])
    made.add("popup-ku", SEEDS, net=mlp(64), diverged=[0, 1, 2])
    figure, _ = drawn(made, tmp_path, "width")
    assert [text.get_text() for text in figure.axes[0].texts] == ["n = 2"]
    assert "n = 3 seeds, fewer where marked" in note_of(figure)
    assert "left out, with a whole point where none is left: 4." in note_of(figure)


def test_a_single_seed_has_no_band(made, tmp_path):
    made.add("popup-ku", {0: 0.5}, net=mlp(16))
    made.add("popup-ku", {0: 0.6}, net=mlp(32))
    figure, _ = drawn(made, tmp_path, "width")
    assert "n = 1 seed, so no band." in note_of(figure)


def test_sweeps_have_a_panel_for_each_grid_with_its_own_split(made, tmp_path):
    for rate in (0.1, 1.0):
        for arm in ("popup-ku", "iterand-ku"):
            made.add(
                arm, SEEDS, run=f"{arm}-{rate}", score_lr=rate, dataset="held.out", splits=["val", "test"]
            )
    for rank in ("absolute", "raw"):
        made.add("popup-ku", SEEDS, run=rank, rank=rank, score_lr=2.0)
    runs = {"lr": [f"{arm}-{rate}" for arm in ("popup-ku", "iterand-ku") for rate in (0.1, 1.0)]}
    runs["rank"] = ["raw", "absolute"]
    figure, table = drawn(
        made,
        tmp_path,
        "sweeps",
        grids=["lr", "rank"],
        x=["score_lr", "rank"],
        splits=["val", "test"],
        runs=runs,
    )
    first, second = figure.axes
    assert (first.get_ylabel(), second.get_ylabel()) == ("validation accuracy (%)", "test accuracy (%)")
    assert first.get_xlabel() == "learning rate of the scores"
    assert first.get_xscale() == "log"
    assert [label.get_text() for label in second.get_xticklabels()] == ["score", "absolute score"]
    assert table["grid"].tolist() == ["lr"] * 4 + ["rank"] * 2
    assert "held.out, validation images; digits, test images." in note_of(figure)


def test_a_method_without_the_setting_is_a_level(made, tmp_path):
    made.add("popup-ku", SEEDS, run="a")
    for steps in (1, 10):
        made.add("iterand-ku", SEEDS, run=f"b{steps}", randomize_every=steps)
    figure, _ = drawn(made, tmp_path, "sweeps", x=["randomize_every"], runs={"grid": ["a", "b1", "b10"]})
    levels = [line for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert [line.get_label() for line in levels] == ["edge-popup (KU)"]
    assert "Dotted: a method without the setting." in note_of(figure)


def test_a_sweep_of_a_setting_that_no_run_has_is_an_error(made, tmp_path):
    made.add("dense", SEEDS, run="a")
    with pytest.raises(ValueError, match="no run of the grid grid has the setting rank"):
        drawn(made, tmp_path, "sweeps", x=["rank"], runs={"grid": ["a"]})


def test_diagnostics_have_three_panels_for_each_net_and_ages_add_up(made, tmp_path):
    for size in (16, 32):
        for arm in ARMS:
            made.add(arm, SEEDS, net=mlp(size))
    figure, table = drawn(made, tmp_path, "diagnostics")
    assert len(figure.axes) == 6
    assert legend_of(figure) == [METHODS[arm].label for arm in ARMS[1:]]
    drawn_by = table[(table["quantity"] == "drawn_by") & (table["arm"] == "iterand-sc")]
    assert drawn_by.groupby("net")["mean"].last().tolist() == pytest.approx([1.0, 1.0])
    assert (
        drawn_by["mean"].is_monotonic_increasing
        or (drawn_by.groupby("net")["mean"].diff().dropna() > 0).all()
    )
    assert "differs from that 5 steps before" in note_of(figure)


def test_several_r_of_one_arm_are_shades_in_diagnostics(made, tmp_path):
    add_rates(made)
    figure, _ = drawn(made, tmp_path, "diagnostics")
    labels = ["edge-popup (KU)", *(f"IteRand (KU), r = {r}" for r in ("0.01", "0.1", "1"))]
    assert sorted(legend_of(figure)) == sorted(labels)


def test_diagnostics_of_runs_that_recorded_none_are_an_error(made, tmp_path):
    made.add("dense", SEEDS)
    with pytest.raises(ValueError, match="set `diagnose_every`"):
        drawn(made, tmp_path, "diagnostics")


def test_more_nets_than_a_page_holds_are_an_error(made, tmp_path):
    for size in range(1, 8):
        made.add("popup-ku", SEEDS, net=mlp(size))
    with pytest.raises(ValueError, match="shows at most 5 nets"):
        drawn(made, tmp_path, "diagnostics")


def test_the_table_of_parameters_has_a_row_for_each_net(made, tmp_path):
    for net in (mlp(16), RESNET):
        for arm in ARMS:
            made.add(arm, SEEDS, net=net, diverged=[0] if arm == "popup-sc" else [])
    figure, table = drawn(made, tmp_path, "parameters")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"MLP 16-16", "ResNet18", "weights", "left", "test accuracy (%)", "1,000", "500"} <= set(texts)
    assert texts.count("80.0 ± 10.0") == 8
    assert texts.count("85.0 ± 7.1 (n = 2)") == 2
    assert set(table["num_left"]) == {500, 1010}


def test_imagenet_has_weights_left_along_its_axis_and_says_when_it_is_not_imagenet(made, tmp_path):
    for arm in ARMS:
        made.add(arm, SEEDS, net=mlp(16))
    figure, table = drawn(made, tmp_path, "imagenet")
    assert figure.axes[0].get_xlabel() == "weights left after pruning"
    assert [text.get_text() for text in figure.axes[0].texts] == ["MLP 16-16"] * 2
    assert "The design of figure 3 at a smaller scale, not ImageNet." in note_of(figure)
    assert table["published"].isna().all()


def add_imagenet(made, **settings):
    recipe = {"score_lr": 0.256, "momentum": 0.875, "weight_decay": 3.05e-5, "batch_size": 256, "epochs": 100}
    net = {"kind": "resnet", "depth": 50, "stem": "imagenet"}
    popup = {"sparsity": 0.7, "rank": "absolute", "scores": "hidden", "schedule": "warmup-cosine"}
    made.add("popup-sc", {1: 0.5}, dataset="imagenet", net=net, **{**recipe, **popup, **settings})


def test_no_published_number_is_drawn_for_a_run_that_could_not_smooth_labels(made, tmp_path):
    add_imagenet(made)
    figure, table = drawn(made, tmp_path, "imagenet")
    assert table["published"].isna().all()
    assert "smaller scale" not in note_of(figure)


def test_a_published_number_is_an_open_marker_where_setting_and_data_agree(made, tmp_path):
    add_imagenet(made)
    spec = FigureSpec(draw="imagenet", grids=["grid"], runs={})
    results = read_results(made.manifests).assign(label_smoothing=0.1)
    table = DRAWINGS["imagenet"].tabulate(results, spec)
    assert table["published"].tolist() == [0.686]
    figure = DRAWINGS["imagenet"].draw(table)
    assert "edge-popup (SC), published" in legend_of(figure)
    others = results.assign(dataset="imagenet-part")
    assert DRAWINGS["imagenet"].tabulate(others, spec)["published"].isna().all()


def test_no_number_is_printed_as_iterand_s():
    assert not [entry for entry in ACCURACIES if "iterand" in entry.arm]
    second_hand = [entry for entry in ACCURACIES if "third paper" in entry.source]
    assert second_hand
    assert not any(entry.settings for entry in second_hand)
