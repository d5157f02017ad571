"""A table as a figure: weights before and after pruning, and the accuracy of every arm."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame, Series

from carryover.figures import style
from carryover.figures.iterand_panels import NOT_OURS, SPLITS, arms_in, source, spread
from carryover.figures.iterand_tables import final_accuracy, with_counts
from carryover.figures.settings import FigureSpec

_ROW = 0.19  # inches
_WEIGHTS, _LEFT = 0.31, 0.42  # right ends of the columns before the accuracies, of the width


def tabulate_parameters(results: DataFrame, spec: FigureSpec) -> DataFrame:
    """Tabulate weights before pruning, weights left, and the accuracy after the last step."""
    return with_counts(final_accuracy(results, spec.split), results)


@style.house_style()
def draw_parameters(table: DataFrame) -> Figure:
    """Draw a row for each net: its weights, what is left of them, and the accuracy of each arm."""
    nets = list(table.groupby(["dataset", "net"], sort=False))
    figure, (axis,) = style.new_figure(style.PAGE, _ROW * (len(nets) + 4) + 0.3)
    axis.set_axis_off()
    axis.set_xlim(0, 1)
    axis.set_ylim(len(nets) - 0.4, -3.5)
    arms = arms_in(table)
    ends = [_LEFT + (1 - _LEFT) * (index + 1) / len(arms) for index in range(len(arms))]
    _header(axis, table, dict(zip(arms, ends, strict=True)))
    for row, ((dataset, net), own) in enumerate(nets):
        axis.text(0, row, f"{net} on {dataset}" if table["dataset"].nunique() > 1 else f"{net}", va="center")
        pruned = own[own["arm"] != "dense"]
        _cell(axis, _WEIGHTS, row, _counts(own["num_weights"]))
        _cell(axis, _LEFT, row, _counts(pruned["num_left"]))
        for arm, end in zip(arms, ends, strict=True):
            found = own[own["arm"] == arm]
            _cell(axis, end, row, _accuracy(found, int(table["n"].max())) if len(found) else "")
    kept = "Left: kept by the masks of edge-popup and IteRand, biases not counted."
    style.note(figure, f"{source(table)} {spread(table, 'plus or minus')} {kept} {NOT_OURS}")
    return figure


def _header(axis: Axes, table: DataFrame, ends: dict[str, float]) -> None:
    split = SPLITS[table["split"].iloc[0]]
    axis.text(1, -2.9, f"{split} accuracy (%)", ha="right", va="center")
    axis.plot([_LEFT + 0.03, 1], [-2.4, -2.4], color="black", linewidth=0.4)
    heads = {arm: style.look_of(arm).label.replace(" ", "\n", 1) for arm in ends}
    axis.text(0, -0.9, "net", va="bottom")
    for place, name in (
        (_WEIGHTS, "weights"),
        (_LEFT, "left"),
        *((end, heads[arm]) for arm, end in ends.items()),
    ):
        axis.text(place, -0.9, name, ha="right", va="bottom", multialignment="right")
    for height in (-3.4, -0.6):
        axis.axhline(height, color="black", linewidth=0.6)


def _cell(axis: Axes, place: float, row: int, text: str) -> None:
    axis.text(place, row, text, ha="right", va="center")


def _counts(counts: Series) -> str:
    """Write a number of weights, or the smallest and the largest."""
    known = sorted({int(count) for count in counts.dropna()})
    if len(known) < 2:
        return f"{known[0]:,}" if known else ""
    return f"{known[0]:,} to {known[-1]:,}"


def _accuracy(rows: DataFrame, most: int) -> str:
    """Write mean and standard deviation in percent, and n where it is below `most`."""
    mean, sd, num_seeds = rows[["mean", "sd", "n"]].iloc[0]
    if num_seeds == 0:
        return "diverged"
    text = f"{100 * mean:.1f}" if num_seeds == 1 else f"{100 * mean:.1f} ± {100 * sd:.1f}"
    return text if num_seeds == most else f"{text} (n = {num_seeds:.0f})"
