"""The theory of IteRand in four panels: what a redraw buys."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, StrMethodFormatter
from pandas import DataFrame

from carryover.figures import style

_PLAIN = "#404040"
_APART = 0.24  # of a group's width, between goals of one precision


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
    cases = table[["eps", "delta", "num_draws", "num_slots"]].drop_duplicates().reset_index(drop=True)
    group = {eps: position for position, eps in enumerate(cases["eps"])}
    goals = list(dict.fromkeys(table["alpha"]))
    for index, goal in enumerate(goals):
        rows = table[table["alpha"] == goal]
        x = rows["eps"].map(group).to_numpy(float) + _APART * (index - (len(goals) - 1) / 2)
        look = style.series(index, f"α = {goal:g}")
        seen = (rows["misses"] > 0).to_numpy()
        observed, error = rows["observed"].to_numpy(), rows["standard_error"].to_numpy()
        style.points_with_bars(axis, x[seen], observed[seen], error[seen], look)
        ceiling = 3 / rows["trials"].to_numpy()
        axis.errorbar(
            x[~seen], ceiling[~seen], yerr=ceiling[~seen] / 2, uplims=True, fmt="none", color=look.color
        )
        axis.hlines(
            rows["exact"],
            x - 0.1,
            x + 0.1,
            color="black",
            linewidth=0.8,
            label="exact" if not index else None,
        )
    axis.hlines(
        cases["delta"],
        cases.index - 0.42,
        cases.index + 0.42,
        color=_PLAIN,
        linestyle=":",
        label="accepted, δ",
    )
    axis.set_yscale("log")
    axis.set_ylim(top=9)
    axis.set_xticks(
        list(cases.index),
        [f"ε = {row.eps:g}\nR = {row.num_draws}, n = {row.num_slots}" for row in cases.itertuples()],
    )
    axis.set_ylabel("chance of a miss")
    axis.set_title("(a) No slot comes within ε of its goal α")
    axis.legend(ncols=3, loc="upper left")


def _slots(axis: Axes, table: DataFrame) -> None:
    for index, ((eps, delta), rows) in enumerate(table.groupby(["eps", "delta"], sort=False)):
        look = style.series(index, f"ε = δ = {eps:g}" if eps == delta else f"ε = {eps:g}, δ = {delta:g}")
        bound = None if index else "bound, nR = (2/ε) ln(1/δ)"
        axis.plot(rows["num_draws"], rows["bound"], color="#d9d9d9", linewidth=4, label=bound)
        axis.plot(
            rows["num_draws"],
            rows["exact"],
            color=look.color,
            marker=look.marker,
            linestyle=look.line,
            label=look.label,
        )
    _log_counts(axis)
    axis.set_xlabel("draws of each slot, R")
    axis.set_ylabel("slots needed, n")
    axis.set_title("(b) Redraws replace width one for one (α = 1)")
    axis.legend(loc="upper right")


def _subset_sums(axis: Axes, table: DataFrame) -> None:
    labels = {
        "drawn once": "best of n weights, drawn once",
        "subset sum": "any sum of n weights, drawn once",
        "redrawn": "one weight, drawn R times",
    }
    for index, (method, label) in enumerate(labels.items()):
        rows = table[table["method"] == method]
        look = style.series(index, label)
        bars = [rows["num_slots"] - rows["low"], rows["high"] - rows["num_slots"]]
        axis.errorbar(
            1 / rows["eps"],
            rows["num_slots"],
            yerr=bars,
            color=look.color,
            marker=look.marker,
            linestyle=look.line,
            capsize=2,
            elinewidth=0.8,
            label=label,
        )
        if method == "redrawn":
            for row in rows.itertuples():
                axis.annotate(
                    f"R = {row.num_draws}",
                    (1 / row.eps, 1),
                    (0, 5),
                    textcoords="offset points",
                    ha="center",
                    fontsize=style.SMALL,
                )
    _log_counts(axis)
    axis.set_xticks(1 / table["eps"].unique(), [f"{1 / eps:g}" for eps in table["eps"].unique()])
    axis.set_ylim(0.7, 5e3)
    axis.margins(x=0.1)
    axis.set_xlabel("precision, 1/ε")
    axis.set_ylabel("weights needed, n")
    axis.set_title(f"(c) A weight within ε of its goal, chance {1 - table['delta'].iloc[0]:g}")
    axis.legend(loc="upper left")


def _networks(axis: Axes, table: DataFrame) -> None:
    for index, (name, rows) in enumerate(table.groupby("dims", sort=False)):
        widest = rows.loc[rows["fraction"].idxmax()]
        error = f"error ε/{widest.eps / widest.error_max:.0f}" if widest.observed > 0 else "never in reach"
        look = style.series(index, f"{name}, ε = {widest.eps:g}\nR = {widest.sufficient_draws:,}, {error}")
        style.points_with_bars(
            axis,
            rows["fraction"].to_numpy(),
            rows["observed"].to_numpy(),
            rows["standard_error"].to_numpy(),
            look,
        )
        axis.plot(rows["fraction"], rows["exact"], color=look.color, linestyle=look.line)
    axis.axhline(1 - table["delta"].max(), color=_PLAIN, linestyle=":", linewidth=0.8)
    axis.set_ylim(-0.03, 1.05)
    axis.set_xlabel("draws of each weight, in units of R")
    axis.set_ylabel("chance of success")
    axis.set_title("(d) All weights of a network within reach")
    axis.legend(loc="lower right")


def _log_counts(axis: Axes) -> None:
    for scale, side in ((axis.set_xscale, axis.xaxis), (axis.set_yscale, axis.yaxis)):
        scale("log")
        side.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        side.set_minor_locator(NullLocator())


def _remarks(tables: Mapping[str, DataFrame]) -> str:
    misses, sums, nets = tables["miss"], tables["subset_sum"], tables["network"]
    return (
        f"(a) {misses['trials'].max():,} trials for each point; bars: one standard error; arrow: no miss seen, "
        "from 3/trials (95% limit) down. (b) Exact; the hardest goal. (c) Single weights: exact, the hardest goal. "
        f"Sums: {sums['trials'].max():,.0f} trials, 201 goals on [−1, 1] at once; bars: the quantile's rank, one "
        f"standard error up and down. (d) {nets['trials'].max():,} random networks for each target, layer sizes as "
        "given, hidden layers twice as wide; lines: exact; dotted: 1 − δ; errors: the largest of networks within reach, on "
        "random inputs of norm 1. Lemma, construction and all constants are our reconstruction, not the paper's."
    )
