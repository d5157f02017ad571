"""What the panels of IteRand's figures share: lines by arm, and the remarks that every figure owes its reader."""

from dataclasses import replace
from math import ceil

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import diff
from pandas import DataFrame

from carryover.figures import style

SPLITS = {"val": "validation", "test": "test"}
NOT_OURS = "IteRand's own numbers are not available to us."
"""The specification knows none of the paper's accuracies with certainty."""
_REST = 0.75  # inches for legend and note


def panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """Make a figure of `count` panels, at most three in a row; `height` is that of a row in inches."""
    columns = min(count, 3)
    rows = ceil(count / columns)
    width = style.COLUMN if count == 1 else style.PAGE
    figure, axes = style.new_figure(width, rows * height + _REST, rows, columns)
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def arms_in(table: DataFrame) -> list[str]:
    """List the arms of a table in the order of METHODS."""
    return [arm for arm in style.METHODS if arm in set(table["arm"])]


def draw_means(axis: Axes, rows: DataFrame, x: str, look: style.Look, most: int) -> None:
    """Draw one series of a table along its column `x`: mean, band, and n where it is below `most`.

    A row without `x` is a level that does not depend on it: a dotted line across the panel.
    """
    level = rows[rows[x].isna()]
    rows = rows[rows[x].notna()].sort_values(x)
    place, mean = rows[x].to_numpy(float), rows["mean"].to_numpy(float)
    for value in level["mean"]:
        axis.axhline(value, color=look.color, linestyle=":", label=look.label)
    if len(rows):
        style.line_with_band(axis, place, mean, rows["sd"].to_numpy(float), look)
        style.mark_fewer(axis, place, mean, rows["n"].to_numpy(int), most)


def draw_course(axis: Axes, rows: DataFrame, look: style.Look, most: int) -> None:
    """Draw one series over epochs, with a marker now and then, and n wherever it has fallen."""
    rows = rows.sort_values("epoch")
    epoch, mean, alive = (rows[column].to_numpy(float) for column in ("epoch", "mean", "n"))
    style.line_with_band(axis, epoch, mean, rows["sd"].to_numpy(float), look)
    axis.lines[-1].set_markevery(max(1, len(rows) // 8))
    fell = diff(alive, prepend=most) < 0
    style.mark_fewer(axis, epoch[fell], mean[fell], alive[fell].astype(int), most)


def accuracy_axis(axis: Axes, table: DataFrame) -> None:
    """Label the vertical axis with the split whose accuracy it is."""
    style.percent_axis(axis, f"{SPLITS[table['split'].iloc[0]]} accuracy")


def spread(table: DataFrame, bar: str = "band") -> str:
    """Say how many seeds there are and what a band is."""
    most, least = int(table["n"].max()), int(table["n"].min())
    if most <= 1:
        text = f"n = {most} seed, so no {bar}"
    else:
        fewer = ", fewer where marked" if least < most else ""
        text = f"Mean of n = {most} seeds{fewer}; {bar}: one standard deviation"
    diverged = int(table.groupby("run")["diverged"].max().sum())
    if diverged:
        text += f"; {diverged} training{'s' * (diverged > 1)} diverged and {'are' if diverged > 1 else 'is'} left out"
    return text + "."


def source(table: DataFrame) -> str:
    """Say which data set and split the accuracies are of."""
    named = ", ".join(
        f"{dataset}, {' and '.join(SPLITS[split] for split in rows['split'].unique())} images"
        for dataset, rows in table.groupby("dataset", sort=False)
    )
    return f"{named}."


def looks_by_rate(table: DataFrame, popup: str | None = None) -> dict[tuple[str, float], style.Look]:
    """Give a look to each pair of arm and r in a table; r is -1 for arms without one.

    Values of r are shades of their method; `popup` renames edge-popup.
    """
    looks: dict[tuple[str, float], style.Look] = {}
    for arm in arms_in(table):
        look = style.METHODS[arm]
        rates = sorted(table["randomize_prob"][table["arm"] == arm].fillna(-1).unique())
        if len(rates) > 1:
            labels = [f"{look.label}, r = {rate:g}" for rate in rates]
            looks |= {(arm, rate): shade for rate, shade in zip(rates, style.shades(look, labels), strict=True)}
        else:
            renamed = popup if popup and arm.startswith("popup") else look.label
            looks[arm, rates[0]] = replace(look, label=renamed)
    return looks
