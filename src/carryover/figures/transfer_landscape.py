"""Lines between solutions and the loss barriers on them, as in the first version of the paper."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.transfer_panels import draw_course, methods_in, name, pairs_of, remarks, spread
from carryover.figures.transfer_published import Row
from carryover.figures.transfer_settings import TransferFigureSpec
from carryover.figures.transfer_tables import (
    measured,
    named_cells,
    over_pairs,
    shown_methods,
    table_of,
    titles,
)
from carryover.io.recipes import recipes

ENDS = {"source": "X to the permuted source", "target": "X to the trained target"}
BARRIERS = {"source": "X and\nsource*", "target": "X and\ntarget", "between": "source*\nand target"}
_APART = 0.14  # of a category's width, between methods


def tabulate_landscape(results: DataFrame, spec: TransferFigureSpec) -> DataFrame:
    """Tabulate losses along lines and their barriers by method.

    `part` is `course` (x is 0 at X, the end of the method, and 1 at the other end; `quantity` names that) or
    `barrier` (`quantity` names the two ends).
    """
    known = recipes(results)
    rows = measured(results, "landscape", "target_loss", "val")
    out: list[Row] = []
    for run in rows["run"].unique():
        cells = titles(known["landscape", str(run)], str(run))
        own = results[(results["kind"] == "landscape") & (results["run"] == run)]
        methods = shown_methods(rows["method"][rows["run"] == run], spec)
        for end in ENDS:
            losses = own[(own["metric"] == f"{end}_loss") & (own["split"] == "val")]
            course = over_pairs(losses.assign(x=losses["step"] / 100), ["method", "x"])
            out += _rows(course, methods, {**cells, "part": "course", "quantity": end, "split": "val"})
        for between in BARRIERS:
            heights = over_pairs(own[own["metric"] == f"barrier_{between}"], ["method"])
            out += _rows(heights, methods, {**cells, "part": "barrier", "quantity": between, "split": "val"})
    return table_of(out)


def _rows(means: DataFrame, methods: list[str], cells: Row) -> list[Row]:
    return [
        {**cells, **named_cells(row)}
        for method in methods
        for row in means[means["method"] == method].to_dict("records")
    ]


@style.house_style()
def draw_landscape(table: DataFrame) -> Figure:
    """Draw a row for each run: loss from each method's end to the source and to the target, and the barriers.

    Source: learning transfer, section 3 (E3a: the first version of the paper; its numbers are not known).
    """
    panels = [rows for _, rows in table.groupby("panel", sort=False)]
    figure, axes = style.new_figure(style.PAGE, 2.2 * len(panels) + 0.9, len(panels), 3)
    for number, rows in enumerate(panels):
        row = axes[3 * number : 3 * number + 3]
        for axis, (end, words) in zip(row, ENDS.items(), strict=False):
            own = rows[(rows["part"] == "course") & (rows["quantity"] == end)]
            for method in methods_in(own):
                draw_course(axis, own[own["method"] == method], style.look_of(method), pairs_of(rows))
            first = axis is row[0]
            name(axis, rows if first else rows.assign(title="", subtitle=""), pairs_of(table) if first else 0)
            axis.set_xlabel(words)
            axis.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        high = max(axis.get_ylim()[1] for axis in row[:2])
        for axis in row[:2]:
            axis.set_ylim(0, high)
        row[0].set_ylabel("validation loss (nats per example)")
        _barriers(row[2], rows[rows["part"] == "barrier"])
    style.legend_above(figure, 6)
    style.note(figure, remarks(_of(table), spread(table, "band or bar"), _REMARKS))
    return figure


_REMARKS = (
    "X: the target with the source's whole trajectory added under the method's permutation. Source*: the trained "
    "source under that permutation; it differs from X by the two starts only. Barrier: the highest loss above the "
    "straight line between those of the two ends."
)


def _of(table: DataFrame) -> str:
    known = table[table["dataset"].notna() & (table["dataset"] != "")]
    named = (known["net"] + " on " + known["dataset"]).unique()
    return f"{'; '.join(named)}, validation images." if len(named) else ""


def _barriers(axis: Axes, rows: DataFrame) -> None:
    methods = methods_in(rows)
    for number, method in enumerate(methods):
        own = rows[rows["method"] == method]
        apart = _APART * (number - (len(methods) - 1) / 2)
        place = own["quantity"].map(list(BARRIERS).index).to_numpy(float) + apart
        mean, sd = own["mean"].to_numpy(float), own["sd"].to_numpy(float)
        style.points_with_bars(axis, place, mean, sd, style.look_of(method))
    axis.set_xticks(range(len(BARRIERS)), list(BARRIERS.values()))
    axis.set_xlim(-0.5, len(BARRIERS) - 0.5)
    axis.set_ylabel("barrier (nats per example)")
    axis.axhline(0, color="#d9d9d9", linewidth=0.6, zorder=0)
