"""Accuracies of all methods as a table with dots: both norms side by side, both spreads apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.metaticket_looks import FEWSHOT, NORMS
from carryover.figures.metaticket_panels import (
    LEVELS,
    draw_spreads,
    is_near,
    level_note,
    looks_in,
    norm_note,
    panels,
    room,
    seeds_of,
    spread,
    steps_note,
)
from carryover.figures.metaticket_settings import FewshotFigureSettings
from carryover.figures.metaticket_tables import Row, at_step, levels, ordered, points, table_of
from carryover.figures.transfer_panels import FAINT, remarks
from carryover.io.fewshot import Results
from carryover.published.meta_ticket import NOT_AVAILABLE, Anchor, anchors

_ROW = 0.19  # inches
_REST = 0.55


def tabulate_results(results: Results, spec: FewshotFigureSettings) -> DataFrame:
    """Tabulate the accuracy of every method after some inner steps, as trained, by the norm of the query.

    `part` is `result`, `chance`, `ceiling`, or `anchor` (published by neighbours, with
    the recipe in `title` and the data sets of training and test in `home` and `dataset`).
    """
    rows = at_step(results, spec)
    own = points(results, rows[rows["adapted"] == "trained"])
    table = ordered(table_of(pandas.concat([own, levels(results, own)])))
    sizes = {str(subtitle).split(",")[0] for subtitle in table["subtitle"].dropna()}
    near = (
        [each for each in anchors() if f"{each.ways}-way {each.shots}-shot" in sizes] if spec.anchors else []
    )
    return (
        pandas.concat([table, table_of(_anchor(each) for each in near)], ignore_index=True) if near else table
    )


def _anchor(found: Anchor) -> Row:
    return {
        "panel": "anchors",
        "title": found.recipe,
        "subtitle": f"{found.ways}-way {found.shots}-shot",
        "part": "anchor",
        "home": found.trained,
        "dataset": found.tested,
        "net": found.net,
        "method": found.method,
        "place": found.source.name,
        "split": "test",
        "quantity": "accuracy",
        "mean": found.mean,
        "sd": found.sd,
    }


@style.house_style()
def draw_results(table: DataFrame) -> Figure:
    """Draw a line for each method and a group of lines for each panel; a column of dots and numbers for each norm.

    Source: Meta-ticket, section 5.1 (E1 to E5, E7; the shape of the paper's tables is not known).
    """
    own, text = table[table["part"] != "anchor"], _remarks(table)
    groups = panels(own)
    norms = [norm for norm in NORMS if norm in set(own["norm"])]
    lines = sum(rows["label"].nunique() + 2.4 for rows in groups)
    figure, axes = style.new_figure(style.PAGE, _ROW * lines + _REST + room(text), 1, 1 + 2 * len(norms))
    grid = axes[0].get_gridspec()
    assert grid is not None
    grid.set_width_ratios([1.25, *([1.6, 0.85] if len(norms) > 1 else [3.4, 0.85]) * len(norms)])
    for axis in axes:
        axis.set_ylim(lines - 0.6, -0.7)
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
    for bare in (axes[0], *axes[2::2]):
        bare.set_axis_off()
        bare.set_xlim(0, 1)
    for number, norm in enumerate(norms):
        _head(axes[1 + 2 * number], axes[2 + 2 * number], NORMS[norm], _limits(own))
    top = 0.0
    for rows in groups:
        _group(axes, rows, norms, top)
        top += rows["label"].nunique() + 2.4
    style.note(figure, text)
    return figure


def _limits(table: DataFrame) -> tuple[float, float]:
    """Give the ends of the axes: all dots with their spreads, and levels that are not far from them."""
    dots = table[table["part"] == "result"]
    reach = dots[["sd", "half"]].max(axis=1).fillna(0.0)
    low, high = float((dots["mean"] - reach).min()), float((dots["mean"] + reach).max())
    high = max(high, low + 0.02)
    near = [value for value in table["mean"][table["part"].isin(list(LEVELS))] if is_near(value, low, high)]
    low, high = min([low, *near]), max([high, *near])
    return low - 0.06 * (high - low), high + 0.06 * (high - low)


def _head(dots: Axes, numbers: Axes, words: str, limits: tuple[float, float]) -> None:
    dots.set_xlim(*limits)
    dots.set_title(words)
    dots.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}")
    dots.locator_params(axis="x", nbins=6)
    dots.set_xlabel("accuracy (%)")
    dots.grid(axis="x")
    numbers.set_title("mean ± interval,\nsd over seeds", fontsize=style.SMALL, color=FAINT)


def _group(axes: Sequence[Axes], rows: DataFrame, norms: Sequence[str], top: float) -> None:
    """Write the lines of one panel below `top`, with its levels."""
    first, looks = rows.iloc[0], looks_in(rows)
    axes[0].text(0, top, str(first["title"]), va="center", fontsize=style.SMALL + 1, fontweight="bold")
    axes[0].text(0, top + 0.9, str(first["subtitle"]), va="center", fontsize=style.SMALL, color=FAINT)
    top += 0.9
    for number in range(len(norms)):
        _levels(axes[1 + 2 * number], rows, top, top + len(looks) + 0.5)
    for line, (label, look) in enumerate(looks.items(), start=1):
        own = rows[rows["label"] == label]
        axes[0].plot([0.03], [top + line], look.marker, color=look.color, markersize=3)
        axes[0].text(0.08, top + line, label, va="center", fontsize=style.SMALL + 1)
        for number, norm in enumerate(norms):
            for row in own[own["norm"] == norm].to_dict("records"):
                draw_spreads(axes[1 + 2 * number], top + line, row, look, across=True)
                words = _numbers(row, seeds_of(rows))
                axes[2 + 2 * number].text(0, top + line, words, va="center", fontsize=style.SMALL + 1)


def _numbers(row: Mapping[Any, Any], most: int) -> str:
    """Write `82.5 ± 0.9, 0.4`: mean, half width of the interval over tasks, standard deviation over seeds."""
    text = f"{100 * row['mean']:.1f}"
    if row["half"] == row["half"]:
        text += f" ± {100 * row['half']:.1f}"
    if row["sd"] == row["sd"]:
        text += f", {100 * row['sd']:.1f}"
    return text if row["n"] == most else f"{text} (n = {row['n']:.0f})"


def _levels(axis: Axes, rows: DataFrame, top: float, end: float) -> None:
    """Draw chance and ceiling across the lines of a group, or say at the edge how far outside they lie."""
    low, high = axis.get_xlim()
    for part, line in LEVELS.items():
        for value in rows["mean"][rows["part"] == part].unique():
            if low <= value <= high:
                axis.plot(
                    [value, value], [top + 0.3, end], color="#404040", linestyle=line, linewidth=0.8, zorder=1
                )
                axis.text(value, top, part, ha="center", va="center", fontsize=style.SMALL - 0.5, color=FAINT)
            else:
                words = f"{part} {100 * value:.3g}"
                text, place, side = (
                    (f"◂ {words}", low, "left") if value < low else (f"{words} ▸", high, "right")
                )
                axis.text(place, top, text, ha=side, va="center", fontsize=style.SMALL - 0.5, color=FAINT)


def _remarks(table: DataFrame) -> str:
    own = table[table["part"] != "anchor"]
    return remarks(
        steps_note(own),
        norm_note(own),
        spread(own),
        "Numbers: mean ± half of the interval over tasks, standard deviation over seeds.",
        level_note(own),
        NOT_AVAILABLE,
        _told(table[table["part"] == "anchor"]),
    )


def _told(rows: DataFrame) -> str:
    """List what neighbours publish of tests on the data set of the training, and say where the rest is."""
    told = []
    for (source, size, net), own in rows[rows["home"] == rows["dataset"]].groupby(
        ["place", "subtitle", "net"], sort=False
    ):
        values = [
            f"{tested} {' and '.join(_value(row) for row in each.to_dict('records'))}"
            for tested, each in own.groupby("dataset", sort=False)
        ]
        told.append(f"{source}, {net}, {size}: {', '.join(values)}.")
    if not told:
        return ""
    return (
        f"Published by neighbours with other recipes, not comparable: {' '.join(told)} Their other accuracies, spreads "
        "and recipes are in the table beside this figure."
    )


def _value(row: Mapping[Any, Any]) -> str:
    return f"{FEWSHOT[row['method']].label} {100 * row['mean']:.1f}"
