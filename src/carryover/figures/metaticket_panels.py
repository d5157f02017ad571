"""What the figures of few-shot learning share: panels, both spreads, chance and ceiling, and remarks."""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy import isfinite
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.metaticket_looks import SPLITS, looks_of
from carryover.figures.style import Look
from carryover.figures.transfer_panels import remark

PALE = 0.28
"""Opacity of a spread over seeds."""
CHANCE, CEILING = (0, (1, 2)), (0, (5, 2))
LEVELS = {"chance": CHANCE, "ceiling": CEILING}
"""Lines of levels: dotted and dashed."""
NEAR = 0.6
"""How far outside of the range of all else a level is still drawn, as a part of this range."""
_REST = 0.55  # inches for the legend


def looks_in(table: DataFrame) -> dict[str, Look]:
    """Give every series of a table its look by its label, in the order of the methods."""
    own = table[table["label"].notna() & table["method"].notna()]
    return looks_of(list(zip(own["method"].astype(str), own["label"].astype(str), strict=True)))


def panels(table: DataFrame) -> list[DataFrame]:
    """Give the rows of every panel, in the order of the table."""
    return [rows for _, rows in table.groupby("panel", sort=False)]


def room(text: str) -> float:
    """Estimate the inches that a note needs below a figure of full width."""
    return 0.15 + 0.108 * ceil(len(text) / 125)


def figure_of(
    table: DataFrame, height: float, text: str, most_columns: int = 2
) -> tuple[Figure, list[tuple[Axes, DataFrame]]]:
    """Make a figure with a titled axis for each panel of a table; `height` is that of a row in inches.

    `text` is its note, which it has room for and shows.
    """
    groups = panels(table)
    columns = min(len(groups), most_columns)
    rows = ceil(len(groups) / columns)
    figure, axes = style.new_figure(style.PAGE, rows * height + _REST + room(text), rows, columns)
    for spare in axes[len(groups) :]:
        spare.remove()
    pairs = list(zip(axes, groups, strict=False))
    for axis, own in pairs:
        name(axis, own)
    style.note(figure, text)
    return figure, pairs


def grid_of(
    table: DataFrame, height: float, text: str, columns: int
) -> tuple[Figure, list[tuple[list[Axes], DataFrame]]]:
    """Make a figure with a row of axes for each panel of a table, the first of each row titled; see `figure_of`."""
    groups = panels(table)
    figure, axes = style.new_figure(
        style.PAGE, len(groups) * height + _REST + room(text), len(groups), columns
    )
    rows = [(axes[columns * number : columns * (number + 1)], own) for number, own in enumerate(groups)]
    for own_axes, own in rows:
        name(own_axes[0], own)
    style.note(figure, text)
    return figure, rows


def name(axis: Axes, rows: DataFrame, more: str = "") -> None:
    """Write the title of a panel, and in small type what else it is."""
    first = rows.iloc[0]
    small = ", ".join(str(part) for part in (first["subtitle"], more) if isinstance(part, str) and part)
    title = axis.set_title(str(first["title"]) + ("\n" if small else ""), linespacing=1.25)
    place = axis.get_subplotspec()
    if place is not None and place.get_gridspec().ncols > 2:
        title.set_fontsize(style.TEXT - 1)
    if small:
        remark(axis, small, (0, 1), (0, 5), "axes fraction")


def legend(figure: Figure, looks: Iterable[Look], columns: int, *, lines: bool = True) -> None:
    """Name series once, above all panels, in the order given."""
    plain: dict[str, Any] = {} if lines else {"linestyle": "none"}
    handles = [Line2D([], [], **{**look.drawn(), **plain}) for look in looks]
    with style.house_style():
        figure.legend(handles=handles, loc="outside upper left", ncols=columns, columnspacing=1.2)


