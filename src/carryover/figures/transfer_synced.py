"""Synced transfer: source and target train side by side while the permutation between them is matched."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.iterand_panels import SPLITS
from carryover.figures.transfer_panels import (
    draw_course,
    figure_of,
    methods_in,
    pairs_of,
    remarks,
    splits_of,
    spread,
)
from carryover.figures.transfer_published import ALONG, Row
from carryover.figures.transfer_settings import TransferFigureSpec
from carryover.figures.transfer_tables import (
    measured,
    named,
    named_cells,
    over_pairs,
    shown_methods,
    table_of,
)
from carryover.io.recipes import Recipe, recipes

_GRADIENTS = {"composed": "gradients of the composed net", "true": "gradients of the real target"}


def tabulate_synced(results: DataFrame, spec: TransferFigureSpec) -> DataFrame:
    """Tabulate accuracy by epoch; runs that differ in their method only share a panel, with one source and target.

    Raises ValueError when two of them have one method.
    """
    split = spec.shown_split
    rows = measured(results, "synced", "accuracy", split)
    known = recipes(results)
    out: list[Row] = []
    seen: dict[tuple[object, str], str] = {}
    for run in (str(each) for each in rows["run"].unique()):
        recipe = known["synced", run]
        found, manner = named(recipe, run), _manner(recipe)
        cells: Row = {
            "panel": f"{found.title}, {manner}",
            "title": found.title,
            "subtitle": manner,
            "run": run,
        }
        cells |= {
            "dataset": found.dataset,
            "net": found.net,
            "part": "course",
            "quantity": "accuracy",
            "split": split,
        }
        course = over_pairs(rows[rows["run"] == run].rename(columns={"step": "x"}), ["method", "x"])
        for method in shown_methods(course["method"], spec) if not spec.methods else _present(course, spec):
            place = (cells["panel"], method)
            if place in seen and method not in ("source", "target"):
                raise ValueError(
                    f"{seen[place]} and {run} would be one line of the figure: name runs of other methods"
                )
            if place not in seen:
                out += [
                    {**cells, **named_cells(r)} for r in course[course["method"] == method].to_dict("records")
                ]
            seen[place] = run
    return table_of(out)


def _present(course: DataFrame, spec: TransferFigureSpec) -> list[str]:
    return [method for method in spec.methods if method in set(course["method"])]


def _manner(recipe: Recipe) -> str:
    each = recipe.get("synced.matchings_per_epoch")
    return f"{_GRADIENTS.get(str(recipe.get('synced.gradients')), '')}, {each} matchings per epoch"


@style.house_style()
def draw_synced(table: DataFrame) -> Figure:
    """Draw accuracy by epoch: source, target, and the target's start with the source's training added so far.

    Source: learning transfer, section 1.12 (released code; the paper shows no figure of it).
    """
    figure, axes = figure_of(table, 2.5)
    for axis, rows in axes:
        for method in style.in_order(methods_in(rows)):
            draw_course(axis, rows[rows["method"] == method], style.look_of(method), pairs_of(rows))
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.set_xlabel(ALONG["epoch"])
        style.percent_axis(axis, f"{SPLITS[rows['split'].iloc[0]]} accuracy")
    style.legend_above(figure, 5)
    added = (
        "Methods: the target's start with the source's training so far added, permuted as matched by then."
    )
    style.note(figure, remarks(splits_of(table), spread(table), added))
    return figure
