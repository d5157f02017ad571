"""What the number of inner steps does: to accuracies, and to the error of a regression."""

import pandas
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.metaticket_looks import NORMS, SPLITS
from carryover.figures.metaticket_panels import (
    draw_levels,
    draw_places,
    grid_of,
    legend,
    level_note,
    looks_in,
    name,
    norm_note,
    spread,
    steps_note,
)
from carryover.figures.metaticket_settings import FewshotFigureSettings
from carryover.figures.metaticket_tables import levels, ordered, points, scored, table_of
from carryover.figures.transfer_panels import remarks
from carryover.io.fewshot import Results

_AXIS = "inner steps"


def tabulate_steps(results: Results, spec: FewshotFigureSettings) -> DataFrame:
    """Tabulate the accuracy of every method, as trained, by the number of inner steps (x) and the norm of the query."""
    return _tabulated(results, "accuracy")


def tabulate_sinusoid(results: Results, spec: FewshotFigureSettings) -> DataFrame:
    """Tabulate the mean squared error of every method, as trained, by the number of inner steps (x)."""
    return _tabulated(results, "mse")


def _tabulated(results: Results, metric: str) -> DataFrame:
    rows = scored(results, metric)
    rows = rows[(rows["adapted"] == "trained") & ~rows["test.ceiling"].astype(bool)]
    own = points(results, rows)
    own = own.assign(x=own["steps"], axis=_AXIS)
    known = [own, levels(results, own)] if metric == "accuracy" else [own]
    return ordered(table_of(pandas.concat(known)))


@style.house_style()
def draw_steps(table: DataFrame) -> Figure:
    """Draw accuracy against inner steps, a row for each panel and a column for each norm.

    Source: Meta-ticket, section 5.3 (steps curve).
    """
    looks = looks_in(table)
    norms = [norm for norm in NORMS if norm in set(table["norm"])]
    text = remarks(steps_note(table), norm_note(table), spread(table), level_note(table))
    figure, grid = grid_of(table, 2.3, text, len(norms))
    for axes, rows in grid:
        for axis, norm in zip(axes, norms, strict=True):
            own = rows[(rows["norm"] == norm) | rows["norm"].isna()]
            draw_places(axis, own, looks, sorted(rows["x"].dropna().unique()), column="x")
            draw_levels(axis, own)
            name(axis, rows, NORMS[norm])
            axis.set_xlabel(_AXIS)
        low, high = min(axis.get_ylim()[0] for axis in axes), max(axis.get_ylim()[1] for axis in axes)
        split = SPLITS[str(rows["split"].iloc[0])]
        for axis in axes:
            axis.set_ylim(low, high)
            style.percent_axis(axis, f"{split} accuracy" if axis is axes[0] else "")
    legend(figure, looks.values(), 4)
    return figure


@style.house_style()
def draw_sinusoid(table: DataFrame) -> Figure:
    """Draw mean squared error against inner steps, a panel for each net and number of points.

    Source: Meta-ticket, sections 5.1 (E8) and 4.3.
    """
    looks = looks_in(table)
    text = remarks(steps_note(table), spread(table), "Logarithmic axis.")
    figure, grid = grid_of(table, 2.6, text, 1)
    for (axis,), rows in grid:
        draw_places(axis, rows, looks, sorted(rows["x"].dropna().unique()), column="x")
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(ScalarFormatter())
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel(_AXIS)
        axis.set_ylabel("mean squared error")
    legend(figure, looks.values(), 4)
    return figure
