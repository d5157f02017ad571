"""What happens along a meta-training: accuracy on training and validation tasks, and sparsity layer by layer."""

from collections.abc import Sequence

import pandas
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy import interp, linspace
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.metaticket_panels import (
    draw_course,
    draw_levels,
    figure_of,
    grid_of,
    legend,
    level_note,
    looks_in,
    name,
    seeds_of,
    spread,
)
from carryover.figures.metaticket_settings import FewshotFigureSettings
from carryover.figures.metaticket_tables import cells_of, ordered, over_seeds, table_of
from carryover.figures.style import Look
from carryover.figures.transfer_panels import remarks
from carryover.io.fewshot import Results

_OUTER = "outer steps"
_SPLITS = {"train": "training tasks", "val": "validation tasks"}
_SCORES = {"accuracy": "accuracy", "mse": "mean squared error"}
_NAMED = 6
"""Layers that have markers and that a legend names one by one; of more it names first, middle and last."""
_MARKERS = "osD^vP"


def tabulate_curves(results: Results, spec: FewshotFigureSettings) -> DataFrame:
    """Tabulate accuracy (or mean squared error) of every training by outer step (x), on training and validation tasks.

    `steps` are the inner steps that were taken. On training tasks the score is the mean since the last evaluation. A
    seed that diverged counts in `part` diverged: x is the step that ended it.
    Raises ValueError when no training has been evaluated.
    """
    rows = results.rows[results.rows["kind"] == "training"]
    scores = rows[rows["metric"].isin(list(_SCORES)) & rows["split"].isin(list(_SPLITS))]
    if scores.empty:
        raise ValueError("no training of this figure was evaluated along the way: name others in `trainings`")
    cells = cells_of(rows)
    found = over_seeds(scores, ["run", "split", "metric", "step"]).assign(part="course")
    ended = rows[rows["metric"] == "diverged"]
    gone = over_seeds(ended, ["run", "split", "metric", "step"]).assign(part="diverged")
    table = pandas.concat([found, gone] if len(gone) else [found]).merge(cells, on="run")
    runs = rows.drop_duplicates("run").set_index("run")
    lengths = {"train": runs["training.inner_steps"], "val": runs["training.val_steps"]}
    lengths["val"] = lengths["val"].fillna(lengths["train"])
    table["steps"] = [
        lengths[str(split)][run] for split, run in zip(table["split"], table["run"], strict=True)
    ]
    table = table.rename(columns={"step": "x", "metric": "quantity"})
    panels = table[table["quantity"] == "accuracy"].drop_duplicates("panel")
    chance = panels[["panel", "title", "subtitle"]].assign(
        part="chance", mean=[1 / runs["ways"][run] for run in panels["run"]]
    )
    return ordered(table_of(pandas.concat([table, chance]).assign(axis=_OUTER)))


def tabulate_sparsity(results: Results, spec: FewshotFigureSettings) -> DataFrame:
    """Tabulate the pruned fraction of every masked tensor (`place`, in the order of the net) by outer step (x).

    Every training has a panel of its own.
    Raises ValueError when no training has masks.
    """
    rows = results.rows[results.rows["kind"] == "training"]
    own = rows[rows["metric"].str.startswith("sparsity/")]
    if own.empty:
        raise ValueError("no training of this figure has masks: name trainings of metaticket or meta-lth")
    found = over_seeds(own, ["run", "metric", "step"]).assign(
        part="course", quantity="sparsity", split="none"
    )
    found["place"] = found["metric"].str.removeprefix("sparsity/")
    table = found.merge(cells_of(own), on="run").rename(columns={"step": "x"}).assign(axis=_OUTER)
    table["title"] = table["label"] + ", " + table["title"]
    table["panel"] = table["label"] + ", " + table["panel"]
    return ordered(table_of(table))


