"""Figure 8: what of generalisation is inherited from the pre-training of the source, and what of the target's."""

from dataclasses import replace
from math import ceil

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.iterand_panels import SPLITS
from carryover.figures.transfer_continuation import course_rows, courses_of, draw_lines
from carryover.figures.transfer_panels import (
    TINT,
    draw_published,
    methods_in,
    name,
    pairs_of,
    paper_says,
    remarks,
    splits_of,
    spread,
)
from carryover.figures.transfer_published import ALONG, Row, published_rows
from carryover.figures.transfer_settings import TransferFigureSpec
from carryover.figures.transfer_tables import measured, shown_methods, table_of, titles
from carryover.io.recipes import Recipe, recipes

MOST_COLUMNS = 4
"""Columns that stand beside one another; more are set in blocks of three."""
_ROW = 2.0  # inches
_REST = 1.2


def tabulate_inheritance(results: DataFrame, spec: TransferFigureSpec) -> DataFrame:
    """Tabulate accuracy and training minus validation accuracy by epoch; a panel is one pair of source and target.

    Raises ValueError for the test split: a training measures its images of that split at its end only.
    """
    split = spec.shown_split
    known = recipes(results)
    out: list[Row] = []
    for run in measured(results, "continuation", "accuracy", split)["run"].unique():
        recipe = known["continuation", str(run)]
        cells = {**titles(recipe, str(run)), "title": _roles(recipe)}
        cells["subtitle"] = f"{cells['net']} on {cells['dataset']}"
        for quantity in ("accuracy", "gap"):
            courses = courses_of(results, recipe, str(run), split, quantity)
            methods = shown_methods(courses["method"], spec)
            out += course_rows(courses, cells, quantity, split, methods)
    out += published_rows(spec.published, [])
    return table_of(out)


def _roles(recipe: Recipe) -> str:
    source = recipe.get("transfer.training")
    return f"{source} to {recipe.get('transfer.target_training', source)}"


@style.house_style()
def draw_inheritance(table: DataFrame) -> Figure:
    """Draw a column for each pair of source and target: accuracy above, training minus validation accuracy below.

    Source: learning transfer, figure 8 (section 4.4).
    """
    columns = [rows for _, rows in table.groupby("panel", sort=False)]
    blocks = 1 if len(columns) <= MOST_COLUMNS else ceil(len(columns) / 3)
    across = ceil(len(columns) / blocks)
    figure, axes = style.new_figure(style.PAGE, 2 * _ROW * blocks + _REST, 2 * blocks, across)
    spare, drawn = set(axes), []
    for number, rows in enumerate(columns):
        first = 2 * across * (number // across) + number % across
        column = (axes[first], axes[first + across])
        for axis, quantity in zip(column, ("accuracy", "gap"), strict=True):
            _panel(axis, rows[rows["quantity"] == quantity], labelled=number % across == 0)
        name(column[0], rows, pairs_of(table))
        column[1].set_xlabel(ALONG["epoch"])
        spare -= set(column)
        drawn.append((rows, column))
    for axis in spare:
        axis.remove()
    _same_scale(drawn)
    style.legend_above(figure, 5)
    style.note(figure, _inherited(table))
    return figure


def _panel(axis: Axes, rows: DataFrame, labelled: bool) -> None:
    quantity, split = str(rows["quantity"].iloc[0]), SPLITS[rows["split"].iloc[0]]
    if rows["part"].iloc[0] == "course":
        draw_lines(axis, rows)
    else:
        _four_curves(axis, rows, legend=quantity == "accuracy")
        axis.set_facecolor(TINT)
    label = f"{split} accuracy" if quantity == "accuracy" else f"training less {split}"
    style.percent_axis(axis, label if labelled else "")
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _four_curves(axis: Axes, rows: DataFrame, legend: bool) -> None:
    """Draw the paper's panel, in which two pairs of source and target meet, as shades of their methods."""
    handles = {}
    for method in methods_in(rows):
        own = rows[rows["method"] == method]
        labels = [str(label) for label in own["label"].unique()]
        for label, look in zip(labels, style.shades(style.look_of(method), labels), strict=True):
            unnamed = replace(look, label=f"_{label}")  # named here, not above all panels
            handles[label.replace("->", " to ")] = draw_published(
                axis, own[own["label"] == label], unnamed, line=True
            )
    if legend:
        axis.legend(list(handles.values()), list(handles), loc="lower right")


def _same_scale(columns: list[tuple[DataFrame, tuple[Axes, Axes]]]) -> None:
    """Give our panels of one data set one scale, for it is between them that accuracies are compared."""
    ours = [(rows["dataset"].iloc[0], pair) for rows, pair in columns if rows["part"].iloc[0] == "course"]
    for dataset in dict.fromkeys(own for own, _ in ours):
        for line in range(2):
            row = [pair[line] for own, pair in ours if own == dataset]
            lows, highs = zip(*(axis.get_ylim() for axis in row), strict=True)
            for axis in row:
                axis.set_ylim(min(lows), max(highs))


def _inherited(table: DataFrame) -> str:
    titled = "A title names the training of the sources, then that of the targets."
    standard = "Standard training is the target's own. Training accuracy is the running mean of the epoch."
    return remarks(splits_of(table), spread(table), titled, standard, paper_says(table))
