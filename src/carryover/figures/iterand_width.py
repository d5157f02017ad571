"""Figure 2: what width buys. Accuracy against the width of a net."""

from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
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
from carryover.figures.iterand_tables import final_accuracy
from carryover.figures.settings import FigureSpec


def tabulate_width(results: DataFrame, spec: FigureSpec) -> DataFrame:
    """Tabulate the accuracy after the last step by width.

    Raises ValueError for a perceptron whose hidden layers differ in size.
    """
    table = final_accuracy(results, spec.split, ["size"])
    uneven = table["net"][table["size"].isna()]
    if len(uneven):
        raise ValueError(
            f"{uneven.iloc[0]} has no single width: `draw: width` needs hidden layers of one size"
        )
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
            draw_means(axis, rows[rows["arm"] == arm], "size", style.look_of(arm), int(table["n"].max()))
        sizes = sorted(rows["size"].unique())
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_locator(FixedLocator(sizes))
        axis.xaxis.set_major_formatter(FixedFormatter([f"{size:g}" for size in sizes]))
        axis.xaxis.set_minor_locator(NullLocator())
        units = str(family).startswith("MLP")
        axis.set_xlabel("units of each hidden layer, h" if units else "width, \N{GREEK SMALL LETTER RHO}")
        axis.set_title(f"{family} on {dataset}")
    accuracy_axes(axes, table)
    style.legend_above(figure, 2 if len(families) == 1 else 5)
    style.note(figure, f"{source(table)} {spread(table)} After the last epoch. {NOT_OURS}")
    return figure
