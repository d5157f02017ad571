"""From results of few-shot learning to the tables that its figures are drawn from.

Two spreads are kept apart everywhere: `sd` is the standard deviation over seeds (other starts, other training tasks),
`half` the half width of the 95 % interval over tasks of the mean over these seeds (other test tasks, the same nets).
`steps` are the inner steps of the test, `inner_steps` those of the training, K.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import nan, sqrt

import numpy as np
import pandas
from jaxtyping import Float
from numpy import ndarray
from pandas import DataFrame
from scipy.special import stdtrit

from carryover.figures.metaticket_looks import arm_of, in_order, in_short, label_of, net_names
from carryover.figures.metaticket_settings import FewshotFigureSettings
from carryover.io.fewshot import Results

LEVEL = 0.95
"""Confidence level of intervals."""
COLUMNS = (
    "panel", "title", "subtitle", "part", "run", "training", "home", "dataset", "net", "family", "method", "label",
    "inner_steps", "adapted", "norm", "split", "steps", "quantity", "axis", "place", "x", "mean", "sd", "n", "half",
    "tasks",
)  # fmt: skip
"""Columns of the table of every figure: `part` says what a row is, `panel`, `place` and `x` where it is drawn."""
POINT = ["run", "split", "adapted", "norm", "step"]
"""What tells apart the measurements of a test."""
_NO_VARIANTS = {
    "batching", "ceiling", "chunk", "dataset", "evaluate_every", "method", "query_shots", "shots", "split", "start",
    "steps", "adapted", "norms", "tasks", "training", "val_steps", "val_tasks", "ways",
}  # fmt: skip
"""Settings that are shown elsewhere, or that change no result: no remark behind a method's name."""

Row = dict[str, object]


def task_interval(scores: Sequence[Float[ndarray, " tasks"]]) -> tuple[float, int]:
    """Give the half width of the 95 % interval over tasks of a mean over seeds, and the number of tasks.

    All seeds meet the same tasks, so the score of a task is its mean over seeds; half width t sd / sqrt(tasks) with
    Student's t. It is nan for a single task.
    """
    of_tasks = np.mean(scores, axis=0)
    count = len(of_tasks)
    if count < 2:
        return nan, count
    return float(stdtrit(count - 1, 0.5 + LEVEL / 2) * of_tasks.std(ddof=1) / sqrt(count)), count


def over_seeds(rows: DataFrame, by: Sequence[str]) -> DataFrame:
    """Average values over seeds: `mean`, `sd` (missing for one seed) and `n`."""
    groups = rows.groupby(list(by), sort=False, dropna=False)["value"]
    return groups.agg(mean="mean", sd="std", n="count").reset_index()


def means_of(results: Results, rows: DataFrame) -> DataFrame:
    """Average rows of tests over seeds, each with the interval over its tasks."""
    table = over_seeds(rows, [*POINT, "metric"])
    seeds = rows.groupby(POINT, sort=False)["seed"].unique()
    spans = []
    for run, split, adapted, norm, step in table[POINT].itertuples(index=False):
        keys = [(run, int(seed), adapted, norm, int(step)) for seed in seeds[run, split, adapted, norm, step]]
        known = [results.scores[key] for key in keys if key in results.scores]
        spans.append(task_interval(known) if known else (nan, 0))
    return table.assign(half=[half for half, _ in spans], tasks=[tasks for _, tasks in spans])


def points(
    results: Results, rows: DataFrame, along: Sequence[str] = (), *, by_home: bool = False
) -> DataFrame:
    """Average rows of tests as `means_of` does, and add what `cells_of` says of their runs."""
    table = means_of(results, rows).merge(cells_of(rows, along, by_home=by_home), on="run")
    return table.rename(columns={"metric": "quantity", "step": "steps"}).assign(part="result")


