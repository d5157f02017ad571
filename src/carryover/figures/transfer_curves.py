"""Figures 5 and 9: accuracy along a transferred trajectory."""

from collections.abc import Iterator

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame, Series, concat

from carryover.figures import style
from carryover.figures.iterand_panels import SPLITS
from carryover.figures.transfer_panels import (
    draw_course,
    draw_levels,
    draw_published,
    draw_reference,
    draw_strip,
    figure_of,
    methods_in,
    pairs_of,
    paper_says,
    remarks,
    splits_of,
    spread,
)
from carryover.figures.transfer_published import ALONG, Row, Sample, Shown, published_rows, welch
from carryover.figures.transfer_settings import TransferFigureSpec
from carryover.figures.transfer_tables import (
    measured,
    named_cells,
    over_pairs,
    shown_methods,
    table_of,
    titles,
    trajectory,
)
from carryover.io.recipes import Recipe, at_selected, epoch_steps, recipes

TOP = 0.1
"""Accuracies at the last step that are magnified beside a single panel: those at most this far below the best."""
_TOP = "top"
"""Name of the panel that magnifies them."""


def tabulate_curves(results: DataFrame, spec: TransferFigureSpec) -> DataFrame:
    """Tabulate accuracy by step and method, the test accuracy at the selected step, levels and published curves.

    `part` is `course` (x is t), `selected` (x is the mean step), `level` (x is the epoch), `agreeing` or `reference`
    (the paper's), `reference level`, or `welch` (the last step less the paper's: mean, and the interval's half width
    in `sd`).
    """
    split = spec.shown_split
    rows = measured(results, "transfer", "accuracy", split)
    known = recipes(results)
    out: list[Row] = []
    ours: list[Shown] = []
    for run in rows["run"].unique():
        recipe, own = known["transfer", str(run)], rows[rows["run"] == run]
        cells = titles(recipe, str(run), trajectory(recipe, int(own["step"].max())))
        methods = shown_methods(own["method"], spec)
        out += _course(own, cells, split, methods)
        out += _selected(results, str(run), cells, methods)
        out += _levels(results, recipe, cells, spec)
        ours.append(Shown(recipe, split, cells))
    out += published_rows(spec.published, ours)
    return table_of([*out, *_differences(out)])


def _course(rows: DataFrame, cells: Row, split: str, methods: list[str]) -> Iterator[Row]:
    course = over_pairs(rows, ["method", "step"]).rename(columns={"step": "x"})
    for method in methods:
        for row in course[course["method"] == method].sort_values("x").to_dict("records"):
            yield {**cells, "part": "course", "quantity": "accuracy", "split": split, **named_cells(row)}


def _selected(results: DataFrame, run: str, cells: Row, methods: list[str]) -> Iterator[Row]:
    """Yield the test accuracy at the step that validation selected; none where there are no test images."""
    transfers = results[(results["kind"] == "transfer") & (results["run"] == run)]
    tested = transfers[(transfers["metric"] == "accuracy") & (transfers["split"] == "test")]
    chosen = at_selected(transfers, tested)
    steps = chosen.groupby("method")["step"].mean()
    means = over_pairs(chosen, ["method"]).set_index("method", drop=False)
    for method in (each for each in methods if each in means.index):
        own = {"part": "selected", "quantity": "accuracy", "split": "test", "x": steps[method]}
        yield {**cells, **own, **named_cells(means.loc[method].to_dict())}


def _levels(results: DataFrame, recipe: Recipe, cells: Row, spec: TransferFigureSpec) -> Iterator[Row]:
    """Yield the accuracies of the source's and the target's own training after some epochs."""
    source = str(recipe.get("transfer.training"))
    target = str(recipe.get("transfer.target_training", source))
    for role, run in (("source", source), ("target", target)):
        rows = results[
            (results["kind"] == "training") & (results["run"] == run) & (results["method"] == role)
        ]
        steps = epoch_steps(rows)
        rows = rows[(rows["metric"] == "accuracy") & (rows["split"] == spec.shown_split) & (rows["step"] > 0)]
        if rows.empty or run not in steps:
            continue
        course = over_pairs(rows.assign(x=rows["step"] / steps[run]), ["method", "x"])
        for row in course[course["x"].isin(_stated(course["x"], role, spec.epochs))].to_dict("records"):
            yield {
                **cells,
                "part": "level",
                "quantity": "accuracy",
                "split": spec.shown_split,
                **named_cells(row),
            }


def _stated(epochs: Series, role: str, wanted: list[int]) -> list[float]:
    """Choose the epochs that are levels: all of the source's training; of the target's the first, a quarter and all."""
    last = epochs.max()
    if role == "source":
        return [last]
    quarter = epochs.iloc[(epochs - last / 4).abs().argsort()].iloc[0]
    return [float(epoch) for epoch in wanted] or [epochs.min(), quarter, last]


