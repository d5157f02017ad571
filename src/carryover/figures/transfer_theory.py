"""The theorem's simulation: how near a permutation brings the expected gradients of two random nets."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.style import Look
from carryover.figures.transfer_panels import FAINT, remarks

PAIRINGS = {
    "identity": "no pairing",
    "parameters": "by parameters (proof)",
    "gradients": "by gradients (GMT)",
}
LABELS = {
    "dependent": "y depends on x",
    "independent": "y independent of x",
    "without output": "y depends on x, output of the net as zero",
}
_KEYS = ["labels", "inputs", "pairing"]
_FITTED = 64
"""Widths from here on count for the measured slope: the rate is of wide nets."""


def tabulate(theory: DataFrame) -> DataFrame:
    """Average the simulation over seeds: distance and cosine by labels, inputs, pairing and width.

    `slope` is the exponent of the width in the distance, fitted to the wide nets by least squares in logarithms;
    `predicted` the exponent that the proof's pairing should have.
    """
    groups = theory.groupby([*_KEYS, "width"], sort=False)
    table = groups["distance"].agg(mean="mean", sd="std", n="count").reset_index()
    table["cosine"] = groups["cosine"].mean().to_numpy()
    table["predicted"] = groups["slope"].first().to_numpy(float)
    slopes = {key: _slope(rows) for key, rows in table.groupby(_KEYS, sort=False)}
    table["slope"] = [slopes[tuple(row)] for row in table[_KEYS].itertuples(index=False)]
    return table


def _slope(rows: DataFrame) -> float:
    wide = rows[rows["width"] >= _FITTED]
    if len(wide) < 2:
        wide = rows
    if len(wide) < 2:
        return float("nan")
    return float(
        np.polyfit(np.log(wide["width"].to_numpy(float)), np.log(wide["mean"].to_numpy(float)), 1)[0]
    )


@style.house_style()
def draw(table: DataFrame) -> Figure:
    """Draw distance against width on logarithmic axes: a row for each kind of labels, a column for each d.

    Source: learning transfer, section 5 (Theorem 3.1).
    """
    labels = [each for each in LABELS if each in set(table["labels"])]
    inputs = sorted(table["inputs"].unique())
    figure, axes = style.new_figure(style.PAGE, 1.75 * len(labels) + 1.0, len(labels), len(inputs))
    panels = iter(axes)
    for kind in labels:
        for number in inputs:
            axis = next(panels)
            rows = table[(table["labels"] == kind) & (table["inputs"] == number)]
            for index, (pairing, words) in enumerate(PAIRINGS.items()):
                _line(axis, rows[rows["pairing"] == pairing], style.series(index, words))
            _slopes(axis, rows)
            _frame(axis, [float(width) for width in sorted(table["width"].unique())])
            axis.set_title(f"d = {number}" if kind == labels[0] else "")
            if number == inputs[0]:
                axis.set_ylabel(f"distance\n{LABELS[kind].replace(', ', chr(10))}")
            if kind == labels[-1]:
                axis.set_xlabel("hidden units, N")
    low, high = min(a.get_ylim()[0] for a in axes), max(a.get_ylim()[1] for a in axes)
    for axis in axes:
        axis.set_ylim(low, high)
    style.legend_above(figure, 3)
    style.note(figure, _remarks(table))
    return figure


def _line(axis: Axes, rows: DataFrame, look: Look) -> None:
    rows = rows.sort_values("width")
    if rows.empty:
        return
    x, mean, sd = (rows[column].to_numpy(float) for column in ("width", "mean", "sd"))
    style.line_with_band(axis, x, mean, np.minimum(sd, 0.95 * mean), look)
    predicted = float(rows["predicted"].iloc[0])
    if not np.isnan(predicted):
        axis.plot(
            x, mean[0] * (x / x[0]) ** predicted, color=FAINT, linestyle=(0, (1, 2)), linewidth=0.9, zorder=1
        )


def _slopes(axis: Axes, rows: DataFrame) -> None:
    """Write the measured slopes one below the other, in the colours of their lines."""
    for index, pairing in enumerate(PAIRINGS):
        slopes = rows["slope"][rows["pairing"] == pairing]
        if len(slopes):
            words = f"slope {slopes.iloc[0]:+.2f}".replace("-", "\N{MINUS SIGN}")
            place, color = (0.03, 0.21 - 0.08 * index), style.series(index, "").color
            axis.text(*place, words, fontsize=style.SMALL, color=color, transform=axis.transAxes)


def _frame(axis: Axes, widths: list[float]) -> None:
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.xaxis.set_major_locator(FixedLocator(widths))
    axis.xaxis.set_major_formatter(FixedFormatter([f"{width:g}" for width in widths]))
    axis.xaxis.set_minor_locator(NullLocator())
    ticks = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
    axis.yaxis.set_major_locator(FixedLocator(list(ticks)))
    axis.yaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in ticks]))
    axis.yaxis.set_minor_locator(NullLocator())


def _remarks(table: DataFrame) -> str:
    most = int(table["n"].max())
    return remarks(
        f"Mean of n = {most} pairs of nets; band: one standard deviation. Distance: ||a - b|| / sqrt(||a|| ||b||) of "
        f"the two expected gradients, one permuted. Slope: in these axes, from N = {_FITTED} on; dotted: the slope "
        "\N{MINUS SIGN}1/(d + 1) that is expected of the pairing by parameters, drawn from its first point.",
        "The proof takes the output of a net at its start as zero."
        if "without output" in set(table["labels"])
        else "",
    )
