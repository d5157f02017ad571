"""What a transfer costs, as a table: gradient evaluations, cached bytes, seconds, and what they buy."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import isnan
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.transfer_panels import FAINT, remarks, splits_of, spread
from carryover.figures.transfer_published import Row
from carryover.figures.transfer_settings import TransferFigureSpec
from carryover.figures.transfer_tables import (
    measured,
    named_cells,
    over_pairs,
    shown_methods,
    table_of,
    titles,
    trajectory,
)
from carryover.io.recipes import at_last, at_selected, recipes

QUANTITIES = {
    "num_gradients": "gradient\nevaluations",
    "cache_bytes": "cached\ngradients",
    "seconds": "seconds",
    "accuracy": "accuracy (%)",
}
_ROW = 0.17  # inches
_ENDS = (0.46, 0.62, 0.8, 1.0)  # right ends of the columns, of the width


def tabulate_cost(results: DataFrame, spec: TransferFigureSpec) -> DataFrame:
    """Tabulate what each method has cost at the last step, and its accuracy at the selected one.

    `quantity` is `num_gradients` (of source and target, each the mean over the mini-batches of a step),
    `cache_bytes`, `seconds` where they were recorded, or `accuracy`.
    """
    split = spec.shown_split
    accuracies = measured(results, "transfer", "accuracy", split)
    known = recipes(results)
    out: list[Row] = []
    for run in accuracies["run"].unique():
        own = results[(results["kind"] == "transfer") & (results["run"] == run)]
        cells = titles(
            known["transfer", str(run)],
            str(run),
            trajectory(known["transfer", str(run)], int(own["step"].max())),
        )
        selected = at_selected(own, accuracies[accuracies["run"] == run])
        methods = shown_methods(accuracies["method"][accuracies["run"] == run], spec)
        for quantity in QUANTITIES:
            rows = selected if quantity == "accuracy" else at_last(own[own["metric"] == quantity])
            means = over_pairs(rows, ["method"]).set_index("method", drop=False)
            kept: Row = {
                **cells,
                "part": "cost",
                "quantity": quantity,
                "split": split if quantity == "accuracy" else "none",
            }
            out += [{**kept, **named_cells(means.loc[m].to_dict())} for m in methods if m in means.index]
    return table_of(out)


@style.house_style()
def draw_cost(table: DataFrame) -> Figure:
    """Draw a group of lines for each run, a line for each method.

    Source: none in the paper, which has no such table; asked for by its reviewers.
    """
    groups = [rows for _, rows in table.groupby("panel", sort=False)]
    lines = sum(rows["method"].nunique() + 1.4 for rows in groups)
    figure, (axis,) = style.new_figure(style.PAGE, _ROW * (lines + 2.5) + 0.5)
    axis.set_axis_off()
    axis.set_xlim(0, 1)
    axis.set_ylim(lines - 0.4, -2.2)
    for end, words in zip(_ENDS, QUANTITIES.values(), strict=True):
        axis.text(end, -0.8, words, ha="right", va="bottom", multialignment="right")
    for height in (-2.3, -0.6):
        axis.axhline(height, color="black", linewidth=0.6)
    top = 0.0
    for rows in groups:
        top = _group(axis, rows, top)
    style.note(figure, _remarks(table))
    return figure


def _group(axis: Axes, rows: DataFrame, top: float) -> float:
    """Write the lines of one run; return where the next begins."""
    first = rows.iloc[0]
    axis.text(0, top, str(first["title"]), va="center", fontweight="bold", fontsize=style.TEXT - 1)
    axis.text(1, top, str(first["subtitle"]), va="center", ha="right", fontsize=style.SMALL, color=FAINT)
    for method in style.in_order(rows["method"]):
        top += 1
        look = style.look_of(method)
        axis.plot([0.015], [top], look.marker, color=look.color, markersize=3)
        axis.text(0.035, top, look.label, va="center", fontsize=style.TEXT - 1)
        for end, quantity in zip(_ENDS, QUANTITIES, strict=True):
            own = rows[(rows["method"] == method) & (rows["quantity"] == quantity)]
            text = _cell(own, quantity) if len(own) else "\N{EN DASH}"
            axis.text(end, top, text, ha="right", va="center", fontsize=style.TEXT - 1)
    return top + 1.4


def _cell(rows: DataFrame, quantity: str) -> str:
    mean, sd = float(rows["mean"].iloc[0]), float(rows["sd"].iloc[0])
    if quantity == "num_gradients":
        return f"{mean:,.0f}"
    if quantity == "cache_bytes":
        return size(mean)
    if quantity == "seconds" and mean < 0.05:
        return "< 0.1"
    scale = 100 if quantity == "accuracy" else 1
    digits = 1 if quantity == "accuracy" else max(0, 2 - len(f"{mean:.0f}"))
    text = f"{scale * mean:.{digits}f}"
    return text if isnan(sd) else f"{text} ± {scale * sd:.{digits}f}"


def size(num_bytes: float) -> str:
    """Write a number of bytes as people say it: 0, 850 B, 3.4 MB."""
    for unit, letters in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if num_bytes >= unit:
            return f"{num_bytes / unit:.3g} {letters}"
    return f"{num_bytes:.0f} B" if num_bytes else "0"


def _remarks(table: DataFrame) -> str:
    seconds = "Seconds: gradients and matching, on the machine that ran them; no evaluation."
    return remarks(
        splits_of(table),
        spread(table, "plus or minus"),
        "Gradients of source and target up to the last step, one for each mean over a step's mini-batches. Accuracy: "
        "at the step which validation selected, at the last one for source and standard training.",
        seconds if (table["quantity"] == "seconds").any() else "",
    )
