"""What the panels of learning transfer's figures share: lines by method, levels, published panels, remarks."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Transform
from numpy import arange, isnan
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.iterand_panels import SPLITS
from carryover.figures.style import Look
from carryover.published.learning_transfer import PAPER

FAINT = "#737373"
"""Colour of small remarks."""
TINT = "#f6f4ee"
"""Colour behind what is the paper's alone."""
_HALO = [withStroke(linewidth=1.8, foreground="white")]
_CLOSE = 0.07  # of the height of a panel: levels nearer than this share a label
_REST = 0.9  # inches for legend and note


def figure_of(
    table: DataFrame, height: float, most_columns: int = 2
) -> tuple[Figure, list[tuple[Axes, DataFrame]]]:
    """Make a figure with a titled axis for each panel of a table; `height` is that of a row in inches."""
    groups = [rows for _, rows in table.groupby("panel", sort=False)]
    columns = min(len(groups), most_columns)
    rows = ceil(len(groups) / columns)
    figure, axes = style.new_figure(style.PAGE, rows * height + _REST, rows, columns)
    for spare in axes[len(groups) :]:
        spare.remove()
    pairs = list(zip(axes, groups, strict=False))
    for axis, own in pairs:
        name(axis, own, pairs_of(table))
    return figure, pairs


def pairs_of(rows: DataFrame) -> int:
    """Give the number of pairs behind most of what is ours in a table, or in a panel."""
    most = ours_of(rows)["n"].max()
    return int(most) if most == most else 0


def name(axis: Axes, rows: DataFrame, most: int = 0) -> None:
    """Write the title of a panel, and in small type what else it is; tint what is the paper's alone.

    A panel of ours with fewer pairs than `most` says so.
    """
    first = rows.iloc[0]
    small = str(first["subtitle"]) if isinstance(first["subtitle"], str) and first["subtitle"] else ""
    if most and 0 < pairs_of(rows) < most:
        small = f"{small}, n = {pairs_of(rows)}".removeprefix(", ")
    title = axis.set_title(str(first["title"]) + ("\n" if small else ""), linespacing=1.25)
    place = axis.get_subplotspec()
    if place is not None and place.get_gridspec().ncols > 2:
        title.set_fontsize(style.TEXT - 1)
    if small:
        remark(axis, small, (0, 1), (0, 5), "axes fraction")
    if first["part"] in ("reference", "reference level"):
        axis.set_facecolor(TINT)


def methods_in(rows: DataFrame) -> list[str]:
    """List the methods of rows in the order of the table, which is that of the figure."""
    return [str(method) for method in rows["method"].dropna().unique()]