@style.house_style()
def draw_curves(table: DataFrame) -> Figure:
    """Draw accuracy against outer steps, a row for each panel: on training tasks and on validation tasks."""
    looks = looks_in(table)
    gone = table[table["part"] == "diverged"]
    text = remarks(
        "Training tasks: mean since the last evaluation; validation tasks: the same ones at every step, for every "
        "method and seed.",
        spread(table[table["part"] == "course"], "band"),
        f"Crosses: where seeds diverged and ended ({int(gone['n'].sum())} in all)." if len(gone) else "",
        level_note(table),
    )
    figure, grid = grid_of(table, 2.2, text, len(_SPLITS))
    for axes, rows in grid:
        for axis, (split, words) in zip(axes, _SPLITS.items(), strict=True):
            own = rows[rows["split"] == split]
            _curves(axis, own, looks, seeds_of(table))
            name(axis, rows, f"{words}{_after(own)}")
        quantity = str(rows["quantity"][rows["part"] == "course"].iloc[0])
        low, high = min(axis.get_ylim()[0] for axis in axes), max(axis.get_ylim()[1] for axis in axes)
        for axis in axes:
            axis.set_ylim(low, high)
            draw_levels(axis, rows)
            if quantity == "accuracy":
                style.percent_axis(axis, "accuracy" if axis is axes[0] else "")
        if quantity != "accuracy":
            axes[0].set_ylabel(_SCORES[quantity])
    legend(figure, looks.values(), 4)
    return figure


def _after(rows: DataFrame) -> str:
    """Say after how many inner steps scores are, where it is one number."""
    found = [int(each) for each in rows["steps"].dropna().unique()]
    return f", after {found[0]} inner step{'s' * (found != [1])}" if len(found) == 1 else ""


def _curves(axis: Axes, rows: DataFrame, looks: dict[str, Look], most: int) -> None:
    """Draw the courses of a panel; a net that is measured once only (a random network) is a level."""
    for label, look in looks.items():
        own = rows[(rows["label"] == label) & (rows["part"] == "course")]
        if len(own) == 1:
            axis.axhline(float(own["mean"].iloc[0]), color=look.color, linestyle=look.line, linewidth=0.9)
        elif len(own):
            draw_course(axis, own, look, most)
            gone = rows[(rows["label"] == label) & (rows["part"] == "diverged")]
            along = own.sort_values("x")
            height = interp(
                gone["x"].to_numpy(float), along["x"].to_numpy(float), along["mean"].to_numpy(float)
            )
            axis.plot(gone["x"], height, "x", color=look.color, markersize=6)
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.set_xlabel(_OUTER)


@style.house_style()
def draw_sparsity(table: DataFrame) -> Figure:
    """Draw the pruned fraction of every masked tensor against outer steps, a panel for each training.

    Source: Meta-ticket, section 5.1 (D1).
    """
    deepest = max((rows["place"].nunique() for _, rows in table.groupby("panel")), default=1)
    text = remarks(
        spread(table, "band"),
        "Layers from light (first) to dark (last). Sparsity is the pruned fraction of a weight tensor; no term of "
        "Meta-ticket's loss asks for it.",
    )
    figure, pairs = figure_of(table, 2.2, text)
    named: dict[str, Look] = {}
    for axis, rows in pairs:
        layers = list(rows["place"].unique())
        looks = _shades(layers)
        for layer in layers:
            draw_course(axis, rows[rows["place"] == layer], looks[layer], seeds_of(table))
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.set_xlabel(_OUTER)
        style.percent_axis(axis, "sparsity")
        if len(layers) == deepest and not named:
            kept = layers if len(layers) <= _NAMED else [layers[0], layers[len(layers) // 2], layers[-1]]
            named = {layer: looks[layer] for layer in kept}
    top = max(axis.get_ylim()[1] for axis, _ in pairs)
    for axis, _ in pairs:
        axis.set_ylim(0, top)
    legend(figure, named.values(), 4)
    return figure


def _shades(layers: Sequence[str]) -> dict[str, Look]:
    """Give layers greys from light to dark, and markers where they are few."""
    tones = linspace(0.75, 0.0, len(layers))
    return {
        layer: Look(layer, to_hex((tone, tone, tone)), _MARKERS[number] if len(layers) <= _NAMED else "")
        for number, (layer, tone) in enumerate(zip(layers, tones, strict=True))
    }
