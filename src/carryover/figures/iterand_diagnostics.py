"""What happens inside a search: how masks turn over, which weights are never kept, how old the kept ones are."""

import pandas
from matplotlib.figure import Figure
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.iterand_panels import draw_course, looks_by_rate, of_pair, spread
from carryover.figures.iterand_tables import along
from carryover.figures.settings import FigureSpec

PANELS = {
    "turnover": "mask turnover (%)",
    "never_kept": "weights never kept so far (%)",
    "drawn_by": "kept weights drawn by then (%)",
}
MOST_NETS = 5  # rows of panels that a page holds


def tabulate_diagnostics(results: DataFrame, spec: FigureSpec) -> DataFrame:
    """Tabulate turnover and never-kept weights along the search, and when the kept weights were drawn last.

    `drawn_by` is the fraction of the finally kept weights whose last draw was at this step or before.
    Raises ValueError when no run recorded diagnostics, or there are more nets than a page holds.
    """
    if not results["metric"].eq("never_kept").any():
        raise ValueError("no run of this figure recorded diagnostics: set `diagnose_every` in the recipe")
    keys = ["randomize_prob", "diagnose_every"]
    tables = [along(_cumulative(results), metric, "none", keys).assign(quantity=metric) for metric in PANELS]
    table = pandas.concat(tables, ignore_index=True)
    if table.groupby(["dataset", "net"]).ngroups > MOST_NETS:
        raise ValueError(f"`draw: diagnostics` shows at most {MOST_NETS} nets: name grids with fewer")
    return table


def _cumulative(results: DataFrame) -> DataFrame:
    """Turn the fractions of kept weights by last draw into the fraction drawn so far, for each seed."""
    drawn = results[results["metric"] == "last_redraw"].sort_values(["run", "seed", "step"])
    total = drawn.groupby(["run", "seed"])["value"].cumsum()
    others = results[results["metric"] != "last_redraw"]
    return pandas.concat([others, drawn.assign(value=total, metric="drawn_by")], ignore_index=True)


@style.house_style()
def draw_diagnostics(table: DataFrame) -> Figure:
    """Draw three panels for each net, a line for each arm."""
    nets = list(table.groupby(["dataset", "net"], sort=False))
    figure, axes = style.new_figure(style.PAGE, 1.5 * len(nets) + 0.8, len(nets), len(PANELS))
    panels = iter(axes)
    for (dataset, net), rows in nets:
        for quantity in PANELS:
            axis = next(panels)
            shown = rows[rows["quantity"] == quantity]
            for pair, look in looks_by_rate(rows).items():
                draw_course(axis, of_pair(shown, pair), look, int(table["n"].max()))
            if quantity == "turnover":
                axis.set_yscale("log")
                axis.set_ylim(bottom=shown["mean"][shown["mean"] > 0].min() / 2)  # bands may reach below 0
            style.percent_axis(axis, "")
            if quantity == "turnover":
                named = f"{net}, on {dataset}" if table["dataset"].nunique() > 1 else str(net)
                axis.set_ylabel(named.replace(", ", "\n"))
    for axis, title in zip(axes, PANELS.values(), strict=False):
        axis.set_title(title)
    for axis in axes[-len(PANELS) :]:
        axis.set_xlabel("epoch")
    style.legend_above(figure, 4)
    style.note(figure, _remarks(table))
    return figure


def _remarks(table: DataFrame) -> str:
    every = " or ".join(f"{steps:g}" for steps in sorted(table["diagnose_every"].dropna().unique()))
    return (
        f"Trainings on {', '.join(table['dataset'].unique())}: their masks and weights, no images of any split. "
        f"{spread(table)} Turnover: weights whose place in the mask differs from that {every} steps before. "
        "Drawn by then: of the weights that the final mask keeps, those whose last draw was at this epoch or before; "
        "edge-popup draws all of them at the start."
    )
