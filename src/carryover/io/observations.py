"""Results of learning transfer as one table: what every run measured, pair by pair, joined with its settings."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas
from pandas import DataFrame

from carryover.io.manifest import Manifest, read_manifest
from carryover.io.results import METRICS, flat, settings_table
from carryover.io.tables import load_table

OBSERVATION = ["run", "pair", "method", "split", "step", "metric", "value"]
"""Columns of a block's metrics.csv: one observation per row."""


def read_observations(manifests: Sequence[Path]) -> DataFrame:
    """Read the metrics of blocks as one table, each row with the settings of its run.

    Columns are `kind`, `run`, `block`, `pair`, `method`, `split`, `step`, `metric`, `value`, then every setting that
    some run has (missing where a run has no such setting; those of the net as `net.kind`, ...). Seconds, which a
    manifest records, are rows with the metric `seconds`.
    Raises ValueError when a manifest or its table is missing or damaged, when two blocks of a run differ in settings,
    or when they hold the same pair in the same part.
    """
    settings: dict[str, dict[str, object]] = {}
    tables: list[DataFrame] = []
    for path in manifests:
        manifest = read_manifest(path, only=[METRICS])
        kind, run = str(manifest.record.get("kind")), str(manifest.record.get("run"))
        if METRICS not in manifest.outputs or not manifest.spec or "kind" not in manifest.record:
            raise ValueError(f"{path} is not the manifest of a run of learning transfer")
        own = flat(json.loads(manifest.spec))
        if settings.setdefault(f"{kind}/{run}", own) != own:
            raise ValueError(
                f"{path}: its settings differ from those of another block of {kind} {run}: delete the older"
            )
        tables.append(_block(path, manifest).assign(kind=kind, block=manifest.seeds, key=f"{kind}/{run}"))
    rows = pandas.concat(tables, ignore_index=True)
    _check_pairs(rows)
    columns = ["kind", "run", "block", "pair", "method", "split", "step", "metric", "value"]
    table = settings_table(settings).rename(columns={"run": "key"})
    # a setting that is called as a column, such as the method of a synced run, is told by the rows themselves
    table = table.drop(columns=[column for column in columns if column in table])
    joined = rows.merge(table, on="key", how="left")
    return joined[[*columns, *(c for c in joined.columns if c not in (*columns, "key"))]]


def _block(path: Path, manifest: Manifest) -> DataFrame:
    table = load_table(path.with_name(METRICS))
    if list(table.columns) != OBSERVATION:
        raise ValueError(
            f"{path.with_name(METRICS)} has not the columns {', '.join(OBSERVATION)}: delete its folder and run the "
            "same command to make it again"
        )
    seconds = manifest.record.get("seconds")
    if not isinstance(seconds, Mapping):
        return table
    last = table.groupby(["pair", "method"])["step"].max()
    rows = [
        dict(
            zip(
                OBSERVATION,
                (manifest.record["run"], int(pair), method, "none", step, "seconds", value),
                strict=True,
            )
        )
        for (pair, method), value, step in _located(seconds, last)
    ]
    return pandas.concat([table, DataFrame(rows)], ignore_index=True) if rows else table


def _located(seconds: Mapping[str, object], last: pandas.Series) -> list[tuple[tuple[int, str], object, int]]:
    """Split `1/gmt` into pair and method, and give each the last step that was measured of it."""
    found = []
    for name, value in seconds.items():
        pair, _, method = name.partition("/")
        key = (int(pair), method)
        if key in last.index:
            found.append((key, value, int(last[key])))
    return found


def _check_pairs(rows: DataFrame) -> None:
    blocks = rows.drop_duplicates(["key", "block", "pair", "method"])
    twice = blocks[blocks.duplicated(["key", "pair", "method"])]
    if len(twice):
        key, pair, block = twice.iloc[0][["key", "pair", "block"]]
        raise ValueError(
            f"pair {pair} of {key} is in block {block} and in another one: keep one of the two blocks"
        )
