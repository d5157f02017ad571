"""Results of few-shot learning as tables: what every run measured, joined with its settings and its training's."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas
from jaxtyping import Float
from numpy import float64, ndarray
from pandas import DataFrame

from carryover.io.manifest import Manifest, read_manifest
from carryover.io.results import METRICS, flat, settings_table
from carryover.io.tables import load_table

TASKS = "tasks.safetensors"
"""File of a test with the score of every task."""
PLACES: dict[str, list[str]] = {
    "training": ["split", "step"],
    "test": ["split", "adapted", "norm", "step"],
    "analysis": ["layer", "role"],
}
"""Where an observation of each kind of run was made, between `run`, `seed` and `metric`, `value` of its metrics.csv."""
OBSERVED = [
    "kind", "run", "block", "training", "seed", "split", "adapted", "norm", "step", "layer", "role", "metric", "value",
]  # fmt: skip
"""Columns of all results that are no settings."""
RESOLVED = ["method", "home", "dataset", "ways", "shots", "query_shots", "device", "threads"]
"""What follows from settings and manifests: `home` has the tasks of the training, `dataset` those that were met."""

Key = tuple[str, int, str, str, int]
"""Where scores of tasks belong: run, seed, adapted, norm, inner steps."""
Settings = dict[str, object]


@dataclass(frozen=True)
class Results:
    """What runs of few-shot learning measured."""

    rows: DataFrame
    """One observation per row."""
    scores: Mapping[Key, Float[ndarray, " tasks"]]
    """Accuracy (a fraction) or mean squared error of every task of the tests, in the order of their stored tasks."""


def read_fewshot(manifests: Sequence[Path]) -> Results:
    """Read trainings, tests and analyses as one table, each row with the settings behind it.

    Columns are OBSERVED (missing where a kind of run has no such place), RESOLVED, and every setting that some run
    has, as `training.<setting>` (of the training that a test or an analysis is of, too), `test.<setting>` and
    `analysis.<setting>`; those of the net are `training.net.kind`, ... Seconds and memory, which the manifest of a
    training records, are rows with the metrics `seconds` and `peak_mb` at its last step.
    Raises ValueError when a manifest or a file of it is missing or damaged, when the training of a run is not among
    the manifests, when two blocks of a run differ in settings, or when they hold the same seed.
    """
    settings: dict[str, Settings] = {}
    tables: list[DataFrame] = []
    scores: dict[Key, Float[ndarray, " tasks"]] = {}
    for path in manifests:
        manifest = read_manifest(path, only=[METRICS, TASKS])
        kind, run = str(manifest.record.get("kind")), str(manifest.record.get("run"))
        if METRICS not in manifest.outputs or not manifest.spec or kind not in PLACES:
            raise ValueError(f"{path} is not the manifest of a run of few-shot learning")
        own: Settings = flat(json.loads(manifest.spec))
        if settings.setdefault(f"{kind}/{run}", own) != own:
            raise ValueError(
                f"{path}: its settings differ from those of another block of {kind} {run}: delete the older"
            )
        training = run if kind == "training" else str(own["training"])
        places = {"kind": kind, "block": str(manifest.seeds), "training": training, "key": f"{kind}/{run}"}
        device = str(manifest.record.get("device") or "")
        threads = int(str(manifest.record.get("threads") or 0))
        tables.append(_block(path, manifest, kind).assign(**places, device=device, threads=threads))
        if kind == "test":
            scores |= _scores(path, run)
    rows = pandas.concat(tables, ignore_index=True)
    _check_seeds(rows)
    known = settings_table({key: _known(key, settings) for key in settings}).rename(columns={"run": "key"})
    joined = rows.merge(known, on="key", how="left")
    first = [*OBSERVED, *RESOLVED]
    return Results(
        joined.reindex(columns=[*first, *(c for c in known.columns if c not in (*first, "key"))]), scores
    )


def _block(path: Path, manifest: Manifest, kind: str) -> DataFrame:
    table = load_table(path.with_name(METRICS))
    columns = ["run", "seed", *PLACES[kind], "metric", "value"]
    if list(table.columns) != columns or not (table["run"] == manifest.record["run"]).all():
        raise ValueError(
            f"{path.with_name(METRICS)} is no table of {manifest.record['run']} with the columns {', '.join(columns)}: "
            "delete its folder and run the same command to make it again"
        )
    costs = DataFrame(_costs(table, manifest), columns=columns) if kind == "training" else DataFrame()
    return pandas.concat([table, costs], ignore_index=True) if len(costs) else table


def _costs(table: DataFrame, manifest: Manifest) -> Iterator[Settings]:
    """Yield seconds and memory of the seeds of a training; memory is that of the process, which trains all of them."""
    seconds, peak = manifest.record.get("seconds"), manifest.record.get("peak_mb")
    for seed, last in table.groupby("seed")["step"].max().items():
        place: Settings = {"run": manifest.record["run"], "seed": seed, "split": "none", "step": last}
        if isinstance(seconds, Mapping) and str(seed) in seconds and manifest.record.get("attempt", 1) == 1:
            yield {**place, "metric": "seconds", "value": seconds[str(seed)]}
        if peak is not None:
            yield {**place, "metric": "peak_mb", "value": peak}


def _scores(path: Path, run: str) -> dict[Key, Float[ndarray, " tasks"]]:
    """Read the scores of all tasks of a block; a ceiling is reached without inner steps."""
    # torch takes seconds to import, which figures without tests need not spend
    from carryover.io.checkpoint import load_tensors

    tensors, notes = load_tensors(path.with_name(TASKS))
    measured = [int(step) for step in notes.get("steps", "").split(",") if step]
    found: dict[Key, Float[ndarray, " tasks"]] = {}
    for name, tensor in tensors.items():
        seed, adapted, norm = name.split("/")
        steps = [0] if adapted == "ceiling" else measured
        if tensor.ndim != 2 or len(tensor) != len(steps):
            raise ValueError(
                f"{path.with_name(TASKS)} has scores of shape {tuple(tensor.shape)} as {name}, for {len(steps)} "
                "numbers of inner steps: delete its folder and run the same command to make it again"
            )
        for step, of_tasks in zip(steps, tensor.numpy().astype(float64), strict=True):
            found[run, int(seed), adapted, norm, step] = of_tasks
    return found


def _known(key: str, settings: Mapping[str, Settings]) -> Settings:
    """Put together what is known of a run: its settings, those of its training, and what follows from both."""
    kind, _, run = key.partition("/")
    own = settings[key]
    name = run if kind == "training" else str(own["training"])
    if f"training/{name}" not in settings:
        raise ValueError(
            f"{run} is a {kind} of the training {name}: give the manifest of this training as well"
        )
    training = settings[f"training/{name}"]
    found = {f"training.{setting}": value for setting, value in training.items()}
    found |= {f"{kind}.{setting}": value for setting, value in own.items()}
    shots = _own(own, training, "shots")
    resolved = {
        "method": training["method"],
        "home": training["dataset"],
        "dataset": _own(own, training, "dataset"),
        "ways": _own(own, training, "ways"),
        "shots": shots,
        "query_shots": _own(own, training, "query_shots") or shots,
    }
    return resolved | found


def _own(own: Settings, training: Settings, setting: str) -> object:
    """Give a setting of a run, or that of its training where the run has none."""
    value = own.get(setting)
    return training.get(setting) if value is None else value


def _check_seeds(rows: DataFrame) -> None:
    blocks = rows.drop_duplicates(["key", "block", "seed"])
    twice = blocks[blocks.duplicated(["key", "seed"])]
    if len(twice):
        key, seed, block = twice.iloc[0][["key", "seed", "block"]]
        raise ValueError(
            f"seed {seed} of {key} is in block {block} and in another one: keep one of the two blocks"
        )
