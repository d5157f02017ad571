"""Results of trainings as tables: what every block measured, joined with the settings of its run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas
from pandas import DataFrame, Series

from carryover.io.manifest import read_manifest
from carryover.io.tables import load_table

METRICS = "metrics.csv"
OBSERVATION = ["run", "seed", "split", "step", "metric", "value"]
"""Columns of a block's metrics.csv: one observation per row."""
ENDS = ["train_loss", "val_accuracy", "val_loss", "test_accuracy", "test_loss"]
DTYPES = {bool: "boolean", int: "Int64", float: "float64", str: "object"}
COUNTS = ["num_weights", "num_kept", "num_trained"]


def read_results(manifests: Sequence[Path]) -> DataFrame:
    """Read the metrics of training blocks as one table, each row with the settings of its run.

    Columns are `run`, `block`, `arm` (a key of the figures' METHODS), every setting that some run has (missing
    where a run has no such setting; those of the net as `net.kind`, `net.hidden`, ...), and `seed`, `split`,
    `step`, `metric`, `value`. Rows stay in the order of the manifests.
    Raises ValueError when a manifest or what it vouches for is missing or damaged, when the file is no result of
    a training, or when two blocks hold the same seed of a run.
    """
    settings: dict[str, dict[str, object]] = {}
    tables: list[DataFrame] = []
    for path in manifests:
        run, block, own = _block(path)
        if settings.setdefault(run, own) != own:
            raise ValueError(
                f"{path}: its settings differ from those of another block of {run}: delete the older"
            )
        tables.append(_metrics(path, run).assign(block=block))
    rows = pandas.concat(tables, ignore_index=True)
    _check_seeds(rows)
    joined = settings_table(settings).merge(rows, on="run", how="right")
    first = ["run", "block", "arm"]
    return joined[[*first, *(column for column in joined.columns if column not in first)]]


def per_seed(results: DataFrame) -> DataFrame:
    """Give one row per run and seed: its settings, and what its last step gave.

    `steps` is the number of steps taken. A seed that diverged was stopped there: its `diverged` is true, and it
    has no accuracy, loss or counts. Wall times are in the manifests only.
    """
    key = ["run", "seed"]
    end = results.groupby(key, sort=False)["step"].transform("max")
    settings = [column for column in results.columns if column not in OBSERVATION]
    seeds = results.drop_duplicates(key)[[*key, *settings]].set_index(key)
    diverged = results[results["metric"] == "diverged"].set_index(key).index
    last = results[results["step"] == end]
    name = last["metric"].where(last["split"] == "none", last["split"] + "_" + last["metric"])
    values = last.assign(name=name).pivot(index=key, columns="name", values="value")
    seeds["steps"] = last.drop_duplicates(key).set_index(key)["step"]
    seeds["diverged"] = seeds.index.isin(diverged)
    for column in (*ENDS, *COUNTS):
        seeds[column] = values[column] if column in values else float("nan")
    seeds.loc[seeds["diverged"], [*ENDS, *COUNTS]] = float("nan")
    return seeds.astype(dict.fromkeys(COUNTS, "Int64")).reset_index()


def plain_rows(table: DataFrame) -> list[dict[str, object]]:
    """Turn a table into rows for `save_table`; a missing value becomes None."""
    columns = [str(column) for column in table.columns]
    cells = table.astype(object).where(table.notna(), None).to_numpy()
    return [dict(zip(columns, row, strict=True)) for row in cells]


def _block(path: Path) -> tuple[str, str, dict[str, object]]:
    """Read a manifest: its run, its block of seeds, and its settings with the arm they make."""
    manifest = read_manifest(path)
    run = manifest.record.get("run")
    if METRICS not in manifest.outputs or not isinstance(run, str) or not manifest.spec or not manifest.seeds:
        raise ValueError(
            f"{path} is not the manifest of a training block: give those of results/<study>/iterand"
        )
    own = flat(json.loads(manifest.spec))
    arm = own["method"] if own["method"] == "dense" else f"{own['method']}-{own['weights']}"
    return run, manifest.seeds, {"arm": arm, **own}


def flat(settings: Mapping[str, object]) -> dict[str, object]:
    """Flatten nested settings to `outer.inner`; a list becomes text, `32-32`."""
    found: dict[str, object] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= {f"{key}.{inner}": each for inner, each in flat(value).items()}
        else:
            found[key] = "-".join(map(str, value)) if isinstance(value, list) else value
    return found


def settings_table(settings: Mapping[str, Mapping[str, object]]) -> DataFrame:
    """Make one row per run; whole numbers stay whole where a run has no such setting."""
    columns = sorted({key for own in settings.values() for key in own})
    table = {"run": Series(list(settings), dtype=object)}
    for column in columns:
        values = [own.get(column) for own in settings.values()]
        kinds = {type(value) for value in values if value is not None}
        table[column] = Series(values, dtype=DTYPES[kinds.pop()] if len(kinds) == 1 else object)
    return DataFrame(table)


def _metrics(path: Path, run: str) -> DataFrame:
    table = load_table(path.with_name(METRICS))
    if list(table.columns) != OBSERVATION or not (table["run"] == run).all():
        raise ValueError(
            f"{path.with_name(METRICS)} is no table of {run} with the columns {', '.join(OBSERVATION)}: delete its "
            "folder and run the same command to make it again"
        )
    return table


def _check_seeds(rows: DataFrame) -> None:
    blocks = rows.drop_duplicates(["run", "block", "seed"])
    twice = blocks[blocks.duplicated(["run", "seed"])]
    if len(twice):
        run, seed, block = twice.iloc[0][["run", "seed", "block"]]
        raise ValueError(
            f"seed {seed} of {run} is in block {block} and in another one: keep one of the two blocks"
        )
