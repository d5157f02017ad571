"""Table 3: ensembles of nets that were trained after transfer, as a table with dots."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.transfer_panels import TINT, remark, remarks
from carryover.figures.transfer_published import Row
from carryover.figures.transfer_settings import TransferFigureSpec
from carryover.figures.transfer_tables import measured, named, shown_methods
from carryover.io.recipes import recipes
from carryover.published.learning_transfer import PAPER, TABLE3

MEASURES = ("accuracy", "member_accuracy", "nll", "ece", "disagreement", "num_members", "epochs")
COLUMNS = ("panel", "title", "part", "run", "dataset", "net", "split", "method", *MEASURES, "less_full")
DOTS = {
    "less_full": "less trained\ntargets (points)",
    "nll": "loss (nats\nper example)",
    "ece": "calibration\nerror (%)",
    "disagreement": "disagreement\n(%)",
}
_ROW = 0.19  # inches
_ENDS = {"epochs of\na member": 0.62, "accuracy\n(%)": 0.81, "of its\nmembers": 1.0}


def tabulate_ensembles(results: DataFrame, spec: TransferFigureSpec) -> DataFrame:
    """Tabulate ensembles, a row for each run and method; `part` is `ensemble`, or `published` for the paper's.

    `less_full` is the accuracy less that of the ensemble of fully trained targets (`standard`).
    """
    known = recipes(results)
    rows = measured(results, "ensemble", "accuracy", spec.shown_split)
    out: list[Row] = []
    for run in rows["run"].unique():
        found = named(known["ensemble", str(run)], str(run))
        own = results[(results["kind"] == "ensemble") & (results["run"] == run)]
        own = own[own["split"].isin([spec.shown_split, "none"])]
        values = own.pivot_table(index="method", columns="metric", values="value")
        for method in shown_methods(own["method"], spec):
            cells: Row = {"panel": run, "title": f"{found.title}, {run}", "part": "ensemble", "run": run}
            cells |= {"dataset": found.dataset, "net": found.net, "split": spec.shown_split, "method": method}
            out.append({**cells, **{str(key): float(value) for key, value in values.loc[method].items()}})
    for row in TABLE3 if "table3" in spec.published else ():
        for method, accuracy in row.accuracy.items():
            cells = {"panel": f"table3 {row.dataset}", "title": row.dataset, "part": "published"}
            out.append({**cells, "method": method, "epochs": float(row.epochs[method]), "accuracy": accuracy})
    table = DataFrame([{column: row.get(column) for column in COLUMNS} for row in out], columns=list(COLUMNS))
    full = table[table["method"] == "standard"].set_index("panel")["accuracy"]
    return table.assign(less_full=table["accuracy"] - table["panel"].map(full))


@style.house_style()
def draw_ensembles(table: DataFrame) -> Figure:
    """Draw a line for each ensemble: its numbers, and a panel of dots for each measure.

    Source: learning transfer, table 3 (appendix); it has accuracies only.
    """
    places, heads = _places(table)
    lines = max(places.values()) + 1
    figure, axes = style.new_figure(style.PAGE, _ROW * lines + 1.1, 1, 1 + len(DOTS))
    grid = axes[0].get_gridspec()
    assert grid is not None
    grid.set_width_ratios([3.2, 1.2, 1, 1, 1])
    _numbers(axes[0], table, places, heads)
    for axis, (measure, words) in zip(axes[1:], DOTS.items(), strict=True):
        _dots(axis, table, places, measure)
        axis.set_title(words, fontsize=style.SMALL + 1)
    printed = [places[int(index)] for index in table.index[table["part"] == "published"]]
    for axis in axes:
        axis.set_ylim(lines - 0.3, -0.9)
        if printed:
            axis.axhspan(min(printed) - 2.5, max(printed) + 0.6, color=TINT, linewidth=0, zorder=0)
    style.note(figure, _remarks(table))
    return figure


def _places(table: DataFrame) -> tuple[dict[int, int], dict[int, str]]:
    """Give each row of the table a line, with a line for the title above each group, and one above the paper's."""
    places: dict[int, int] = {}
    heads: dict[int, str] = {}
    line = 0
    for _, rows in table.groupby("panel", sort=False):
        if rows["part"].iloc[0] == "published" and f"published: {PAPER}, table 3" not in heads.values():
            heads[line] = f"published: {PAPER}, table 3"
            line += 1
        heads[line] = str(rows["title"].iloc[0])
        for index in rows.index:
            line += 1
            places[int(index)] = line
        line += 1
    return places, heads


def _numbers(axis: Axes, table: DataFrame, places: dict[int, int], heads: dict[int, str]) -> None:
    axis.set_axis_off()
    axis.set_xlim(0, 1)
    for words, end in _ENDS.items():
        axis.text(end, -0.9, words, ha="right", va="bottom", multialignment="right", fontsize=style.SMALL + 1)
    for line, title in heads.items():
        axis.text(0, line, title, va="center", fontsize=style.SMALL + 1, fontweight="bold")
    for index, place in places.items():
        row = table.loc[index]
        name = "trained targets" if row["method"] == "standard" else style.look_of(str(row["method"])).label
        members = row["member_accuracy"]
        cells = (
            f"{row['epochs']:g}",
            f"{100 * row['accuracy']:.1f}",
            f"{100 * members:.1f}" if members == members else "",
        )
        axis.text(0.04, place, name, va="center", fontsize=style.SMALL + 1)
        for end, text in zip(_ENDS.values(), cells, strict=True):
            axis.text(end, place, text, va="center", ha="right", fontsize=style.SMALL + 1)


def _dots(axis: Axes, table: DataFrame, places: dict[int, int], measure: str) -> None:
    for index, row in table[table[measure].notna()].iterrows():
        look, place = style.look_of(str(row["method"])), places[int(str(index))]
        value = float(row[measure])
        face = "white" if row["part"] == "published" else look.color
        axis.plot([value], [place], look.marker, color=look.color, markerfacecolor=face, zorder=3)
        text = f"{value:.3f}" if measure == "nll" else f"{100 * value:.1f}"
        if measure == "less_full":
            text = f"{100 * value:+.1f}" if row["method"] != "standard" else ""
        remark(axis, text.replace("-", "\N{MINUS SIGN}"), (value, place), (4, -2), "data")
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.margins(x=0.3)
    low, high = axis.get_xlim()
    axis.set_xlim(low, high + 0.15 * (high - low))
    axis.locator_params(axis="x", nbins=3)
    if measure != "nll":
        axis.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}".replace("-", "\N{MINUS SIGN}"))
    axis.grid(axis="x")


def _remarks(table: DataFrame) -> str:
    ours = table[table["part"] == "ensemble"]
    members = " or ".join(f"{count:g}" for count in sorted(ours["num_members"].dropna().unique()))
    datasets = ", ".join(str(name) for name in ours["dataset"].dropna().unique())
    printed = "Tinted: the paper's numbers, of other settings than ours; it does not state how many members there are."
    return remarks(
        f"{datasets}, test images.",
        f"Each is one ensemble of {members} nets, so there is no spread; their predicted probabilities are averaged. "
        "Disagreement: images on which two members predict differently, mean over all pairs of members.",
        printed if (table["part"] == "published").any() else "",
    )
