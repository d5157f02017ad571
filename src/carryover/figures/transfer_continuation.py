"""Figure 6: training after transfer, beside ordinary training."""

from collections.abc import Iterator

import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.iterand_panels import SPLITS
from carryover.figures.transfer_panels import (
    draw_course,
    draw_levels,
    draw_published,
    draw_strip,
    methods_in,
    name,
    pairs_of,
    paper_says,
    remarks,
    splits_of,
    spread,
)
from carryover.figures.transfer_published import ALONG, Row, Shown, published_rows
from carryover.figures.transfer_settings import TransferFigureSpec
from carryover.figures.transfer_tables import (
    measured,
    named_cells,
    over_pairs,
    shown_methods,
    table_of,
    titles,
)
from carryover.io.recipes import Recipe, at_last, epoch_steps, recipes

FIRST = 5
"""Epochs of the panel that shows the beginning."""
_ROW = 2.1  # inches
_REST = 1.1


def tabulate_continuation(results: DataFrame, spec: TransferFigureSpec) -> DataFrame:
    """Tabulate accuracy by epoch: trainings from transferred parameters, and the target's ordinary training.

    `part` is `course` (x is the epoch), `selected` (test accuracy after the last epoch), `level` (the source's own
    training), `cost` (`mean` is how many epochs of images the transfer before epoch 0 has looked at for its
    gradients), `agreeing` or `reference` (the paper's).
    """
    split = spec.shown_split
    rows = measured(results, "continuation", "accuracy", split)
    known = recipes(results)
    out: list[Row] = []
    ours: list[Shown] = []
    for run in rows["run"].unique():
        recipe = known["continuation", str(run)]
        cells = titles(recipe, str(run), _after(recipe))
        courses = courses_of(results, recipe, str(run), split, "accuracy")
        methods = shown_methods(courses["method"], spec)
        out += course_rows(courses, cells, "accuracy", split, methods)
        out += _results(results, recipe, cells, methods)
        out += _source_level(results, recipe, cells, split)
        out += _costs(results, recipe, cells, methods)
        ours.append(Shown(recipe, split, cells))
    out += published_rows(spec.published, ours)
    return table_of(out)


def _after(recipe: Recipe) -> str:
    """Say at which learning rate the training after transfer begins, and where it starts from."""
    point = "last" if recipe.get("continuation.at") == "last" else "selected"
    rate = float(str(recipe["continuation.lr"]))
    return f"from the {point} step of {recipe.get('continuation.transfer')}, learning rate {rate:g}"


def _target(recipe: Recipe) -> str:
    return str(recipe.get("transfer.target_training", recipe.get("transfer.training")))


def courses_of(results: DataFrame, recipe: Recipe, run: str, split: str, quantity: str) -> DataFrame:
    """Collect observations of trainings after transfer and of the target's own, by epoch."""
    own = results[(results["kind"] == "continuation") & (results["run"] == run)]
    target = results[(results["kind"] == "training") & (results["run"] == _target(recipe))]
    target = target[target["method"] == "target"].assign(method="standard")
    courses = []
    for rows in (own, target):
        steps = epoch_steps(rows)
        if len(steps):
            shown = rows[rows["metric"] == "accuracy"]
            values = _gap(shown, split) if quantity == "gap" else shown[shown["split"] == split]
            courses.append(values.assign(x=values["step"] / values["run"].map(steps)))
    return pandas.concat(courses, ignore_index=True)


def _gap(rows: DataFrame, split: str) -> DataFrame:
    """Take the accuracy of `split` from that of training, where both were measured."""
    key = ["run", "pair", "method", "step"]
    both = rows[rows["split"] == "train"].merge(rows[rows["split"] == split], on=key, suffixes=("", "_shown"))
    return both[[*key, "split"]].assign(value=both["value"] - both["value_shown"])


def course_rows(
    courses: DataFrame, cells: Row, quantity: str, split: str, methods: list[str]
) -> Iterator[Row]:
    """Yield the rows of a panel's table, method by method."""
    course = over_pairs(courses, ["method", "x"])
    for method in methods:
        for row in course[course["method"] == method].sort_values("x").to_dict("records"):
            yield {**cells, "part": "course", "quantity": quantity, "split": split, **named_cells(row)}


def _results(results: DataFrame, recipe: Recipe, cells: Row, methods: list[str]) -> Iterator[Row]:
    """Yield the test accuracy after the last epoch, where there are test images."""
    tested = at_last(courses_of(results, recipe, str(cells["run"]), "test", "accuracy"))
    means = over_pairs(tested, ["method"]).set_index("method", drop=False)
    for method in (each for each in methods if each in means.index):
        own = {"part": "selected", "quantity": "accuracy", "split": "test"}
        yield {**cells, **own, **named_cells(means.loc[method].to_dict())}