def _differences(rows: list[Row]) -> Iterator[Row]:
    """Yield how far the last step of each method is from the paper's, where the two are of one setting."""
    for theirs in (row for row in rows if row["part"] == "agreeing"):
        place = ("panel", "method")
        same = [row for row in rows if all(row.get(key) == theirs[key] for key in place)]
        last = max(float(str(row["x"])) for row in same if row["part"] == "agreeing")
        ours = [row for row in same if row["part"] == "course" and row["x"] == last]
        if theirs["x"] == last and ours:
            difference, low, high = welch(_sample(ours[0]), _sample(theirs))
            yield {**theirs, "part": "welch", "mean": difference, "sd": (high - low) / 2, "n": ours[0]["n"]}


def _sample(row: Row) -> Sample:
    return Sample(float(str(row["mean"])), float(str(row["sd"])), int(str(row["n"])))


@style.house_style()
def draw_curves(table: DataFrame) -> Figure:
    """Draw accuracy against t, a panel for each run, beside it in a strip the results, and published panels.

    Source: learning transfer, figures 5 (section 4.2) and 9 (appendix).
    """
    shown = table[table["part"] != "welch"]
    own = shown[~shown["part"].str.startswith("reference")]
    if own["panel"].nunique() == 1:
        again = own.assign(panel=_TOP, title="its uppermost points", subtitle="the same, magnified")
        shown = concat([own, again, shown.drop(own.index)])
    figure, axes = figure_of(shown, 2.3 if table["panel"].nunique() > 1 else 2.7)
    for axis, rows in axes:
        if rows["part"].iloc[0].startswith("reference"):
            draw_reference(axis, rows)
        elif rows["panel"].iloc[0] == _TOP:
            _top(axis, rows)
            continue
        else:
            _panel(axis, rows)
        place = axis.get_subplotspec()
        split = SPLITS[rows["split"].iloc[0]]
        first = place is None or place.is_first_col()
        style.percent_axis(axis, f"{split} accuracy" if first else "")
    style.legend_above(figure, 5)
    style.note(figure, _remarks(table))
    return figure


def _panel(axis: Axes, rows: DataFrame) -> None:
    course, printed = rows[rows["part"] == "course"], rows[rows["part"] == "agreeing"]
    for method in methods_in(course):
        draw_course(axis, course[course["method"] == method], style.look_of(method), pairs_of(rows))
    for method in methods_in(printed):
        draw_published(axis, printed[printed["method"] == method], style.look_of(method), line=False)
    end = float(course["x"].max())
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    draw_strip(axis, rows[rows["part"] == "selected"], end)
    axis.set_xlabel(ALONG["step"])
    draw_levels(axis, rows[rows["part"] == "level"])


def _top(axis: Axes, rows: DataFrame) -> None:
    """Draw a panel once more, magnified: what lies close to the best."""
    _panel(axis, rows[rows["part"] != "level"])
    ends = rows[
        rows["part"].isin(["course", "agreeing"]) & (rows["x"] == rows["x"][rows["part"] == "course"].max())
    ]
    best = float(ends["mean"].max())
    lowest = float(ends["mean"][(ends["mean"] > best - TOP) | (ends["part"] == "agreeing")].min())
    room = 0.25 * (best - lowest) + 0.002
    axis.set_ylim(lowest - room, best + room)
    style.percent_axis(axis, "")


def _remarks(table: DataFrame) -> str:
    selected = (table["part"] == "selected").any()
    strip = "Grey strip: test accuracy at the step that validation selected (at the last one for what selects none)."
    levels = "Dotted levels: the source's and the target's own training."
    standard = "Standard training has had as many gradient evaluations at t as FGMT (2t), or as GMT (t + t(t + 1)/2)."
    return remarks(
        splits_of(table),
        spread(table[table["part"] != "welch"], "band or bar"),
        strip if selected else "",
        levels if (table["part"] == "level").any() else "",
        standard if table["method"].str.startswith("standard").any() else "",
        paper_says(table),
        _told_differences(table[table["part"] == "welch"]),
    )


def _told_differences(rows: DataFrame) -> str:
    if rows.empty:
        return ""
    told = [
        f"{style.look_of(row['method']).label} {100 * row['mean']:+.2f} ± {100 * row['sd']:.2f}"
        for row in rows.to_dict("records")
    ]
    return f"Last step less the paper's, in points, with Welch's 95% interval: {', '.join(told)}.".replace(
        "-", "\N{MINUS SIGN}"
    )
