"""Ablations: accuracy along one setting at a time, a panel for each grid."""

from dataclasses import dataclass

import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.iterand_panels import NOT_OURS, accuracy_axis, arms_in, draw_means, source, spread
from carryover.figures.iterand_tables import final_accuracy
from carryover.figures.settings import FigureSpec, Sweep


@dataclass(frozen=True)
class _Scale:
    """How a setting runs along an axis; the values of a category are named."""

    label: str
    log: bool = False
    names: tuple[tuple[str, str], ...] = ()


SCALES: dict[Sweep, _Scale] = {
    "batch_size": _Scale("images of a step", log=True),
    "epochs": _Scale("epochs", log=True),
    "lr": _Scale("learning rate of the weights", log=True),
    "randomize_every": _Scale("steps between two redraws, K_per", log=True),
    "randomize_prob": _Scale("chance of a redraw, r"),
    "rank": _Scale("weights are ranked by", names=(("raw", "score"), ("absolute", "absolute score"))),
    "scope": _Scale("sparsity holds", names=(("layer", "in each layer"), ("global", "over all layers"))),
    "score_lr": _Scale("learning rate of the scores", log=True),
    "sparsity": _Scale("fraction of weights pruned, p"),
    "weight_decay": _Scale("weight decay", log=True),
}


def tabulate_sweeps(results: DataFrame, spec: FigureSpec) -> DataFrame:
    """Tabulate the accuracy after the last step, for each grid by its setting.

    `x` is empty for a run whose method has no such setting.
    """
    tables = []
    for grid, setting, split in zip(spec.grids, spec.x, spec.splits, strict=True):
        rows = results[results["run"].isin(spec.runs[grid])]
        if setting not in rows or rows[setting].isna().all():
            raise ValueError(f"no run of the grid {grid} has the setting {setting}, which `x` of the figure names")
        table = final_accuracy(rows, split, [setting]).rename(columns={setting: "x"})
        table.insert(0, "setting", setting)
        table.insert(0, "grid", grid)
        tables.append(table.astype({"x": object}))
    return pandas.concat(tables, ignore_index=True)


@style.house_style()
def draw_sweeps(table: DataFrame) -> Figure:
    """Draw a panel for each grid; every panel has its own net, data set and split."""
    grids = list(table.groupby("grid", sort=False))
    rows_of_panels = -(-len(grids) // 2)
    figure, axes = style.new_figure(style.PAGE, 2.1 * rows_of_panels + 0.7, rows_of_panels, 2)
    for spare in axes[len(grids) :]:
        spare.remove()
    for letter, axis, (_, rows) in zip("abcdefghij", axes, grids, strict=False):
        _panel(axis, rows, int(table["n"].max()))
        nets = ", ".join(dict.fromkeys(rows["net"]))
        axis.set_title(f"({letter}) {nets} on {rows['dataset'].iloc[0]}")
        accuracy_axis(axis, rows)
    style.legend_above(figure, 5)
    levels = " Dotted: a method without the setting." if table["x"].isna().any() else ""
    style.note(figure, f"{source(table)} {spread(table)} After the last epoch.{levels} {NOT_OURS}")
    return figure


def _panel(axis: Axes, rows: DataFrame, most: int) -> None:
    scale = SCALES[rows["setting"].iloc[0]]
    order = [value for value, _ in scale.names]
    place = rows["x"].map(order.index, na_action="ignore") if order else pandas.to_numeric(rows["x"])
    rows = rows.assign(x=place.astype(float))
    for arm in arms_in(rows):
        draw_means(axis, rows[rows["arm"] == arm], "x", style.METHODS[arm], most)
    axis.set_xlabel(scale.label)
    if order:
        axis.set_xticks(range(len(order)), [name for _, name in scale.names])
        axis.set_xlim(-0.4, len(order) - 0.6)
        return
    values = sorted(rows["x"].dropna().unique())
    if scale.log:
        axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(values))
    axis.xaxis.set_major_formatter(FixedFormatter([f"{value:g}" for value in values]))
    axis.xaxis.set_minor_locator(NullLocator())