def draw_spreads(
    axis: Axes,
    place: float,
    row: Mapping[Any, Any],
    look: Look,
    *,
    open_marker: bool = False,
    across: bool = False,
) -> None:
    """Draw a mean with both of its spreads: a pale bar over seeds, whiskers over tasks; `across` lies it down."""
    mean, sd, half = (float(row[column]) for column in ("mean", "sd", "half"))
    x, y = (mean, place) if across else (place, mean)
    along = "xerr" if across else "yerr"
    if isfinite(sd):
        bar: dict[str, Any] = {along: sd, "fmt": "none", "elinewidth": 4.5, "alpha": PALE, "zorder": 2}
        axis.errorbar(x, y, ecolor=look.color, **bar)
    whisker: dict[str, Any] = {along: half} if isfinite(half) else {}
    axis.errorbar(
        x,
        y,
        color=look.color,
        fmt=look.marker,
        markerfacecolor="white" if open_marker else look.color,
        markersize=3.2,
        capsize=2,
        elinewidth=0.8,
        zorder=3,
        **whisker,
    )


def draw_places(
    axis: Axes,
    rows: DataFrame,
    looks: Mapping[str, Look],
    values: Sequence[Any],
    *,
    column: str,
    lines: bool = True,
) -> None:
    """Draw series over the values of a column, which lie evenly apart; series of one value lie side by side.

    A series without a value in `column` is a level that does not depend on it.
    """
    most, present = seeds_of(rows), [label for label in looks if label in set(rows["label"])]
    step = min(0.06 if lines else 0.1, 0.7 / max(1, len(present)))
    for number, label in enumerate(present):
        look, own = looks[label], rows[rows["label"] == label]
        for level in own["mean"][own[column].isna()]:
            axis.axhline(level, color=look.color, linestyle=":", linewidth=0.8)
        own = own[own[column].notna()]
        place = own[column].map(list(values).index).to_numpy(float) + step * (number - (len(present) - 1) / 2)
        mean = own["mean"].to_numpy(float)
        if lines:
            axis.plot(place, mean, color=look.color, linestyle=look.line, linewidth=0.9)
        for x, row in zip(place, own.to_dict("records"), strict=True):
            draw_spreads(axis, x, row, look)
        _mark_fewer(axis, place, own, most)
    axis.set_xticks(
        range(len(values)), [f"{value:g}" if not isinstance(value, str) else value for value in values]
    )
    axis.set_xlim(-0.5, len(values) - 0.5)


def _mark_fewer(axis: Axes, place: Iterable[float], rows: DataFrame, most: int) -> None:
    """Write n below the spreads of every point that has fewer seeds than `most`."""
    for x, row in zip(place, rows.to_dict("records"), strict=True):
        if 0 < row["n"] < most:
            low = row["mean"] - max(
                (row[each] for each in ("sd", "half") if isfinite(row[each])), default=0.0
            )
            spot: dict[str, Any] = {
                "textcoords": "offset points",
                "ha": "center",
                "va": "top",
                "fontsize": style.SMALL,
            }
            axis.annotate(f"n = {row['n']:.0f}", (x, low), (0, -3), **spot)