def at_step(results: Results, spec: FewshotFigureSettings) -> DataFrame:
    """Select the accuracies that a drawing of single values shows: those at its number of inner steps.

    Without `step` it is the largest of all tests. A test that is there for its ceiling need not have it.
    Raises ValueError when another test has not been measured at this step, or when there is no test.
    """
    rows = scored(results, "accuracy")
    step = int(rows["step"].max()) if spec.step is None else spec.step
    chosen = rows[rows["step"] == step]
    for run in rows["run"].unique():
        own = rows[rows["run"] == run]
        if run not in set(chosen["run"]) and not bool(own["test.ceiling"].iloc[0]):
            steps = ", ".join(str(int(each)) for each in sorted(own["step"].unique()))
            raise ValueError(
                f"{run} was not measured after {step} inner steps, only after {steps}: set `step`"
            )
    return chosen


def scored(results: Results, metric: str) -> DataFrame:
    """Select the scores of all tests but their ceilings: `accuracy`, or the `mse` of regressions.

    Raises ValueError when there is none.
    """
    rows = results.rows
    rows = rows[(rows["kind"] == "test") & (rows["metric"] == metric) & (rows["adapted"] != "ceiling")]
    if rows.empty:
        raise ValueError(
            f"no test of this figure has {metric}: name tests of {'images' * (metric == 'accuracy') or 'sinusoids'}"
        )
    return rows


def as_trained(rows: DataFrame) -> DataFrame:
    """Keep what was adapted and normalised as in the training."""
    return rows[(rows["adapted"] == "trained") & (rows["norm"] == rows["training.norm"])]


def cells_of(rows: DataFrame, along: Sequence[str] = (), *, by_home: bool = False) -> DataFrame:
    """Say of every run in which panel it is, under which name, and what it is: a row for each run.

    Runs share a panel when they are of one data set, net, and size of tasks. Runs of one method in a panel are told
    apart by the setting in which they differ, or, when they differ in several, all but the first by the name of their
    training; `along` names settings that are shown along an axis instead (`training.net.width` puts a family of nets
    into one panel). With `by_home` the data set is that of the training.
    """
    runs = rows.drop_duplicates("run").set_index("run", drop=False)
    plain = [{str(key): none(value) for key, value in row.items()} for row in runs.to_dict("records")]
    nets = [net_names(row) for row in plain]
    wide = "training.net.width" in along
    found = DataFrame(
        {
            "run": list(runs["run"]),
            "training": list(runs["training"]),
            "home": list(runs["home"]),
            "dataset": list(runs["dataset"]),
            "title": [
                _title(row, net[1] if wide else net[0], by_home=by_home)
                for row, net in zip(plain, nets, strict=True)
            ],
            "subtitle": [_subtitle(row, along, by_home=by_home) for row in plain],
            "method": [arm_of(row) for row in plain],
            "net": [net[0] for net in nets],
            "family": [net[1] for net in nets],
            "width": [net[2] for net in nets],
            "inner_steps": list(runs["training.inner_steps"]),
        }
    )
    found["panel"] = found["title"] + ", " + found["subtitle"]
    found["label"] = _labels(found, plain, along)
    return found


def none(value: object) -> object:
    """Give a cell, or None where it is missing."""
    return None if value is None or pandas.isna(value) is True else value  # type: ignore[call-overload]


def _title(row: Mapping[str, object], net: str, *, by_home: bool) -> str:
    if by_home:
        return f"trained on {row['home']}, {net}"
    return f"{row['dataset']}, {net}"


def _subtitle(row: Mapping[str, object], along: Sequence[str], *, by_home: bool) -> str:
    free = {key.partition(".")[2] for key in along}
    ways = "" if "ways" in free else f"{row['ways']}-way"
    shots = "" if "shots" in free else f"{row['shots']}-shot"
    size = f"{ways} {shots}".strip()
    if row["training.net.kind"] == "regressor":
        size = f"{row['shots']} points"
    parts = [size]
    if not by_home and row["home"] != row["dataset"]:
        parts.append(f"trained on {row['home']}")
    before = (row["training.ways"], row["training.shots"])
    if before != (row["ways"], row["shots"]) and not free & {"ways", "shots"}:
        parts.append(f"trained with {before[0]}-way {before[1]}-shot")
    return ", ".join(parts)


