"""Figure 4: linear against actual trajectories, and other variants of the same transfer, method by method."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.iterand_panels import SPLITS
from carryover.figures.style import Look
from carryover.figures.transfer_panels import (
    draw_course,
    draw_published,
    figure_of,
    pairs_of,
    paper_says,
    remarks,
    splits_of,
    spread,
)
from carryover.figures.transfer_published import Row, published_rows
from carryover.figures.transfer_settings import TransferFigureSpec
from carryover.figures.transfer_tables import (
    measured,
    named,
    named_cells,
    over_pairs,
    shown_methods,
    table_of,
    trajectory,
)
from carryover.io.recipes import recipes

_DEFAULT = ("gmt", "fgmt", "oracle", "naive", "random", "source", "standard", "standard-gmt")


def tabulate_ablation(results: DataFrame, spec: TransferFigureSpec) -> DataFrame:
    """Tabulate accuracy along variants of one transfer; x is the fraction of the steps, `label` the variant.

    Raises ValueError when the transfers are not of one training.
    """
    rows = measured(results, "transfer", "accuracy", spec.shown_split)
    known = recipes(results)
    runs = [str(run) for run in rows["run"].unique()]
    trainings = dict.fromkeys(str(known["transfer", run].get("transfer.training")) for run in runs)
    if len(trainings) > 1:
        raise ValueError(
            f"`draw: ablation` compares transfers of one training: these are of {', '.join(trainings)}"
        )
    ends = rows.groupby("run")["step"].max()
    labels = _labels({run: trajectory(known["transfer", run], int(ends[run])) for run in runs})
    course = over_pairs(rows.assign(x=rows["step"] / rows["run"].map(ends)), ["run", "method", "x"])
    of_all = named(known["transfer", runs[0]], runs[0])
    shared = {"quantity": "accuracy", "split": spec.shown_split, "dataset": of_all.dataset, "net": of_all.net}
    out: list[Row] = []
    methods = shown_methods(rows["method"], spec)
    for method in methods if spec.methods else [each for each in _DEFAULT if each in methods]:
        cells = {"panel": method, "title": style.look_of(method).label, "part": "course", **shared}
        for row in course[course["method"] == method].to_dict("records"):
            out.append({**cells, **named_cells(row), "label": labels[str(row["run"])]})
    printed = list(published_rows(spec.published, []))
    end = max((float(str(row["x"])) for row in printed), default=1.0)
    for point in printed:
        out.append(
            {
                **point,
                "subtitle": f"GMT, {point['subtitle']}",
                "x": float(str(point["x"])) / end,
                "label": str(point["label"]).rpartition(" ")[2],
            }
        )
    return table_of(out)


def _labels(variants: dict[str, str]) -> dict[str, str]:
    """Tell runs apart that have one trajectory by their names."""
    twice = {label for label in variants.values() if list(variants.values()).count(label) > 1}
    return {run: f"{label} ({run})" if label in twice else label for run, label in variants.items()}


@style.house_style()
def draw_ablation(table: DataFrame) -> Figure:
    """Draw a panel for each method, a line for each trajectory, all on one scale.

    Source: learning transfer, figure 4 (section 4.2), there of GMT only.
    """
    figure, axes = figure_of(table, 1.75, 3)
    most = pairs_of(table)
    looks = _looks(table)
    ours = [axis for axis, rows in axes if rows["part"].iloc[0] == "course"]
    for axis, rows in axes:
        for label, own in rows.groupby("label", sort=False):
            if rows["part"].iloc[0] == "course":
                draw_course(axis, own, looks[str(label)], most)
            else:
                draw_published(axis, own, _nearest(looks, str(label)), line=True)
        place = axis.get_subplotspec()
        split = SPLITS[rows["split"].iloc[0]]
        style.percent_axis(axis, f"{split} accuracy" if place is None or place.is_first_col() else "")
        axis.set_xlabel("fraction of the steps, t / T")
        axis.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    _one_scale(ours)
    style.legend_above(figure, 4)
    of_all = f"{table['net'].iloc[0]}."
    style.note(figure, remarks(of_all, splits_of(table), spread(table), paper_says(table)))
    return figure


def _looks(table: DataFrame) -> dict[str, Look]:
    labels = table["label"][table["part"] == "course"].unique()
    return {str(label): style.series(number, str(label)) for number, label in enumerate(labels)}


def _nearest(looks: dict[str, Look], kind: str) -> Look:
    """Give the paper's curve the look of our first trajectory of its kind."""
    same = [look for label, look in looks.items() if label.startswith(kind)]
    return same[0] if same else style.series(len(looks), kind)


def _one_scale(axes: list[Axes]) -> None:
    lows, highs = zip(*(axis.get_ylim() for axis in axes), strict=True)
    for axis in axes:
        axis.set_ylim(min(lows), max(highs))
