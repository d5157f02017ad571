"""The theory of IteRand in four panels: what a redraw buys."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Real
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, StrMethodFormatter
from pandas import DataFrame

from carryover.figures import style

_ALPHA = "\N{GREEK SMALL LETTER ALPHA}"
_PLAIN = "#404040"
_APART = 0.24  # of a group's width, between goals of one precision
_WAYS = {
    "drawn once": "best of n weights, drawn once",
    "subset sum": "any sum of n weights, drawn once",
    "redrawn": "one weight, drawn R times",
}


@style.house_style()
def draw(tables: Mapping[str, DataFrame]) -> Figure:
    """Draw the four experiments; `tables` has the theory stage's `miss`, `width`, `subset_sum` and `network`.

    Source: IteRand, supplement, for the question; lemma, construction and constants are our reconstruction.
    """
    figure, axes = style.new_figure(style.PAGE, 5.3, 2, 2)
    _misses(axes[0], tables["miss"])
    _slots(axes[1], tables["width"])
    _subset_sums(axes[2], tables["subset_sum"])
    _networks(axes[3], tables["network"])
    style.note(figure, _remarks(tables))
    return figure


def _misses(axis: Axes, table: DataFrame) -> None:
    goals = list(table["alpha"].unique())
    cases = table.groupby(["eps", "delta"], sort=False)
    x = cases.ngroup() + _APART * (table["alpha"].map(goals.index) - (len(goals) - 1) / 2)
    for index, goal in enumerate(goals):
        look = style.series(index, f"{_ALPHA} = {goal:g}")
        seen = (table["alpha"] == goal) & (table["misses"] > 0)
        _observed(axis, x[seen].to_numpy(float), table[seen], look)
        unseen = (table["alpha"] == goal) & (table["misses"] == 0)
        limit = 3 / table["trials"][unseen]
        axis.errorbar(x[unseen], limit, yerr=limit / 2, uplims=True, fmt="none", color=look.color)
    axis.hlines(table["exact"], x - 0.1, x + 0.1, color="black", linewidth=0.8, label="exact")
    place = np.arange(cases.ngroups)
    accepted = cases["delta"].first()
    axis.hlines(
        accepted, place - 0.42, place + 0.42, color=_PLAIN, linestyle=":", linewidth=1.2, label="accepted, δ"
    )
    axis.set_yscale("log")
    axis.set_ylim(top=9)
    firsts = cases.first().reset_index()
    labels = [f"ε = {row.eps:g}\nR = {row.num_draws}, n = {row.num_slots}" for row in firsts.itertuples()]
    axis.set_xticks(place, labels)
    axis.set_ylabel("chance of a miss")
    axis.set_title(f"(a) No slot comes within ε of its goal {_ALPHA}")
    axis.legend(ncols=3, loc="upper left")


def _slots(axis: Axes, table: DataFrame) -> None:
    for index, (_, rows) in enumerate(table.groupby(["eps", "delta"], sort=False)):
        eps, delta = rows["eps"].iloc[0], rows["delta"].iloc[0]
        look = style.series(index, f"ε = δ = {eps:g}" if eps == delta else f"ε = {eps:g}, δ = {delta:g}")
        bound = "_" if index else "bound, nR = (2/ε) ln(1/δ)"  # one entry of the legend
        axis.plot(rows["num_draws"], rows["bound"], color="#d9d9d9", linewidth=4, label=bound)
        axis.plot(rows["num_draws"], rows["exact"], **look.drawn())
    _log_counts(axis)
    axis.set_xlabel("draws of each slot, R")
    axis.set_ylabel("slots needed, n")
    axis.set_title(f"(b) Redraws replace width one for one ({_ALPHA} = 1)")
    axis.legend(loc="upper right")


def _subset_sums(axis: Axes, table: DataFrame) -> None:
    for index, (method, label) in enumerate(_WAYS.items()):
        rows = table[table["method"] == method]
        bars = [rows["num_slots"] - rows["low"], rows["high"] - rows["num_slots"]]
        look = style.series(index, label)
        axis.errorbar(
            1 / rows["eps"], rows["num_slots"], yerr=bars, capsize=2, elinewidth=0.8, **look.drawn()
        )
    redrawn = table[table["method"] == "redrawn"]
    for inverse, num_draws in zip(1 / redrawn["eps"], redrawn["num_draws"], strict=True):
        axis.text(inverse, 1.4, f"R = {num_draws}", ha="center", fontsize=style.SMALL)
    _log_counts(axis)
    inverses = (1 / redrawn["eps"]).to_list()
    axis.set_xticks(inverses, [f"{inverse:g}" for inverse in inverses])
    axis.set_ylim(0.7, 5e3)
    axis.margins(x=0.1)
    axis.set_xlabel("precision, 1/ε")
    axis.set_ylabel("weights needed, n")
    axis.set_title(f"(c) A weight within ε of its goal, chance {1 - table['delta'].iloc[0]:g}")
    axis.legend(loc="upper left")


def _networks(axis: Axes, table: DataFrame) -> None:
    for index, (name, rows) in enumerate(table.groupby("dims", sort=False)):
        widest = rows.sort_values("fraction").iloc[-1]
        error = f"error ε/{widest.eps / widest.error_max:.0f}" if widest.observed > 0 else "never in reach"
        label = f"{name}, ε = {widest.eps:g}\nR = {widest.sufficient_draws:,}, {error}"
        look = style.series(index, label)
        _observed(axis, rows["fraction"].to_numpy(float), rows, look)
        axis.plot(rows["fraction"], rows["exact"], color=look.color, linestyle=look.line)
    axis.axhline(1 - table["delta"].max(), color=_PLAIN, linestyle=":", linewidth=0.8)
    axis.set_ylim(-0.03, 1.05)
    axis.set_xlabel("draws of each weight, in units of R")
    axis.set_ylabel("chance of success")
    axis.set_title("(d) All weights of a network within reach")
    axis.legend(loc="lower right")


def _observed(axis: Axes, x: Real[np.ndarray, " points"], rows: DataFrame, look: style.Look) -> None:
    observed, error = rows["observed"].to_numpy(float), rows["standard_error"].to_numpy(float)
    style.points_with_bars(axis, x, observed, error, look)


def _log_counts(axis: Axes) -> None:
    for scale, side in ((axis.set_xscale, axis.xaxis), (axis.set_yscale, axis.yaxis)):
        scale("log")
        side.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        side.set_minor_locator(NullLocator())


def _remarks(tables: Mapping[str, DataFrame]) -> str:
    unseen = (tables["miss"]["misses"] == 0).any()
    arrow = "; arrow: no miss seen, from 3/trials (95% limit) down" if unseen else ""
    trials = {name: f"{tables[name]['trials'].max():,.0f}" for name in ("miss", "subset_sum", "network")}
    return (
        f"Bars: one standard error (sums: of the quantile's rank). (a) {trials['miss']} trials{arrow}. "
        "(b) Exact; the hardest goal. (c) Single weights: exact, the hardest goal; sums: "
        f"{trials['subset_sum']} trials, all of 201 goals from -1 to 1 at once. "
        f"(d) {trials['network']} random networks, twice as deep and wide, for each target (layer sizes as "
        "given); lines: exact; dotted: chance wanted; error: the largest of networks within reach, on random "
        "inputs of norm 1. Lemma, construction and all constants are our reconstruction, not the paper's."
    )
