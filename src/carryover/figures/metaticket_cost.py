"""What a meta-training costs, as a table: seconds of 1,000 outer steps, beside MAML's, and memory."""

from collections.abc import Mapping
from math import isnan
from typing import Any

import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.metaticket_panels import looks_in, panels, room, seeds_of
from carryover.figures.metaticket_settings import FewshotFigureSettings
from carryover.figures.metaticket_tables import cells_of, ordered, over_seeds, table_of
from carryover.figures.transfer_panels import FAINT, remarks
from carryover.io.fewshot import Results

QUANTITIES = {
    "seconds": "seconds of 1,000\nouter steps",
    "of_maml": "of MAML's\nseconds",
    "peak_mb": "memory,\nMB",
}
_ENDS = (0.6, 0.8, 1.0)  # right ends of the columns, of the width
_ROW = 0.17  # inches


def tabulate_cost(results: Results, spec: FewshotFigureSettings) -> DataFrame:
    """Tabulate what every training has cost; `quantity` is `seconds`, `of_maml` or `peak_mb`, and `place` the machine;
    every machine has a panel of its own.

    Seconds are those of 1,000 outer steps without the validations between them, of the machine that ran them; a
    training that was interrupted has none. `of_maml` is their mean over that of MAML in the same panel and on the
    same machine.
    Raises ValueError when no training has taken an outer step.
    """
    rows = results.rows[results.rows["kind"] == "training"]
    rows = rows[rows["metric"].isin(["seconds", "peak_mb"]) & (rows["step"] > 0)]
    if rows.empty:
        raise ValueError("no training of this figure has taken an outer step: name others in `trainings`")
    per = rows["value"].where(
        rows["metric"] != "seconds", 1000 * rows["value"] / rows["training.outer_steps"]
    )
    machine = rows["device"] + ", " + rows["threads"].astype(str) + " threads"
    rows = rows.assign(value=per, place=machine.str.replace(", 1 threads", ", 1 thread"))
    found = over_seeds(rows, ["run", "metric", "place"]).merge(cells_of(rows), on="run")
    table = found.rename(columns={"metric": "quantity"}).assign(part="cost", split="none")
    if table["place"].nunique() > 1:
        table = table.assign(**{key: table[key] + ", " + table["place"] for key in ("panel", "subtitle")})
    seconds = table[table["quantity"] == "seconds"]
    maml = seconds[seconds["label"] == "MAML"].set_index(["panel", "place"])["mean"]
    base = [maml.get(key) for key in zip(seconds["panel"], seconds["place"], strict=True)]
    ratio = seconds.assign(
        quantity="of_maml", mean=seconds["mean"] / pandas.Series(base, seconds.index, float), sd=None
    )
    return ordered(table_of(pandas.concat([table, ratio[ratio["mean"].notna()]])))


@style.house_style()
def draw_cost(table: DataFrame) -> Figure:
    """Draw a group of lines for each panel, a line for each method."""
    groups, text = panels(table), _remarks(table)
    lines = sum(rows["label"].nunique() + 1.4 for rows in groups)
    figure, (axis,) = style.new_figure(style.PAGE, _ROW * (lines + 2.5) + room(text), 1, 1)
    axis.set_axis_off()
    axis.set_xlim(0, 1)
    axis.set_ylim(lines - 0.4, -2.2)
    for end, words in zip(_ENDS, QUANTITIES.values(), strict=True):
        axis.text(end, -0.8, words, ha="right", va="bottom", multialignment="right")
    for height in (-2.4, -0.6):
        axis.axhline(height, color="black", linewidth=0.6)
    top = 0.0
    for rows in groups:
        top = _group(axis, rows, top)
    style.note(figure, text)
    return figure


def _group(axis: Axes, rows: DataFrame, top: float) -> float:
    """Write the lines of one panel; return where the next begins."""
    first = rows.iloc[0]
    axis.text(0, top, str(first["title"]), va="center", fontweight="bold", fontsize=style.TEXT - 1)
    axis.text(1, top, str(first["subtitle"]), va="center", ha="right", fontsize=style.SMALL, color=FAINT)
    for label, look in looks_in(rows).items():
        top += 1
        axis.plot([0.015], [top], look.marker, color=look.color, markersize=3)
        axis.text(0.035, top, label, va="center", fontsize=style.TEXT - 1)
        own = rows[rows["label"] == label].set_index("quantity").to_dict("index")
        for end, quantity in zip(_ENDS, QUANTITIES, strict=True):
            text = _cell(own[quantity], quantity, seeds_of(rows)) if quantity in own else "\N{EN DASH}"
            axis.text(end, top, text, ha="right", va="center", fontsize=style.TEXT - 1)
    return top + 1.4


def _cell(row: Mapping[Any, Any], quantity: str, most: int) -> str:
    mean, sd = float(row["mean"]), float(row["sd"])
    if quantity == "of_maml":
        return f"\N{MULTIPLICATION SIGN} {mean:.2f}"
    if quantity == "peak_mb":
        return f"{mean:,.0f}"
    digits = 1 if mean < 100 else 0
    text = f"{mean:,.{digits}f}" if isnan(sd) else f"{mean:,.{digits}f} ± {sd:,.{digits}f}"
    return text if row["n"] == most else f"{text} (n = {row['n']:.0f})"


def _remarks(table: DataFrame) -> str:
    most = seeds_of(table)
    return remarks(
        f"Mean of n = {most} seed{'s' * (most != 1)}; plus or minus: one standard deviation over seeds."
        if most > 1
        else "n = 1 seed.",
        f"On {'; '.join(str(place) for place in table['place'].unique())}. Seconds without the validations along the "
        "way; of trainings that were not interrupted. Memory: the largest of the process, which trains the seeds of a "
        "block one after the other. Times of jobs that ran side by side on one machine are not exact: the ratios of "
        "the benchmarks are measured in turns.",
    )
