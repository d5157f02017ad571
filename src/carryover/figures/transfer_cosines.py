"""Figure 3: are the increments of two trainings alike? Assumption (P), by width of the net or by its start."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.style import Look
from carryover.figures.transfer_panels import FAINT, name, paper_says, remarks, spread
from carryover.figures.transfer_published import ALONG, Row, Shown, published_rows
from carryover.figures.transfer_settings import TransferFigureSpec
from carryover.figures.transfer_tables import Named, measured, named, named_cells, over_pairs, table_of
from carryover.io.recipes import Recipe, recipes

LINES = {"permuted": "-", "identity": "--"}
_MARKERS = {"permuted": "o", "identity": "s"}


def tabulate_cosines(results: DataFrame, spec: TransferFigureSpec) -> DataFrame:
    """Tabulate cosines by optimizer step, and their mean over the steps; nets of one family share a panel.

    `part` is `course` (x is the step), `mean`, and for the paper's `agreeing`, `reference` and their means.
    """
    rows = measured(results, "cosine", "cosine", "none")
    known = recipes(results)
    runs = {str(run): named(known["cosine", str(run)], str(run)) for run in rows["run"].unique()}
    labels, heads = _labels(known, runs)
    out: list[Row] = []
    ours: list[Shown] = []
    for run, found in sorted(runs.items(), key=lambda item: (item[1].family, item[1].size)):
        own = rows[rows["run"] == run]
        cells: Row = {
            "panel": found.family,
            "title": heads[found.family],
            "dataset": found.dataset,
            "net": found.net,
        }
        cells |= {"run": run, "label": labels[run], "quantity": "cosine", "split": "none"}
        for row in over_pairs(own, ["method", "step"]).to_dict("records"):
            out.append({**cells, "part": "course", "x": row["step"], **named_cells(row)})
        means = own.groupby(["pair", "method"], sort=False)["value"].mean().reset_index()
        for row in over_pairs(means, ["method"]).to_dict("records"):
            out.append({**cells, "part": "mean", **named_cells(row)})
        ours.append(Shown(known["cosine", run], "none", cells))
    printed = [_named_label(row, labels) for row in published_rows(spec.published, ours)]
    return table_of([*out, *printed, *_printed_means(printed)])


def _labels(
    known: Mapping[tuple[str, str], Recipe], runs: Mapping[str, Named]
) -> tuple[dict[str, str], dict[str, str]]:
    """Name the runs of each family of nets, and the family: by width, by start and data set, or by their names."""
    labels: dict[str, str] = {}
    heads: dict[str, str] = {}
    for family in dict.fromkeys(found.family for found in runs.values()):
        own = {run: found for run, found in runs.items() if found.family == family}
        datasets = {found.dataset for found in own.values()}
        widths = {run: f"{found.size:g}" for run, found in own.items()}
        starts = {
            run: f"{known['cosine', run].get('cosine.recipe.start', 'random')}->{own[run].dataset}"
            for run in own
        }
        ways = [widths] if len(datasets) == 1 else []
        distinct = [way for way in (*ways, starts) if len(set(way.values())) == len(own)]
        labels |= distinct[0] if distinct else {run: run for run in own}
        heads[family] = f"{family} on {datasets.pop()}" if len(datasets) == 1 else family
    return labels, heads


def _named_label(row: Row, labels: Mapping[str, str]) -> Row:
    """Name a published curve by what it is of: `128 permuted` is a curve of 128."""
    ours = row["part"] == "agreeing"
    return {**row, "label": labels[str(row["run"])] if ours else str(row["label"]).rpartition(" ")[0]}


def _printed_means(rows: Sequence[Row]) -> list[Row]:
    means: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row["part"] in ("reference", "agreeing"):
            means.setdefault((row["panel"], row["label"], row["method"]), []).append(row)
    return [
        {
            **own[0],
            "part": f"{own[0]['part']} mean",
            "x": None,
            "mean": float(np.mean([float(str(r["mean"])) for r in own])),
        }
        for own in means.values()
    ]


@style.house_style()
def draw_cosines(table: DataFrame) -> Figure:
    """Draw cosines by step, and beside them their mean by net, a row for each family of nets.

    Source: learning transfer, figure 3 (section 3.3).
    """
    panels = [rows for _, rows in table.groupby("panel", sort=False)]
    figure, axes = style.new_figure(style.PAGE, 2.3 * len(panels) + 0.6, len(panels), 2)
    for number, rows in enumerate(panels):
        course, mean = axes[2 * number : 2 * number + 2]
        looks = _looks(rows)
        _courses(course, rows, looks)
        _means(mean, rows[rows["part"].str.endswith("mean")], looks)
        name(course, rows)
        name(mean, rows.assign(title="mean over the steps", subtitle=""))
        low = min(axis.get_ylim()[0] for axis in (course, mean))
        high = max(axis.get_ylim()[1] for axis in (course, mean))
        for axis in (course, mean):
            axis.set_ylim(low, high)
            axis.axhline(0, color=FAINT, linewidth=0.5, zorder=0)
        course.set_ylabel("cosine of increments")
        course.set_xlabel(ALONG["iteration"])
    lines = "Solid line, round: permuted; dashed, square: identity. Colours: as to the right."
    style.note(figure, remarks(spread(table, "band or bar"), lines, _whose(table), paper_says(table)))
    return figure


def _whose(table: DataFrame) -> str:
    printed = table["part"].str.startswith("reference") | (table["part"] == "agreeing")
    return (
        "The paper does not state whether it fits one permutation or one for each step."
        if printed.any()
        else ""
    )


def _looks(rows: DataFrame) -> dict[str, Look]:
    """Give every net of a panel its shade, the narrow ones the light ones."""
    labels = [str(label) for label in rows["label"].unique()]
    if all(label.replace(".", "", 1).isdigit() for label in labels):
        labels.sort(key=float)
    return dict(zip(labels, style.shades(style.METHODS["oracle"], labels), strict=True))


def _courses(axis: Axes, rows: DataFrame, looks: Mapping[str, Look]) -> None:
    for (label, method, part), own in rows.groupby(["label", "method", "part"], sort=False):
        color, line = looks[str(label)].color, LINES[str(method)]
        x, mean, sd = (own[column].to_numpy(float) for column in ("x", "mean", "sd"))
        if part == "agreeing":
            axis.plot(x[::4], mean[::4], _MARKERS[str(method)], color=color, markerfacecolor="white")
        elif part in ("course", "reference"):
            axis.plot(x, mean, color=color, linestyle=line)
            axis.fill_between(x, mean - sd, mean + sd, color=color, alpha=0.15, linewidth=0)


def _means(axis: Axes, rows: DataFrame, looks: Mapping[str, Look]) -> None:
    """Draw means over the steps side by side, permuted and identity above one another."""
    for place, (label, look) in enumerate(looks.items()):
        for _, first in rows[rows["label"].astype(str) == label].iterrows():
            axis.errorbar(
                [place],
                [first["mean"]],
                yerr=None if np.isnan(first["sd"]) else [first["sd"]],
                color=look.color,
                fmt=_MARKERS[str(first["method"])],
                markerfacecolor=look.color if first["part"] == "mean" else "white",
                capsize=2,
            )
    short = max(map(len, looks)) <= 8
    words = [label if short else label.replace("->", "\nto ") for label in looks]
    axis.set_xticks(range(len(looks)), words)
    axis.set_xlim(-0.5, len(looks) - 0.5)
    axis.set_xlabel("units of each hidden layer, or width" if short else "")