def draw_course(axis: Axes, rows: DataFrame, look: Look, most: int) -> None:
    """Draw one series along `x`: its mean, a band over seeds, and n where it falls below `most`."""
    rows = rows.sort_values("x")
    x, mean, sd = (rows[column].to_numpy(float) for column in ("x", "mean", "sd"))
    style.line_with_band(axis, x, mean, sd, look, max(1, len(rows) // 10))
    n = rows["n"].to_numpy(int)
    changed = [number > 0 and (not index or n[index - 1] != number) for index, number in enumerate(n)]
    style.mark_fewer(axis, x[changed], mean[changed], n[changed], most)


def draw_levels(axis: Axes, rows: DataFrame, values: Sequence[Any] = ()) -> None:
    """Draw chance and ceiling of a panel, once all else is drawn; one that is far away is named at the edge instead.

    `values` are those along the axis, for levels of a single one of them.
    """
    levels = rows[rows["part"].isin(list(LEVELS))].drop_duplicates(["part", "mean", "place"])
    low, high = axis.get_ylim()
    near = [each for each in levels["mean"] if is_near(each, low, high)]
    if near:
        span = max(high, *near) - min(low, *near)
        low, high = (
            min(low, *(each - 0.04 * span for each in near)),
            max(high, *(each + 0.04 * span for each in near)),
        )
    if not all(low <= each <= high for each in levels["mean"]):  # room for the words at the edges
        low, high = low - 0.06 * (high - low), high + 0.04 * (high - low)
    axis.set_ylim(low, high)
    for row in levels.to_dict("records"):
        part, value = str(row["part"]), float(row["mean"])
        if not low <= value <= high:
            words, edge = (
                (f"{part} {100 * value:.3g} ▾", 0) if value < low else (f"{part} {100 * value:.3g} ▴", 1)
            )
            remark(axis, words, (0, edge), (2, 3 - 9 * edge), "axes fraction")
        elif row["place"] in list(values):
            place = list(values).index(row["place"])
            axis.plot(
                [place - 0.42, place + 0.42],
                [value, value],
                color="#404040",
                linestyle=LEVELS[part],
                linewidth=0.8,
            )
            remark(axis, part, (place - 0.42, value), (2, 1.5), "data")
        else:
            axis.axhline(value, color="#404040", linestyle=LEVELS[part], linewidth=0.8, zorder=1)
            remark(axis, part, (0, value), (2, 1.5), axis.get_yaxis_transform())


def is_near(value: float, low: float, high: float) -> bool:
    """Tell whether a level lies within a range, or not far outside."""
    return bool(low - NEAR * (high - low) <= value <= high + NEAR * (high - low))


def seeds_of(table: DataFrame) -> int:
    """Give the number of seeds behind most of what is in a table."""
    most = table["n"].max()
    return int(most) if most == most else 0


def spread(table: DataFrame, bar: str = "pale bar") -> str:
    """Say how many seeds and tasks there are, and what shows which of the two spreads."""
    own = table[table["label"].notna()]
    most = seeds_of(own)
    fewer = " (fewer where marked)" if (own["n"] < most).any() else ""
    seeds = f"n = {most} seed{'s' * (most != 1)}{fewer}"
    found = f"Mean over {seeds}"
    counts = sorted({int(count) for count in own["tasks"].dropna() if count})
    if counts:
        found += f" and {' or '.join(f'{count:,}' for count in counts)} tasks, the same for every method"
    parts = [f"{bar}: one standard deviation over seeds" if most > 1 else f"one seed has no {bar}"]
    if counts and own["half"].notna().any():
        parts.append("whiskers: 95% interval over tasks of the mean over these seeds")
    return f"{found}; {'; '.join(parts)}."


def steps_note(table: DataFrame) -> str:
    """Say which tasks accuracies are of, and after how many inner steps: `Test tasks, after 3 inner steps.`"""
    own = table[table["label"].notna()]
    trained = sorted({f"{steps:g}" for steps in own["inner_steps"].dropna()})
    splits = " and ".join(SPLITS[each] for each in own["split"].dropna().unique() if each in SPLITS)
    steps = [int(step) for step in own["steps"].dropna().unique()]
    after = f", after {steps[0]} inner step{'s' * (steps != [1])}" if len(steps) == 1 else ""
    before = f" (K = {' or '.join(trained)} in training)" if trained else ""
    return f"{splits.capitalize()} tasks{after}{before}."


def norm_note(table: DataFrame) -> str:
    """Say what the norms of a table are that normalise the query."""
    told = {
        "transductive": "Transductive: batch-norm takes the statistics of all query examples of a task together.",
        "support": "Support statistics: it takes those of the support, so that no query example changes another.",
    }
    return " ".join(words for norm, words in told.items() if norm in set(table["norm"]))


def level_note(table: DataFrame) -> str:
    """Say what the levels are, where any are drawn."""
    parts = set(table["part"])
    told = ["Dotted: chance; an arrow with it says that it lies outside."] if "chance" in parts else []
    if "ceiling" in parts:
        told.append("Dashed: a classifier fitted to all images of a task's classes but its query.")
    return " ".join(told)
