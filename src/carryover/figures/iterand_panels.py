"""What the panels of IteRand's figures share: lines by arm, and the remarks that every figure owes its reader."""

from collections.abc import Sequence
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
    columns = 2 if count == 4 else min(count, 3)
    rows = ceil(count / columns)
    width = style.COLUMN if count == 1 else style.PAGE
    figure, axes = style.new_figure(width, rows * height + _REST, rows, columns)
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def arms_in(table: DataFrame) -> list[str]:
    """List the arms of a table in the order of METHODS."""
    return style.in_order(table["arm"])


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
    style.line_with_band(axis, epoch, mean, rows["sd"].to_numpy(float), look, max(1, len(rows) // 8))
    fell = diff(alive, prepend=most) < 0
    style.mark_fewer(axis, epoch[fell], mean[fell], alive[fell].astype(int), most)


def accuracy_axes(axes: Sequence[Axes], table: DataFrame) -> None:
    """Count the axes of panels in percent; the first of each row says of which split the accuracy is."""
    for axis in axes:
        place = axis.get_subplotspec()
        first = place is None or place.is_first_col()
        style.percent_axis(axis, f"{SPLITS[table['split'].iloc[0]]} accuracy" if first else "")


def spread(table: DataFrame, bar: str = "band") -> str:
    """Say how many seeds there are, what a band is, and what became of seeds that diverged."""
    most = int(table["n"].max())
    if most <= 1:
        parts = [f"n = {most} seed, so no {bar}"]
    else:
        fewer = ", fewer where marked" if table["n"].between(1, most - 1).any() else ""
        parts = [f"Mean of n = {most} seeds{fewer}; {bar}: one standard deviation"]
    diverged = int(table.groupby("run")["diverged"].max().sum())
    if diverged:
        gone = ", with a whole point where none is left" if (table["n"] == 0).any() else ""
        parts.append(f"seeds that diverged are left out{gone}: {diverged}")
    return "; ".join(parts) + "."


def source(table: DataFrame) -> str:
    """Say which data set and split the accuracies are of."""
    named = "; ".join(
        f"{dataset}, {' and '.join(SPLITS[split] for split in rows['split'].unique())} images"
        for dataset, rows in table.groupby("dataset", sort=False)
    )
    return f"{named}."


def looks_by_rate(table: DataFrame) -> dict[tuple[str, float], style.Look]:
    """Give a look to each pair of arm and r in a table; r is -1 for an arm without one.

    The values of r of one arm are shades of it.
    """
    looks: dict[tuple[str, float], style.Look] = {}
    for arm in arms_in(table):
        look = style.look_of(arm)
        rates = sorted(table["randomize_prob"][table["arm"] == arm].fillna(-1).unique())
        labels = [f"{look.label}, r = {rate:g}" if len(rates) > 1 else look.label for rate in rates]
        shades = style.shades(look, labels) if len(rates) > 1 else [look]
        looks |= {(arm, rate): shade for rate, shade in zip(rates, shades, strict=True)}
    return looks


def of_pair(rows: DataFrame, pair: tuple[str, float]) -> DataFrame:
    """Select the rows of an arm and an r, as `looks_by_rate` names them."""
    return rows[(rows["arm"] == pair[0]) & (rows["randomize_prob"].fillna(-1) == pair[1])]
