"""Results side by side: what is adapted (body against classifier), and which data set the tasks are of."""

from collections.abc import Callable, Mapping, Sequence

import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.metaticket_looks import ADAPTED, SPLITS
from carryover.figures.metaticket_panels import (
    draw_levels,
    draw_places,
    figure_of,
    legend,
    level_note,
    looks_in,
    norm_note,
    spread,
    steps_note,
)
from carryover.figures.metaticket_settings import FewshotFigureSettings
from carryover.figures.metaticket_tables import as_trained, at_step, levels, ordered, points, table_of
from carryover.figures.transfer_panels import remarks
from carryover.io.fewshot import Results


def tabulate_roles(results: Results, spec: FewshotFigureSettings) -> DataFrame:
    """Tabulate the accuracy of every method by what the inner loop of the test moves, which is `adapted`."""
    rows = at_step(results, spec)
    own = points(results, rows[rows["norm"] == rows["training.norm"]])
    return ordered(table_of(pandas.concat([own.assign(axis="adapted at test"), levels(results, own)])))


def tabulate_cross(results: Results, spec: FewshotFigureSettings) -> DataFrame:
    """Tabulate the accuracy of every method by the data set of the tasks, which is `place`."""
    own = points(results, as_trained(at_step(results, spec)), by_home=True)
    own = own.assign(place=own["dataset"], axis="tasks of")
    return ordered(table_of(pandas.concat([own, levels(results, own)])))


@style.house_style()
def draw_roles(table: DataFrame) -> Figure:
    """Draw accuracy when the test adapts what the training adapts, the body alone, or the classifier alone.

    Source: Meta-ticket, section 5.3 (body against head).
    """
    names = {adapted: look.label for adapted, look in ADAPTED.items()}
    return _side_by_side(
        table, "adapted", lambda rows: [each for each in names if each in set(rows["adapted"])], names
    )


@style.house_style()
def draw_cross(table: DataFrame) -> Figure:
    """Draw accuracy on tasks of the data set of the training, and on those of others.

    Source: Meta-ticket, section 5.1 (X1 to X4).
    """
    return _side_by_side(table, "place", _home_first, {})


def _home_first(rows: DataFrame) -> list[str]:
    home = rows["home"].iloc[0]
    return sorted(rows["place"].unique(), key=lambda dataset: bool(dataset != home))


def _side_by_side(
    table: DataFrame, column: str, order: Callable[[DataFrame], Sequence[str]], names: Mapping[str, str]
) -> Figure:
    """Draw the methods of every value of a column side by side, a panel for each net and size of tasks."""
    looks = looks_in(table)
    text = remarks(steps_note(table), norm_note(table), spread(table), level_note(table))
    figure, pairs = figure_of(table, 2.4, text)
    for axis, rows in pairs:
        own = rows[rows["label"].notna()]
        values = list(order(own))
        draw_places(axis, own, looks, values, column=column, lines=False)
        draw_levels(axis, rows, values)
        _separate(axis, [names.get(value, value) for value in values])
        axis.set_xlabel(str(own["axis"].iloc[0]))
        style.percent_axis(axis, f"{SPLITS[str(own['split'].iloc[0])]} accuracy")
    legend(figure, looks.values(), 4, lines=False)
    return figure


def _separate(axis: Axes, words: Sequence[str]) -> None:
    axis.set_xticks(range(len(words)), words)
    for edge in range(len(words) - 1):
        axis.axvline(edge + 0.5, color="#d9d9d9", linewidth=0.6, zorder=0)
