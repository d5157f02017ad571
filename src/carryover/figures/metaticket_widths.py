"""Results against one setting: the width of the net, any setting of a sweep; and the gap between training and test."""

from collections.abc import Mapping

import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.metaticket_looks import SETTINGS, SPLITS, width_label
from carryover.figures.metaticket_panels import (
    draw_levels,
    draw_places,
    figure_of,
    grid_of,
    legend,
    level_note,
    looks_in,
    norm_note,
    spread,
    steps_note,
)
from carryover.figures.metaticket_settings import FewshotFigureSettings
from carryover.figures.metaticket_tables import (
    as_trained,
    at_step,
    levels,
    ordered,
    over_seeds,
    points,
    table_of,
)
from carryover.figures.style import Look
from carryover.figures.transfer_panels import remarks
from carryover.io.fewshot import Results

_WIDTH = "training.net.width"
_GAP = ("train", "test")


def tabulate_widths(results: Results, spec: FewshotFigureSettings) -> DataFrame:
    """Tabulate the accuracy of every method by the width of its net (x); nets of one family share a panel."""
    own = _by_width(points(results, as_trained(at_step(results, spec)), [_WIDTH]))
    return ordered(table_of(pandas.concat([own, levels(results, own)])))


def _by_width(table: DataFrame) -> DataFrame:
    return table.assign(x=table["width"], axis=table["family"].map(width_label))


def tabulate_sweep(results: Results, spec: FewshotFigureSettings) -> DataFrame:
    """Tabulate the accuracy of every method by a setting of its training, or of its test.

    Its value is in `x`, or in `place` where it is no number; both are empty for a run without the setting.
    Raises ValueError when no run has it.
    """
    rows = as_trained(at_step(results, spec))
    known = [
        key for key in (f"training.{spec.x}", f"test.{spec.x}") if key in rows and rows[key].notna().any()
    ]
    if not known:
        raise ValueError(f"no run of this figure has the setting {spec.x}, which `x` of the figure names")
    own = points(results, rows, known[:1])
    values = own["run"].map(rows.drop_duplicates("run").set_index("run")[known[0]])
    numbers = pandas.to_numeric(values, errors="coerce")
    where = {"x": numbers} if numbers.notna().any() else {"place": values.astype(object)}
    own = own.assign(**where, axis=SETTINGS.get(str(spec.x), str(spec.x)))
    return ordered(table_of(pandas.concat([own, levels(results, own)])))


def tabulate_gap(results: Results, spec: FewshotFigureSettings) -> DataFrame:
    """Tabulate accuracy on training and on test classes, and the first less the second (`part` gap), by width (x).

    Both are measured after the same inner steps. The difference is taken seed by seed; its interval over tasks is that
    of a difference of two independent means, since the two have different tasks.
    Raises ValueError when a training has been tested on one of the two splits only.
    """
    rows = as_trained(at_step(results, spec))
    rows = rows[rows["dataset"] == rows["home"]]
    own = _by_width(points(results, rows, [_WIDTH]))
    both = set.intersection(*(set(rows["training"][rows["split"] == split]) for split in _GAP))
    if missing := sorted(set(rows["training"]) - both):
        raise ValueError(
            f"{missing[0]} is not tested on both splits, {' and '.join(_GAP)}: name tests of both"
        )
    values = rows.merge(own[["run", "panel"]], on="run").pivot_table(
        index=["panel", "training", "seed"], columns="split", values="value"
    )
    differences = (values["train"] - values["test"]).dropna().rename("value").reset_index()
    halves = own.pivot_table(index=["panel", "training"], columns="split", values="half")
    half = ((halves["train"] ** 2 + halves["test"] ** 2) ** 0.5).rename("half").reset_index()
    gaps = over_seeds(differences, ["panel", "training"]).merge(half, on=["panel", "training"])
    cells = own[own["split"] == "test"].drop(columns=["mean", "sd", "n", "half"])
    gap = cells.merge(gaps, on=["panel", "training"]).assign(part="gap", split="none")
    return ordered(table_of(pandas.concat([own, gap, levels(results, own)])))


@style.house_style()
def draw_widths(table: DataFrame) -> Figure:
    """Draw accuracy against the width of the net, a panel for each family of nets and size of tasks.

    Source: Meta-ticket, section 5.1 (E6).
    """
    return _lines(table)


@style.house_style()
def draw_sweep(table: DataFrame) -> Figure:
    """Draw accuracy against a setting, a panel for each net and size of tasks.

    Source: Meta-ticket, section 5.3 (sweeps of p and r).
    """
    return _lines(table)


def _lines(table: DataFrame) -> Figure:
    looks = looks_in(table)
    figure, pairs = figure_of(table, 2.3, _remarks(table))
    for axis, rows in pairs:
        _panel(axis, rows, looks)
        draw_levels(axis, rows)
        style.percent_axis(axis, f"{SPLITS[str(rows['split'].iloc[0])]} accuracy")
    legend(figure, looks.values(), 4)
    return figure


def _remarks(table: DataFrame) -> str:
    return remarks(steps_note(table), norm_note(table), spread(table), level_note(table))


def _panel(axis: Axes, rows: DataFrame, looks: Mapping[str, Look]) -> None:
    """Draw the results of a panel along numbers from low to high, or along words as they come."""
    own = rows[rows["label"].notna()]
    numbers = own["x"].notna().any()
    found = list(own["x" if numbers else "place"].dropna().unique())
    draw_places(axis, own, looks, sorted(found) if numbers else found, column="x" if numbers else "place")
    axis.set_xlabel(str(own["axis"].iloc[0]))


@style.house_style()
def draw_gap(table: DataFrame) -> Figure:
    """Draw accuracy on training and on test classes against width, and beside it the first less the second.

    Source: Meta-ticket, section 5.3 (generalisation gap).
    """
    looks = looks_in(table)
    text = remarks(_remarks(table), "The difference is taken seed by seed.")
    figure, grid = grid_of(table, 2.2, text, 3)
    for axes, rows in grid:
        for axis, split in zip(axes, _GAP, strict=False):
            own = rows[rows["split"] == split]
            _panel(axis, own, looks)
            draw_levels(axis, own)
            style.percent_axis(axis, f"accuracy on {SPLITS[split]} classes")
        low, high = min(axis.get_ylim()[0] for axis in axes[:2]), max(axis.get_ylim()[1] for axis in axes[:2])
        for axis in axes[:2]:
            axis.set_ylim(low, high)
        _panel(axes[2], rows[rows["part"] == "gap"], looks)
        axes[2].axhline(0, color="#404040", linewidth=0.6, zorder=1)
        style.percent_axis(axes[2], "training less test")
    legend(figure, looks.values(), 4)
    return figure