def _source_level(results: DataFrame, recipe: Recipe, cells: Row, split: str) -> Iterator[Row]:
    run = str(recipe.get("transfer.training"))
    rows = results[
        (results["kind"] == "training") & (results["run"] == run) & (results["method"] == "source")
    ]
    steps = epoch_steps(rows)
    rows = rows[(rows["metric"] == "accuracy") & (rows["split"] == split)]
    if len(rows) and len(steps):
        end = rows[rows["step"] == rows["step"].max()]
        for row in over_pairs(end.assign(x=end["step"] / steps[run]), ["method", "x"]).to_dict("records"):
            yield {**cells, "part": "level", "quantity": "accuracy", "split": split, **named_cells(row)}


def _costs(results: DataFrame, recipe: Recipe, cells: Row, methods: list[str]) -> Iterator[Row]:
    """Yield the images that the gradients of a transfer took, in epochs of the target's training."""
    transfer, target = recipe.get("continuation.transfer"), _target(recipe)
    rows = results[(results["kind"] == "transfer") & (results["run"] == transfer)]
    rows = rows[rows["metric"] == "num_gradients"]
    steps = epoch_steps(results[results["kind"] == "training"])
    if rows.empty or target not in steps:
        return
    each = float(str(recipe["transfer.batch_size"])) * float(str(recipe["transfer.num_batches"]))
    epoch = float(steps[target]) * float(str(recipe["training.batch_size"]))
    ends = rows.groupby(["pair", "method"])["value"].max().reset_index()
    for row in over_pairs(ends.assign(value=ends["value"] * each / epoch), ["method"]).to_dict("records"):
        if row["method"] in methods and row["method"] != "standard":
            yield {**cells, "part": "cost", "quantity": "epochs", **named_cells(row)}


@style.house_style()
def draw_continuation(table: DataFrame) -> Figure:
    """Draw accuracy by epoch, a row for each run: the whole training, and its first epochs.

    Source: learning transfer, figure 6 (section 4.3); the paper's curves begin after the first epoch.
    """
    panels = [rows for _, rows in table[table["part"] != "cost"].groupby("panel", sort=False)]
    figure, axes = style.new_figure(style.PAGE, _ROW * len(panels) + _REST, len(panels), 2)
    for number, rows in enumerate(panels):
        whole, first = axes[2 * number : 2 * number + 2]
        for axis, own in ((whole, rows), (first, rows[rows["x"] <= FIRST])):
            draw_lines(axis, own)
            axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        draw_strip(whole, rows[rows["part"] == "selected"], float(rows["x"].max()))
        name(whole, rows, pairs_of(table))
        name(first, rows.assign(title="its first epochs", subtitle=""))
        draw_levels(whole, rows[rows["part"] == "level"])
        style.percent_axis(whole, f"{SPLITS[rows['split'].iloc[0]]} accuracy")
        style.percent_axis(first, "")
    for axis in axes[-2:]:
        axis.set_xlabel(ALONG["epoch"])
    style.legend_above(figure, 6)
    style.note(figure, _remarks(table))
    return figure


def draw_lines(axis: Axes, rows: DataFrame) -> None:
    """Draw the courses of a panel, ours and the paper's."""
    for part in ("course", "agreeing", "reference"):
        own = rows[rows["part"] == part]
        for method in methods_in(own):
            series, look = own[own["method"] == method], style.look_of(method)
            if part == "course":
                draw_course(axis, series, look, pairs_of(rows))
            else:
                draw_published(axis, series, look, line=part == "reference")


def _remarks(table: DataFrame) -> str:
    costs = table[(table["part"] == "cost") & (table["mean"] > 0)]
    told = ", ".join(
        f"{style.look_of(row['method']).label} {row['mean']:.2g}"
        for row in costs.drop_duplicates("method").to_dict("records")
    )
    several = " of its first row" if costs["panel"].nunique() > 1 else ""
    return remarks(
        splits_of(table),
        spread(table[table["part"] != "cost"]),
        "Epoch 0: before any training. Standard training is the target's own, from its random start.",
        f"Gradients of the transfer{several}, before epoch 0, in epochs of images: {told}." if told else "",
        "Grey strip: test accuracy after the last epoch." if (table["part"] == "selected").any() else "",
        "Dotted level: the source's own training." if (table["part"] == "level").any() else "",
        paper_says(table),
    )
