"""Figure 7: accuracy on the plane through three solutions; and the map of the loss of the paper's first version."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from pandas import DataFrame
from scipy.interpolate import RegularGridInterpolator

from carryover.figures import style
from carryover.figures.transfer_panels import name, remarks
from carryover.figures.transfer_published import Row
from carryover.figures.transfer_settings import TransferFigureSpec
from carryover.figures.transfer_tables import measured, named
from carryover.io.recipes import recipes
from carryover.published.learning_transfer import PAPER, PLANES

COLUMNS = (
    "panel",
    "title",
    "subtitle",
    "part",
    "run",
    "pair",
    "dataset",
    "net",
    "quantity",
    "method",
    "look",
    "u",
    "v",
    "value",
)
KINDS = {"plane": "accuracy", "map": "loss"}
"""What is shown of a plane, and of a map."""
NAMES = {"transferred": "continued", "source": "source*"}
"""Solutions that span planes, where they are not called like a method."""
_PLACE = ["run", "method", "pair"]
_COLOURS = "cividis"
_HALO = [withStroke(linewidth=1.6, foreground="white")]


def tabulate_plane(results: DataFrame, spec: TransferFigureSpec) -> DataFrame:
    """Tabulate planes cell by cell, each of one pair; with the lowest accuracy, or highest loss, between solutions.

    `part` is `cell`, `marker` (a solution), `edge` (`method` names the two ends; interpolated between cells), and for
    the paper's planes `reference marker` and `reference edge`. `look` is the method that was continued.
    """
    known = recipes(results)
    planes = measured(results[results["method"].isin(list(KINDS))], "landscape", "u", "val")
    out: list[Row] = []
    places = planes[["run", "method", "pair"]].drop_duplicates()
    kinds = places["method"].map(list(KINDS).index)
    for run, method, pair in (
        places.assign(kind=kinds).sort_values(["run", "pair", "kind"])[_PLACE].to_numpy()
    ):
        found = named(known["landscape", str(run)], str(run))
        own = results[(results["kind"] == "landscape") & (results["run"] == run) & (results["pair"] == pair)]
        title = f"{found.title}, pair {pair}"
        words = {"plane": "plane through three trained nets", "map": "map through target, oracle and GMT"}
        cells: Row = {
            "panel": f"{run}/{pair}/{method}",
            "title": title,
            "subtitle": words[str(method)],
            "run": run,
        }
        cells |= {"pair": pair, "dataset": found.dataset, "net": found.net, "quantity": KINDS[str(method)]}
        cells |= {"look": known["landscape", str(run)].get("landscape.continued")}
        out += _surveyed(own, str(method), cells)
    for key in spec.published:
        out += _printed(key)
    return DataFrame([{column: row.get(column) for column in COLUMNS} for row in out], columns=list(COLUMNS))


def _surveyed(rows: DataFrame, method: str, cells: Row) -> Iterator[Row]:
    quantity = KINDS[method]
    grid = _places(rows[rows["method"] == method], quantity)
    yield from ({**cells, "part": "cell", "method": method, **row} for row in _records(grid))
    prefix = "marker-" if method == "plane" else "map-"
    markers = {}
    for marker in [each for each in rows["method"].unique() if str(each).startswith(prefix)]:
        (place,) = _records(_places(rows[rows["method"] == marker], quantity))
        markers[str(marker).removeprefix(prefix)] = place
        yield {**cells, "part": "marker", "method": str(marker).removeprefix(prefix), **place}
    table = grid.pivot(index="v", columns="u", values="value")
    axes = (table.index.to_numpy(), table.columns.to_numpy())
    across = RegularGridInterpolator(axes, table.to_numpy(), bounds_error=False)
    for first, second in combinations(markers, 2):
        ends = np.array([[markers[each]["v"], markers[each]["u"]] for each in (first, second)], dtype=float)
        values = across(np.linspace(ends[0], ends[1], 101))
        worst = np.nanmin(values) if quantity == "accuracy" else np.nanmax(values)
        yield {**cells, "part": "edge", "method": f"{first}, {second}", "value": float(worst)}


def _places(rows: DataFrame, quantity: str) -> DataFrame:
    wide = rows.pivot(index="step", columns="metric", values="value")
    return wide[["u", "v", quantity]].rename(columns={quantity: "value"}).reset_index(drop=True)


def _records(table: DataFrame) -> list[dict[str, float]]:
    return [{str(key): float(value) for key, value in row.items()} for row in table.to_dict("records")]


def _printed(key: str) -> Iterator[Row]:
    printed = PLANES[key]
    cells: Row = {
        "panel": key,
        "title": f"published: {PAPER}, {printed.figure}",
        "subtitle": f"{printed.shown}, one pair",
    }
    cells |= {"quantity": "accuracy", "look": "fgmt"}
    for method, (u, v, accuracy) in printed.markers.items():
        yield {**cells, "part": "reference marker", "method": method, "u": u, "v": v, "value": accuracy}
    for (first, second), lowest in printed.lowest.items():
        yield {**cells, "part": "reference edge", "method": f"{first}, {second}", "value": lowest}


@style.house_style()
def draw_plane(table: DataFrame) -> Figure:
    """Draw a panel for each plane: filled contours, and the three solutions that span it.

    Source: learning transfer, figure 7 (section 4.4), and section 3 (E3a) for the map.
    """
    panels = [rows for _, rows in table.groupby("panel", sort=False)]
    columns = min(len(panels), 2)
    lines = ceil(len(panels) / columns)
    width = style.PAGE if columns > 1 else style.COLUMN
    figure, axes = style.new_figure(width, 2.7 * lines + 0.5, lines, columns)
    for spare in axes[len(panels) :]:
        spare.remove()
    for axis, rows in zip(axes, panels, strict=False):
        name(axis, rows.assign(part=rows["part"].str.replace("reference marker", "reference")))
        cells = rows[rows["part"] == "cell"]
        if len(cells):
            _contours(figure, axis, cells)
        _solutions(axis, rows)
        axis.set_aspect("equal")
        axis.set_xlabel("u (norm)")
        axis.set_ylabel("v (norm)")
    style.note(figure, _remarks(table))
    return figure


def _contours(figure: Figure, axis: Axes, cells: DataFrame) -> None:
    accuracy = cells["quantity"].iloc[0] == "accuracy"
    table = cells.pivot(index="v", columns="u", values="value")
    values = table.to_numpy(float) if accuracy else np.log10(np.maximum(table.to_numpy(float), 1e-6))
    colours = _COLOURS if accuracy else f"{_COLOURS}_r"
    drawn = axis.contourf(table.columns.to_numpy(), table.index.to_numpy(), values, levels=14, cmap=colours)
    bar = figure.colorbar(drawn, ax=axis, pad=0.02, aspect=24)
    bar.ax.tick_params(labelsize=style.SMALL)
    bar.outline.set_linewidth(0.4)
    if accuracy:
        bar.ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}")
        bar.set_label("accuracy (%)")
    else:
        bar.ax.yaxis.set_major_formatter(lambda value, _: f"{10**value:.2g}")
        bar.set_label("loss (nats per example)")


def _solutions(axis: Axes, rows: DataFrame) -> None:
    """Mark the solutions with their values, and write on each side the worst value on the way."""
    markers = rows[rows["part"].str.endswith("marker")].set_index("method")
    places = {str(method): (float(row["u"]), float(row["v"])) for method, row in markers.iterrows()}
    top = max(v for _, v in places.values())
    middle = sum(u for u, v in places.values() if v < top) / 2
    for row in markers.reset_index().to_dict("records"):
        method = str(row["method"])
        look = style.look_of(row["look"] if method == "transferred" else method)
        u, v = places[method]
        axis.plot(
            [u],
            [v],
            look.marker,
            color=look.color,
            markeredgecolor="white",
            markeredgewidth=0.7,
            markersize=6,
            zorder=4,
        )
        text = f"{NAMES.get(method, look.label)}\n{_value(row)}"
        _write(axis, text, (u, v), (0, 6 if v == top else -19), 0)
    for edge in rows[rows["part"].str.endswith("edge")].to_dict("records"):
        first, second = (places[each] for each in str(edge["method"]).split(", "))
        axis.plot(*zip(first, second, strict=True), color="white", linewidth=1.6, zorder=2)
        axis.plot(*zip(first, second, strict=True), color="#404040", linewidth=0.7, zorder=2)
        u, v = (first[0] + second[0]) / 2, (first[1] + second[1]) / 2
        below = [end[0] for end in (first, second) if end[1] < top]
        side = 0 if len(below) == 2 else -1 if below[0] <= middle else 1
        _write(axis, _value(edge), (u, v), (3 * side, -2 if side else 3), side)
    if not rows["part"].eq("cell").any():
        _square(axis, list(places.values()))


def _square(axis: Axes, places: list[tuple[float, float]]) -> None:
    """Make a panel without cells a square around its solutions."""
    middle = [(min(each) + max(each)) / 2 for each in zip(*places, strict=True)]
    half = 0.75 * max(max(each) - min(each) for each in zip(*places, strict=True))
    axis.set_xlim(middle[0] - half, middle[0] + half)
    axis.set_ylim(middle[1] - half, middle[1] + half)


def _value(row: Mapping[Any, Any]) -> str:
    value = row["value"]
    return f"{100 * value:.0f}%" if row["quantity"] == "accuracy" else f"{value:.2g}"


def _write(axis: Axes, text: str, place: tuple[float, float], apart: tuple[int, int], side: int) -> None:
    """Write small text beside a place: to its left (-1), around it (0) or to its right (1)."""
    align = {-1: "right", 0: "center", 1: "left"}[side]
    written = axis.annotate(text, place, apart, textcoords="offset points", ha=align, fontsize=style.SMALL)
    written.set(path_effects=_HALO, zorder=5, in_layout=False)


def _remarks(table: DataFrame) -> str:
    printed = table["part"].str.startswith("reference").any()
    maps = (table["quantity"] == "loss").any()
    datasets = ", ".join(str(name) for name in table["dataset"].dropna().unique())
    return remarks(
        f"{datasets}, validation images." if datasets else "",
        "A panel is one pair of source and target; u and v in norm of the parameters, target at (0, 0). Source*: the "
        "trained source, permuted onto the target by weight matching. Beside a solution its accuracy, beside a side "
        "the lowest on it.",
        "Maps: loss on a logarithmic scale, the highest on each side." if maps else "",
        "Tinted panel: the paper's own numbers, of another setting than ours; colours read back to about a point."
        if printed
        else "",
    )