def draw_course(axis: Axes, rows: DataFrame, look: Look, most: int) -> None:
    """Draw one series along `x`: mean, band, a marker now and then, and n where it is below `most`, the panel's."""
    rows = rows.sort_values("x")
    x, mean, sd = (rows[column].to_numpy(float) for column in ("x", "mean", "sd"))
    style.line_with_band(axis, x, mean, sd, look, max(1, len(rows) // 10))
    n = rows["n"].fillna(most).to_numpy(int)
    changed = [number > 0 and (not index or n[index - 1] != number) for index, number in enumerate(n)]
    style.mark_fewer(axis, x[changed], mean[changed], n[changed], most)


def draw_published(axis: Axes, rows: DataFrame, look: Look, line: bool) -> ErrorbarContainer:
    """Draw one published series as open markers with its standard deviation; with many points, at some of them.

    With `line`, for a panel of the paper's own, all points are joined by a thin line with a band. Returns what a
    legend shows.
    """
    rows = rows.sort_values("x")
    x, mean, sd = (rows[column].to_numpy(float) for column in ("x", "mean", "sd"))
    every = max(1, len(rows) // 10)
    if line:
        axis.plot(x, mean, color=look.color, linestyle=look.line, linewidth=0.7)
        axis.fill_between(x, mean - sd, mean + sd, color=look.color, alpha=0.15, linewidth=0)
    known = not isnan(sd).all()
    return axis.errorbar(
        x[::every],
        mean[::every],
        yerr=sd[::every] if known and not line else None,
        color=look.color,
        fmt=look.marker,
        markerfacecolor="white",
        markersize=4.5,
        elinewidth=0.7,
        capsize=1.5,
        label=look.label if line else "_published",
        zorder=4,
    )


STRIP = 0.28
"""Width of the strip that shows results beside a course, as a fraction of the course's."""


def draw_strip(axis: Axes, rows: DataFrame, end: float) -> None:
    """Show test accuracies side by side in a grey strip to the right of a course that ends at `end`."""
    if rows.empty:
        return
    place = end * (1.06 + STRIP * (arange(len(rows)) + 0.5) / len(rows))
    for x, row in zip(place, rows.to_dict("records"), strict=True):
        look = style.look_of(str(row["method"]))
        axis.errorbar(
            x,
            row["mean"],
            yerr=row["sd"],
            color=look.color,
            fmt=look.marker,
            markersize=3,
            elinewidth=0.7,
            zorder=3,
        )
    axis.axvspan(end * 1.06, end * (1.06 + STRIP), color="#efefef", linewidth=0, zorder=0)
    axis.set_xlim(-0.04 * end, end * (1.08 + STRIP))
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.set_xticks([tick for tick in axis.get_xticks() if 0 <= tick <= end])
    across = axis.get_xaxis_transform()
    middle = end * (1.06 + STRIP / 2)
    axis.text(middle, -0.03, "test", ha="center", va="top", fontsize=style.SMALL + 1, transform=across)


def draw_reference(axis: Axes, rows: DataFrame) -> None:
    """Draw a published panel whose series are methods, with its reference lines."""
    curves = rows[rows["part"] == "reference"]
    for method in style.in_order(methods_in(curves)):
        draw_published(axis, curves[curves["method"] == method], style.look_of(method), line=True)
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.set_xlabel(str(curves["along"].iloc[0]))
    draw_levels(axis, rows[rows["part"] == "reference level"])


def draw_levels(axis: Axes, rows: DataFrame) -> None:
    """Draw accuracies of ordinary training as horizontal lines, named at their left end; near ones share a name.

    Call it when all else is drawn: how near they are depends on the height of the panel.
    """
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.03 * (high - low))
    groups: list[list[Mapping[Any, Any]]] = []
    for row in rows.sort_values("mean", ascending=False).to_dict("records"):
        color = "black" if row["method"] == "source" else FAINT
        axis.axhline(row["mean"], color=color, linestyle=(0, (1, 2)), linewidth=0.7, zorder=1)
        if groups and groups[-1][-1]["mean"] - row["mean"] < _CLOSE * (high - low):
            groups[-1].append(row)
        else:
            groups.append([row])
    for group in groups:
        remark(axis, _level_names(group), (0, group[0]["mean"]), (2, 1.5), axis.get_yaxis_transform())


Number = float | int
"""A number of a figure; under test an int is no float."""


def remark(
    axis: Axes,
    text: str,
    place: tuple[Number, Number],
    apart: tuple[Number, Number],
    measure: Transform | str,
) -> None:
    """Write small grey text `apart` points from a place, on whatever is there; the layout makes no room for it."""
    written = axis.annotate(text, place, apart, xycoords=measure, textcoords="offset points")
    written.set(fontsize=style.SMALL - 0.5, color=FAINT, path_effects=_HALO, zorder=5, in_layout=False)


def _level_names(group: Sequence[Mapping[Any, Any]]) -> str:
    """Write `source, 30 epochs; target, 7 and 30 epochs`."""
    told = []
    for method in dict.fromkeys(row["method"] for row in group):
        epochs = [f"{epoch:g}" for epoch in sorted(row["x"] for row in group if row["method"] == method)]
        word = "epoch" if epochs == ["1"] else "epochs"
        told.append(f"{style.look_of(method).label}, {_listed(epochs)} {word}")
    return "; ".join(told)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def ours_of(table: DataFrame) -> DataFrame:
    """Select the rows that are not the paper's."""
    return table[~table["part"].str.startswith(("reference", "agreeing"))]


def spread(table: DataFrame, mark: str = "band") -> str:
    """Say how many pairs there are, and what a band is."""
    ours = ours_of(table)
    most = int(ours["n"].max())
    if most <= 1:
        return f"n = {most} pair of source and target, so no {mark}."
    fewer = ", fewer where marked" if (ours["n"] < most).any() else ""
    return f"Mean of n = {most} pairs of source and target{fewer}; {mark}: one standard deviation."


def paper_says(table: DataFrame) -> str:
    """Say which numbers are the paper's, where any are shown."""
    parts = set(table["part"].dropna())
    told = []
    if "agreeing" in parts:
        known = table["n"][table["part"] == "agreeing"].notna().any()
        of = (
            "validation images, mean and one standard deviation of 3 pairs"
            if known
            else "n and spread not known"
        )
        told.append(f"Open markers on axes of ours: {PAPER}, {of}.")
    if "reference" in parts:
        told.append("Tinted panel, open markers: the paper's own numbers, of another setting than ours.")
    return " ".join(told)


def splits_of(table: DataFrame) -> str:
    """Name the images that accuracies are of: `digits, validation images.`"""
    ours = ours_of(table)
    ours = ours[(ours["part"] != "selected") & ours["split"].isin(list(SPLITS))]
    named = [
        f"{dataset}, {' and '.join(SPLITS[split] for split in rows['split'].unique())} images"
        for dataset, rows in ours.groupby("dataset", sort=False)
    ]
    return f"{'; '.join(named)}." if named else ""


def remarks(*parts: str) -> str:
    """Join the sentences of a note, without those that say nothing."""
    return " ".join(part for part in parts if part)
