"""From results of learning transfer to the tables that its figures are drawn from: mean and spread over pairs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pandas import DataFrame

from carryover.figures.iterand_tables import net_names
from carryover.figures.style import in_order
from carryover.figures.transfer_settings import TransferFigureSpec
from carryover.io.recipes import Recipe

COLUMNS = (
    "panel", "title", "subtitle", "part", "along", "run", "dataset", "net", "quantity", "split", "method", "label", "x",
    "mean", "sd", "n",
)  # fmt: skip
"""Columns of the table of every figure that has lines; what a row is, is in `part`."""


@dataclass(frozen=True)
class Named:
    """How figures call a run."""

    dataset: str
    net: str
    family: str
    """What a net shares with wider ones."""
    size: float
    """Width of the net: units of a hidden layer, or the multiplier of all channel counts."""
    title: str


def named(recipe: Recipe, run: str) -> Named:
    """Name data set, net and trajectory of a run; the run's own name stands in where they are not known."""
    prefixes = [key.removesuffix("net.kind") for key in recipe if key.endswith("net.kind")]
    own = "training." if "training.net.kind" in recipe else (prefixes or [""])[0]
    settings: dict[object, object] = {key.removeprefix(own): value for key, value in recipe.items()}
    if not prefixes:
        return Named("", run, run, float("nan"), run)
    net, family, size = net_names(settings)
    dataset = str(settings["dataset"])
    before = f"{recipe['start.dataset']} to " if "start.dataset" in recipe else ""
    start = ", pre-trained," if "start" in settings and not before else ""
    return Named(dataset, net, family, size, f"{net}{start} on {before}{dataset}")


def trajectory(recipe: Recipe, num_steps: int) -> str:
    """Describe a transfer's trajectory: `linear, T = 10`."""
    kind = recipe.get("transfer.trajectory", "")
    grid = ", cosine grid" if kind == "linear" and recipe.get("transfer.grid") == "cosine" else ""
    segments = recipe.get("transfer.segments", 1)
    parts = f", {segments} permutations" if segments != 1 else ""
    return f"{kind}{grid}, T = {num_steps}{parts}"


def shown_methods(present: Iterable[str], spec: TransferFigureSpec) -> list[str]:
    """List the methods that a figure shows, in its order.

    Raises ValueError when it names one that no run of it has, with the nearest that they have.
    """
    known = in_order(present)
    for method in spec.methods:
        if method not in known:
            near = get_close_matches(method, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ValueError(
                f"`methods` of the figure names {method}, which none of its runs has: {hint}"
                f"they have {', '.join(known)}"
            )
    return [str(method) for method in spec.methods] or known


def measured(results: DataFrame, kind: str, metric: str, split: str) -> DataFrame:
    """Select the rows of one metric of one kind of run.

    Raises ValueError when there is none, saying what to set.
    """
    rows = results[(results["kind"] == kind) & (results["metric"] == metric)]
    chosen = rows[rows["split"] == split]
    if chosen.empty:
        others = ", ".join(sorted(rows["split"].unique())) or "no split"
        raise ValueError(
            f"no {kind} of this figure has {metric} on {split} (they have it on {others}): set `split` of the figure"
        )
    return chosen


def over_pairs(rows: DataFrame, by: Sequence[str]) -> DataFrame:
    """Average values over pairs: `mean`, `sd` (missing for one pair) and `n`, the pairs that have a value."""
    groups = rows.groupby(list(by), sort=False, dropna=False)["value"]
    return groups.agg(mean="mean", sd="std", n="count").reset_index()


def table_of(rows: Iterable[Mapping[str, object]]) -> DataFrame:
    """Make the table of a figure from rows that may lack some of its columns."""
    return DataFrame([{column: row.get(column) for column in COLUMNS} for row in rows], columns=list(COLUMNS))


def titles(recipe: Recipe, run: str, subtitle: str = "") -> dict[str, object]:
    """Give the cells that say whose panel a row belongs to."""
    found = named(recipe, run)
    return {
        "panel": run,
        "title": found.title,
        "subtitle": subtitle,
        "run": run,
        "dataset": found.dataset,
        "net": found.net,
    }


def named_cells(row: Mapping[object, object]) -> dict[str, object]:
    """Give a row of a table, as pandas has it, as cells by name."""
    return {str(key): value for key, value in row.items()}