def _labels(found: DataFrame, plain: Sequence[Row], along: Sequence[str]) -> list[str]:
    """Name the series of every run; see `cells_of`."""
    labels = [""] * len(plain)
    for _, group in found.groupby(["panel", "method"], sort=False):
        own = [plain[int(index)] for index in group.index]
        differ = [key for key in own[0] if _tells(key, along) and len({str(row[key]) for row in own}) > 1]
        for index, row in zip(group.index, own, strict=True):
            variant = ""
            if len(differ) == 1:
                variant = in_short(differ[0].partition(".")[2], row[differ[0]])
            elif any(row[key] != own[0][key] for key in differ):
                variant = str(row["training"])
            labels[int(index)] = label_of(str(found.loc[int(index), "method"]), variant)
    return labels


def _tells(key: str, along: Sequence[str]) -> bool:
    """Tell whether a column is a setting that may tell runs of one method apart."""
    kind, _, setting = key.partition(".")
    if kind not in ("training", "test", "analysis") or not setting or key in along:
        return False
    return setting not in _NO_VARIANTS and not setting.startswith("net.")


def table_of(rows: Iterable[Mapping[str, object]] | DataFrame) -> DataFrame:
    """Make the table of a figure from rows that may lack some of its columns."""
    table = rows if isinstance(rows, DataFrame) else DataFrame(list(rows))
    return table.reindex(columns=list(COLUMNS))


def ordered(table: DataFrame) -> DataFrame:
    """Order a table by panel as they come, then by method; drop a point that two tests of one training measured.

    Raises ValueError when two runs fall on one point of the figure.
    """
    place = ["panel", "part", "label", "adapted", "norm", "split", "quantity", "place", "x"]
    own = table[~table["part"].isin(["chance", "ceiling", "anchor"])]
    again = own.duplicated([*place, "training", "tasks"])
    own = own[~again]
    twice = own[own.duplicated(place, keep=False)]
    if len(twice):
        cells = twice[place].astype(object).fillna("")
        first = twice[(cells == cells.iloc[0]).all(axis=1)]
        runs = list(first["run"])
        raise ValueError(
            f"{runs[0]} and {runs[1]} fall on one point of the figure ({first['label'].iloc[0]} in the panel "
            f"{first['panel'].iloc[0]}): name runs that differ in what it shows"
        )
    kept = pandas.concat([own, table[table["part"].isin(["chance", "ceiling", "anchor"])]])
    panels = list(table["panel"].unique())
    methods = in_order(str(method) for method in own["method"].dropna())
    keys = {
        "_panel": kept["panel"].map(panels.index),
        "_method": kept["method"].map(
            lambda method: methods.index(method) if method in methods else len(methods)
        ),
    }
    placed = kept.assign(**keys).sort_values([*keys, "label", "x"], kind="stable")
    return placed.drop(columns=list(keys)).reset_index(drop=True)


def levels(results: Results, table: DataFrame) -> DataFrame:
    """Give for every panel of a table of accuracies its chance level, and its ceiling where a test has fitted one.

    `part` is `chance` or `ceiling`; `place` is their data set where a panel has several. The ceiling is that
    of tests with the same data set, split and size of tasks.
    """
    rows = results.rows[results.rows["kind"] == "test"]
    tops = rows[(rows["adapted"] == "ceiling") & (rows["metric"] == "accuracy")]
    sizes = rows.drop_duplicates("run").set_index("run")[["ways", "shots", "dataset"]]
    out: list[Row] = []
    for _, own in table.groupby(["panel", "dataset", "split"], sort=False):
        first: Row = {str(key): value for key, value in own.iloc[0].items()}
        kept = {key: first.get(key) for key in ("panel", "title", "subtitle", "dataset", "split", "quantity")}
        kept["place"] = first["dataset"] if first.get("place") == first["dataset"] else None
        ways, shots, dataset = (str(cell) for cell in sizes.loc[str(first["run"])])
        out.append({**kept, "part": "chance", "mean": 1 / int(ways)})
        same = tops[
            (tops["dataset"] == dataset) & (tops["ways"] == int(ways)) & (tops["shots"] == int(shots))
        ]
        same = same[(same["split"] == first["split"])]
        if len(same):
            means = means_of(results, same[same["step"] == same["step"].min()]).iloc[0]
            out.append(
                {**kept, "part": "ceiling", **{key: means[key] for key in ("mean", "n", "half", "tasks")}}
            )
    return table_of(out)
