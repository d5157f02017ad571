"""Figure 1: how much to redraw. Accuracy against r, and along the training."""

from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.iterand_panels import (
    NOT_OURS,
    SPLITS,
    accuracy_axes,
    draw_course,
    draw_means,
    looks_by_rate,
    of_pair,
    panels,
    source,
    spread,
)
from carryover.figures.iterand_tables import along, final_accuracy
from carryover.figures.settings import FigureSpec

CHANCE = "chance of a redraw, r"


def tabulate_rate(results: DataFrame, spec: FigureSpec) -> DataFrame:
    """Tabulate the accuracy after the last step by r; edge-popup is r = 0."""
    return final_accuracy(results, spec.split, ["randomize_prob"])


@style.house_style()
def draw_rate(table: DataFrame) -> Figure:
    """Draw accuracy against r, a panel for each net.

    Source: IteRand, figure 1 (section 4.1), there with KU weights only.
    """
    nets = list(table.groupby(["dataset", "net"], sort=False))
    figure, axes = panels(len(nets), 2.3)
    rates = sorted(table["randomize_prob"].dropna().unique())
    table = table.assign(place=table["randomize_prob"].map(rates.index, na_action="ignore"))
    for axis, ((dataset, net), _) in zip(axes, nets, strict=True):
        rows = table[(table["dataset"] == dataset) & (table["net"] == net)]
        _rate_panel(axis, rows, int(table["n"].max()))
        axis.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
        axis.set_title(f"{net} on {dataset}")
        axis.set_xlabel(CHANCE)
    accuracy_axes(axes, table)
    style.legend_above(figure, 2 if len(nets) == 1 else 5)
    levels = "Dotted: the level of edge-popup, which is r = 0. r = 1 is naive randomization."
    style.note(figure, f"{source(table)} {spread(table)} After the last epoch. {levels} {NOT_OURS}")
    return figure


def _rate_panel(axis: Axes, rows: DataFrame, most: int) -> None:
    for weights in rows["weights"].unique():
        own = rows[(rows["weights"] == weights) & (rows["arm"] != "dense")]
        redrawn = style.look_of(f"iterand-{weights}")
        draw_means(axis, own, "place", redrawn, most)
        plain = style.look_of(f"popup-{weights}")
        for popup in own[own["arm"] == f"popup-{weights}"].itertuples():
            axis.axhline(popup.mean, color=plain.color, linestyle=":", linewidth=0.8)
            axis.plot(
                [popup.place],
                [popup.mean],
                **{**plain.drawn(), "linestyle": "none", "markersize": 6},
                zorder=3,
            )
    draw_means(axis, rows[rows["arm"] == "dense"], "place", style.look_of("dense"), most)


def tabulate_curves(results: DataFrame, spec: FigureSpec) -> DataFrame:
    """Tabulate the accuracy along the training by r.

    Raises ValueError when a run recorded that of its last epoch only.
    """
    table = along(results, "accuracy", spec.split, ["randomize_prob"])
    once = set(results["run"]) - set(table["run"][table.duplicated("run")])
    if once:
        raise ValueError(
            f"{min(once)} recorded no {spec.split} accuracy along its training: set `split` of the figure to the "
            "run's `curve`, or `curve` and `evaluate_every` of its recipe"
        )
    return table


@style.house_style()
def draw_curves(table: DataFrame) -> Figure:
    """Draw accuracy over epochs, a panel for each net and distribution of weights, a line for each r."""
    pairs = list(table.groupby(["dataset", "net", "weights"], sort=False))
    figure, axes = panels(len(pairs), 2.3)
    first: dict[object, Axes] = {}
    for axis, ((dataset, net, weights), rows) in zip(axes, pairs, strict=True):
        for pair, look in looks_by_rate(rows).items():
            named = replace(look, label=look.label.replace(f" ({str(weights).upper()})", ""))
            draw_course(axis, of_pair(rows, pair), named, int(table["n"].max()))
        axis.sharey(first.setdefault((dataset, net), axis))
        axis.set_title(f"{net} on {dataset}, {str(weights).upper()}")
        axis.set_xlabel("epoch")
        axis.legend(loc="lower right")
    accuracy_axes(axes, table)
    split = SPLITS[table["split"].iloc[0]]
    seen = f"Accuracy on the {split} images along the training. Edge-popup is r = 0, r = 1 is naive randomization."
    style.note(figure, f"{source(table)} {spread(table)} {seen} {NOT_OURS}")
    return figure
