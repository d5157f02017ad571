"""Ablations: accuracy along one setting at a time, a panel for each grid."""

from collections.abc import Mapping
from string import ascii_lowercase

import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.iterand_panels import NOT_OURS, SPLITS, arms_in, draw_means, panels, source, spread
from carryover.figures.iterand_tables import final_accuracy
from carryover.figures.settings import FigureSpec, Sweep

LABELS: dict[Sweep, str] = {
    "batch_size": "images of a step",
    "epochs": "epochs",
    "lr": "learning rate of the weights",
    "randomize_every": r"steps between two redraws, $K_\mathrm{per}$",
    "randomize_prob": "chance of a redraw, r",
    "rank": "weights are ranked by their",
    "scope": "sparsity holds",
    "score_lr": "learning rate of the scores",
    "sparsity": "fraction of weights pruned, p",
    "weight_decay": "weight decay",
}
CATEGORIES: dict[Sweep, dict[str, str]] = {
    "rank": {"raw": "score", "absolute": "absolute score"},
    "scope": {"layer": "in each layer", "global": "over all layers"},
}
LINEAR: tuple[Sweep, ...] = ("randomize_prob", "sparsity")
_APART = 0.16  # of a category's width, between arms


def tabulate_sweeps(results: DataFrame, spec: FigureSpec) -> DataFrame:
    """Tabulate the accuracy after the last step, for each grid by its setting.

    `x` is empty for a run whose method has no such setting.
    """
    tables = []
    for grid, setting, split in zip(spec.grids, spec.x, spec.split_of_grids, strict=True):
        rows = results[results["run"].isin(spec.runs[grid])]
        if setting not in rows or rows[setting].isna().all():
            raise ValueError(
                f"no run of the grid {grid} has the setting {setting}, which `x` of the figure names"
            )
        table = final_accuracy(rows, split, [setting]).rename(columns={setting: "x"})
        table.insert(0, "setting", setting)
        table.insert(0, "grid", grid)
        tables.append(table.astype({"x": object}))
    return pandas.concat(tables, ignore_index=True)


@style.house_style()
def draw_sweeps(table: DataFrame) -> Figure:
    """Draw a panel for each grid; every panel has its own net, data set and split."""
    grids = list(table.groupby("grid", sort=False))
    figure, axes = panels(len(grids), 2.0)
    for letter, axis, (_, rows) in zip(ascii_lowercase, axes, grids, strict=False):
        _panel(axis, rows, int(table["n"].max()))
        nets = ", ".join(dict.fromkeys(rows["net"]))
        axis.set_title(f"({letter}) {nets} on {rows['dataset'].iloc[0]}")
        style.percent_axis(axis, f"{SPLITS[rows['split'].iloc[0]]} accuracy")
    style.legend_above(figure, 2 if len(grids) == 1 else 5)
    levels = " Dotted: a method without the setting." if table["x"].isna().any() else ""
    style.note(
        figure, f"{source(table)} {spread(table, 'band or bar')} After the last epoch.{levels} {NOT_OURS}"
    )
    return figure


def _panel(axis: Axes, rows: DataFrame, most: int) -> None:
    setting = rows["setting"].iloc[0]
    axis.set_xlabel(LABELS[setting])
    if setting in CATEGORIES:
        _categories(axis, rows, CATEGORIES[setting], most)
        return
    rows = rows.assign(x=pandas.to_numeric(rows["x"]))
    for arm in arms_in(rows):
        draw_means(axis, rows[rows["arm"] == arm], "x", style.look_of(arm), most)
    if setting not in LINEAR:
        axis.set_xscale("log")
    values = sorted(rows["x"].dropna().unique())
    axis.xaxis.set_major_locator(FixedLocator(values))
    axis.xaxis.set_major_formatter(FixedFormatter([f"{value:g}" for value in values]))
    axis.xaxis.set_minor_locator(NullLocator())


def _categories(axis: Axes, rows: DataFrame, names: Mapping[str, str], most: int) -> None:
    """Draw points with bars, the arms of a category side by side."""
    arms = arms_in(rows)
    for index, arm in enumerate(arms):
        own = rows[(rows["arm"] == arm) & rows["x"].notna()]
        place = own["x"].map(list(names).index).to_numpy(float) + _APART * (index - (len(arms) - 1) / 2)
        mean, sd, num_seeds = (own[column].to_numpy(float) for column in ("mean", "sd", "n"))
        style.points_with_bars(axis, place, mean, sd, style.look_of(arm))
        style.mark_fewer(axis, place, mean, num_seeds.astype(int), most)
    axis.set_xticks(range(len(names)), list(names.values()))
    axis.set_xlim(-0.5, len(names) - 0.5)
