"""Results against one setting: the number of steps T, and the width of the net."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.iterand_panels import SPLITS
from carryover.figures.transfer_panels import (
    draw_course,
    figure_of,
    methods_in,
    name,
    pairs_of,
    remarks,
    splits_of,
    spread,
)
from carryover.figures.transfer_published import Row
from carryover.figures.transfer_settings import TransferFigureSpec
from carryover.figures.transfer_tables import (
    measured,
    named,
    named_cells,
    over_pairs,
    shown_methods,
    table_of,
    trajectory,
)
from carryover.io.recipes import at_last, at_selected, recipes

FIXED = ("source", "naive", "random", "weights", "oracle")
"""What the last step of does not depend on how many there are: one permutation for all of them, or none."""
RESULTS = {"last": "at the last step", "selected": "at the step selected on validation"}


def tabulate_steps(results: DataFrame, spec: TransferFigureSpec) -> DataFrame:
    """Tabulate accuracy at the last and at the selected step by T; runs that differ in no more share a panel.

    `quantity` is `last` or `selected`, x is T.
    """
    split = spec.shown_split
    rows = measured(results, "transfer", "accuracy", split)
    known = recipes(results)
    ends = results[results["kind"] == "transfer"].groupby("run")["step"].max()
    out: list[Row] = []
    for run in rows["run"].unique():
        recipe, num_steps = known["transfer", str(run)], int(ends[run])
        found, own = named(recipe, str(run)), rows[rows["run"] == run]
        kind = trajectory(recipe, num_steps).replace(f", T = {num_steps}", "")
        cells: Row = {"title": found.title, "subtitle": kind, "dataset": found.dataset, "net": found.net}
        cells |= {
            "panel": f"{found.title}, {kind}",
            "part": "result",
            "run": run,
            "split": split,
            "x": num_steps,
        }
        for quantity, chosen in (("last", at_last(own)), ("selected", at_selected(results, own))):
            means = over_pairs(chosen, ["method"]).to_dict("records")
            out += [{**cells, "quantity": quantity, **named_cells(row)} for row in means]
    return _ordered(table_of(out), spec)


def tabulate_widths(results: DataFrame, spec: TransferFigureSpec) -> DataFrame:
    """Tabulate accuracy at the last step by the width of the net; x is the width.

    Raises ValueError for a net whose hidden layers differ in size.
    """
    split = spec.shown_split
    rows = at_last(measured(results, "transfer", "accuracy", split))
    known = recipes(results)
    ends = rows.groupby("run")["step"].max()
    out: list[Row] = []
    for run in rows["run"].unique():
        recipe = known["transfer", str(run)]
        found = named(recipe, str(run))
        if found.size != found.size:
            raise ValueError(
                f"{found.net} has no single width: `draw: widths` needs hidden layers of one size"
            )
        kind = trajectory(recipe, int(ends[run]))
        cells: Row = {
            "title": f"{found.family} on {found.dataset}",
            "subtitle": kind,
            "dataset": found.dataset,
        }
        cells |= {
            "panel": f"{found.family} on {found.dataset}, {kind}",
            "net": found.family,
            "quantity": "last",
        }
        cells |= {"part": "result", "run": run, "split": split, "x": found.size}
        means = over_pairs(rows[rows["run"] == run], ["method"]).to_dict("records")
        out += [{**cells, **named_cells(row)} for row in means]
    return _ordered(table_of(out), spec)


def _ordered(table: DataFrame, spec: TransferFigureSpec) -> DataFrame:
    """Keep the methods of the figure, in its order; refuse two runs at one point."""
    methods = shown_methods(table["method"], spec)
    shown = table[table["method"].isin(methods)]
    twice = shown[shown.duplicated(["panel", "quantity", "method", "x"], keep=False)]
    if len(twice):
        runs = list(twice["run"].unique())
        raise ValueError(
            f"{runs[0]} and {runs[1]} fall on one point of the figure: name runs that differ in it"
        )
    panels = list(shown["panel"].unique())
    order = shown.assign(_panel=shown["panel"].map(panels.index), _method=shown["method"].map(methods.index))
    return order.sort_values(["_panel", "quantity", "_method", "x"]).drop(columns=["_panel", "_method"])


@style.house_style()
def draw_steps(table: DataFrame) -> Figure:
    """Draw accuracy against T, a row for each kind of trajectory: at the last step, and at the selected one.

    Source: none in the paper; asked for by its reviewers.
    """
    panels = [rows for _, rows in table.groupby("panel", sort=False)]
    figure, axes = style.new_figure(style.PAGE, 2.2 * len(panels) + 1.0, len(panels), len(RESULTS))
    for number, rows in enumerate(panels):
        pair = axes[2 * number : 2 * number + 2]
        for axis, (quantity, words) in zip(pair, RESULTS.items(), strict=True):
            own = rows[rows["quantity"] == quantity]
            _series(axis, own, FIXED if quantity == "last" else ())
            name(axis, own.assign(subtitle=f"{own['subtitle'].iloc[0]}, {words}"), pairs_of(table))
            axis.set_xlabel("steps of the trajectory, T")
            style.percent_axis(axis, "" if axis is pair[1] else f"{SPLITS[rows['split'].iloc[0]]} accuracy")
        low, high = min(a.get_ylim()[0] for a in pair), max(a.get_ylim()[1] for a in pair)
        for axis in pair:
            axis.set_ylim(low, high)
    style.legend_above(figure, 5)
    levels = "Dotted: the last step of what has one permutation for all steps, or none, does not depend on T."
    budget = (
        "Standard training has had as many gradient evaluations as FGMT (2T), or as GMT (T + T(T + 1)/2)."
    )
    style.note(figure, remarks(splits_of(table), spread(table), levels, budget))
    return figure


@style.house_style()
def draw_widths(table: DataFrame) -> Figure:
    """Draw accuracy at the last step against the width of the net, a panel for each family of nets."""
    figure, axes = figure_of(table, 2.6 if table["panel"].nunique() == 1 else 2.3)
    for axis, rows in axes:
        _series(axis, rows, ())
        units = str(rows["net"].iloc[0]).startswith("MLP")
        axis.set_xlabel("units of each hidden layer, h" if units else "width, \N{GREEK SMALL LETTER RHO}")
        style.percent_axis(axis, f"{SPLITS[rows['split'].iloc[0]]} accuracy")
    style.legend_above(figure, 5)
    budget = (
        "Standard training has had as many gradient evaluations as FGMT (2T), or as GMT (T + T(T + 1)/2)."
    )
    style.note(figure, remarks(splits_of(table), spread(table), "At the last step.", budget))
    return figure


def _series(axis: Axes, rows: DataFrame, fixed: tuple[str, ...]) -> None:
    """Draw a line for each method along x, which doubles from tick to tick; `fixed` ones are levels too."""
    for method in methods_in(rows):
        own, look = rows[rows["method"] == method], style.look_of(method)
        draw_course(axis, own, look, pairs_of(rows))
        if method in fixed and len(own) == 1:
            axis.axhline(float(own["mean"].iloc[0]), color=look.color, linestyle=":", linewidth=0.8, zorder=1)
    values = sorted(rows["x"].unique())
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_locator(FixedLocator(values))
    axis.xaxis.set_major_formatter(FixedFormatter([f"{value:g}" for value in values]))
    axis.xaxis.set_minor_locator(NullLocator())
