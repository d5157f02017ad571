"""Figures 2 and 3: what width buys. Accuracy against the width of a net, and against the weights it keeps."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, LogLocator, NullLocator
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.iterand_panels import (
    NOT_OURS,
    accuracy_axis,
    arms_in,
    draw_means,
    panels,
    source,
    spread,
)
from carryover.figures.iterand_tables import final_accuracy, with_counts
from carryover.figures.settings import FigureSpec
from carryover.published.iterand import ACCURACIES, PublishedAccuracy


def tabulate_width(results: DataFrame, spec: FigureSpec) -> DataFrame:
    """Tabulate the accuracy after the last step by width.

    Raises ValueError for a perceptron whose hidden layers differ in size.
    """
    table = final_accuracy(results, spec.splits[0], ["size"])
    uneven = table["net"][table["size"].isna()]
    if len(uneven):
        raise ValueError(f"{uneven.iloc[0]} has no single width: `draw: width` needs hidden layers of one size")
    return table


@style.house_style()
def draw_width(table: DataFrame) -> Figure:
    """Draw accuracy against width, a panel for each family of nets, a line for each arm.

    Source: IteRand, figure 2 (section 4.1).
    """
    families = list(table.groupby(["dataset", "family"], sort=False))
    figure, axes = panels(len(families), 2.4)
    for axis, ((dataset, family), rows) in zip(axes, families, strict=True):
        for arm in arms_in(rows):
            draw_means(axis, rows[rows["arm"] == arm], "size", style.METHODS[arm], int(table["n"].max()))
        sizes = sorted(rows["size"].unique())
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_locator(FixedLocator(sizes))
        axis.xaxis.set_major_formatter(FixedFormatter([f"{size:g}" for size in sizes]))
        axis.xaxis.set_minor_locator(NullLocator())
        units = str(family).startswith("MLP")
        axis.set_xlabel("units of each hidden layer, h" if units else "width, ρ")
        axis.set_title(f"{family} on {dataset}")
    accuracy_axis(axes[0], table)
    style.legend_above(figure, 2 if len(families) == 1 else 5)
    style.note(figure, f"{source(table)} {spread(table)} After the last epoch. {NOT_OURS}")
    return figure


def tabulate_imagenet(results: DataFrame, spec: FigureSpec) -> DataFrame:
    """Tabulate the accuracy after the last step by the number of weights that are left.

    `published` is the number that a paper printed for the same setting on the same data, where there is one.
    """
    table = with_counts(final_accuracy(results, spec.splits[0]), results)
    runs = results.drop_duplicates("run").set_index("run").to_dict("index")
    return table.assign(published=[_published(runs[run]) for run in table["run"]])


def _published(settings: Mapping[object, object]) -> float:
    agreeing = [entry.accuracy for entry in ACCURACIES if _agrees(entry, settings)]
    return agreeing[0] if agreeing else float("nan")


def _agrees(entry: PublishedAccuracy, settings: Mapping[object, object]) -> bool:
    """Tell whether a run has every setting behind a published number; a second-hand number agrees with none."""
    return bool(entry.settings) and all(settings.get(key) == value for key, value in entry.settings.items())


@style.house_style()
def draw_imagenet(table: DataFrame) -> Figure:
    """Draw accuracy against the weights that are left, a panel for each data set, every point with its net.

    Source: IteRand, figure 3 (section 4.1). On another data set than ImageNet the note says so.
    """
    datasets = list(table.groupby("dataset", sort=False))
    figure, axes = panels(len(datasets), 2.6)
    for axis, (dataset, rows) in zip(axes, datasets, strict=True):
        for arm in arms_in(rows):
            own = rows[rows["arm"] == arm]
            draw_means(axis, own, "num_left", style.METHODS[arm], int(table["n"].max()))
            for point in own[own["published"].notna()].itertuples():
                style.published_marker(axis, point.num_left, point.published, style.METHODS[arm])
        _name_nets(axis, rows)
        _weights_axis(axis)
        axis.set_title(f"{dataset}")
    accuracy_axis(axes[0], table)
    style.legend_above(figure, 2 if len(datasets) == 1 else 5)
    scale = "" if set(table["dataset"]) == {"imagenet"} else "The design of figure 3 at a smaller scale, not ImageNet. "
    style.note(figure, f"{source(table)} {spread(table)} After the last epoch. {scale}{NOT_OURS}")
    return figure


def _name_nets(axis: Axes, rows: DataFrame) -> None:
    """Write the name of each net once, above its best point."""
    for _, points in rows[rows["n"] > 0].groupby("net", sort=False):
        best = points.loc[points["mean"].idxmax()]
        axis.annotate(
            best["net"],
            (best["num_left"], best["mean"]),
            (0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=style.SMALL,
        )


def _weights_axis(axis: Axes) -> None:
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("weights left after pruning")


def short(count: float) -> str:
    """Write a number of weights as people say it: 950, 8.8k, 11.2M."""
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.3g}{letter}"
    return f"{count:.0f}"
