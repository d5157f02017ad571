"""What is known of each run of learning transfer, and which of its observations count as its result."""

from collections.abc import Mapping

import pandas
from pandas import DataFrame, Series

OBSERVED = ("kind", "run", "block", "pair", "method", "split", "step", "metric", "value")
"""Columns of results that are no settings."""
BASES = {
    "transfer": "training",
    "continuation": "transfer",
    "landscape": "transfer",
    "ensemble": "continuation",
}
"""Kind of run that a run of a kind is built on, which it names in a setting called so."""

Recipe = Mapping[str, object]
"""What is known of a run: settings as `<kind>.<setting>`, its own and those of the runs that it is built on."""


def recipes(results: DataFrame) -> dict[tuple[str, str], Recipe]:
    """Collect the settings of every run, by kind and name, with those of the runs that it is built on."""
    columns = [column for column in results.columns if column not in OBSERVED]
    firsts = results.drop_duplicates(["kind", "run"]).set_index(["kind", "run"])[columns]
    own = {
        (str(kind), str(run)): {str(key): value for key, value in row.items() if pandas.notna(value)}
        for (kind, run), row in zip(firsts.index, firsts.astype(object).to_dict("records"), strict=True)
    }
    return {key: _known(*key, own) for key in own}


def _known(kind: str, run: str, own: Mapping[tuple[str, str], Mapping[str, object]]) -> Recipe:
    settings = own.get((kind, run), {})
    recipe = {f"{kind}.{key}": value for key, value in settings.items()}
    if kind == "training":
        start = own.get((kind, str(settings.get("start"))), {})
        return recipe | {f"start.{key}": value for key, value in start.items()}
    base = BASES.get(kind)
    return recipe | dict(_known(base, str(settings.get(base)), own) if base else {})


def at_selected(transfers: DataFrame, rows: DataFrame) -> DataFrame:
    """Keep of `rows`, observations of transfers, those at the step that each pair and method selected on validation.

    What selects no step (the source, standard training) counts at its last one.
    """
    key = ["run", "pair", "method"]
    chosen = transfers[(transfers["kind"] == "transfer") & (transfers["metric"] == "best")]
    best = chosen.set_index(key)["step"]
    last = rows.groupby(key, sort=False)["step"].max()
    wanted = best.reindex(last.index).fillna(last).rename("wanted")
    return rows.merge(wanted.reset_index(), on=key).query("step == wanted").drop(columns="wanted")


def at_last(rows: DataFrame) -> DataFrame:
    """Keep the observations at the last step of each run, pair and method."""
    end = rows.groupby(["run", "pair", "method"], sort=False)["step"].transform("max")
    return rows[rows["step"] == end]


def epoch_steps(results: DataFrame) -> Series:
    """Give the optimizer steps of one epoch of each training, by run: it reports its loss after each epoch."""
    rows = results[results["kind"].isin(["training", "continuation"]) & (results["split"] == "train")]
    return rows[rows["step"] > 0].groupby("run")["step"].min()
