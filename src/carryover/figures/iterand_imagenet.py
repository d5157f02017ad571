"""Figure 3: accuracy against the weights that a net has left."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.iterand_panels import (
    NOT_OURS,
    accuracy_axes,
    arms_in,
    draw_means,
    panels,
    source,
    spread,
)
from carryover.figures.iterand_tables import final_accuracy, with_counts
from carryover.figures.settings import FigureSpec
from carryover.io.results import plain_rows
from carryover.published.iterand import ACCURACIES, PublishedAccuracy

SMALLER = "The design of figure 3 at a smaller scale, not ImageNet."


def tabulate_imagenet(results: DataFrame, spec: FigureSpec) -> DataFrame:
    """Tabulate the accuracy after the last step by the number of weights that are left.

    `published` is the number that a paper printed for the same setting on the same data, where there is one.
    """
    table = with_counts(final_accuracy(results, spec.split), results)
    runs = {row["run"]: row for row in plain_rows(results.drop_duplicates("run"))}
    return table.assign(published=[_published(runs[run]) for run in table["run"]])


def _published(settings: Mapping[str, object]) -> float:
    agreeing = [entry.accuracy for entry in ACCURACIES if _agrees(entry, settings)]
    return agreeing[0] if agreeing else float("nan")


def _agrees(entry: PublishedAccuracy, settings: Mapping[str, object]) -> bool:
    """Tell whether a run has every setting behind a published number; a second-hand number agrees with none."""
    return bool(entry.settings) and all(settings.get(key) == value for key, value in entry.settings.items())


@style.house_style()
def draw_imagenet(table: DataFrame) -> Figure:
    """Draw accuracy against the weights that are left, a panel for each data set, every point with its net.

    Source: IteRand, figure 3 (section 4.1). On another data set than ImageNet the note says so.
    """
    datasets = list(table[table["n"] > 0].groupby("dataset", sort=False))
    figure, axes = panels(len(datasets), 2.6)
    for axis, (dataset, rows) in zip(axes, datasets, strict=True):
        for arm in arms_in(rows):
            own = rows[rows["arm"] == arm]
            draw_means(axis, own, "num_left", style.look_of(arm), int(table["n"].max()))
            printed = own[own["published"].notna()]
            for left, accuracy in zip(printed["num_left"], printed["published"], strict=True):
                style.published_marker(axis, float(left), float(accuracy), style.look_of(arm))
        _name_nets(axis, rows)
        _weights_axis(axis)
        axis.set_title(f"nets on {dataset}")
    accuracy_axes(axes, table)
    style.legend_above(figure, 2 if len(datasets) == 1 else 5)
    small = "" if set(table["dataset"]) == {"imagenet"} else f"{SMALLER} "
    left = "Left: kept by the mask, or all that weight training trains."
    style.note(figure, f"{source(table)} {spread(table)} After the last epoch. {left} {small}{NOT_OURS}")
    return figure


def _name_nets(axis: Axes, rows: DataFrame) -> None:
    """Write the name of each net above its trained point, and below its pruned ones."""
    for (net, left), points in rows.groupby(["net", "num_left"], sort=False):
        trained = "dense" in set(points["arm"])
        height = points["mean"].max() if trained else points["mean"].min()
        apart, side, edge = ((0, 5), "center", "bottom") if trained else ((4, -3), "left", "top")
        name = axis.annotate(
            str(net), (left, height), apart, textcoords="offset points", fontsize=style.SMALL
        )
        name.set(ha=side, va=edge, path_effects=[withStroke(linewidth=1.5, foreground="white")])


def _weights_axis(axis: Axes) -> None:
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("weights left after pruning")
    axis.margins(x=0.12, y=0.1)


def short(count: float) -> str:
    """Write a number of weights as people say it: 950, 8.8k, 11.2M."""
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.3g}{letter}"
    return f"{count:.0f}"
