"""All that a study of few-shot learning measured, as one table with the settings behind every number."""

import pandas
from pandas import DataFrame

from carryover.figures.metaticket_looks import arm_of
from carryover.figures.metaticket_tables import POINT, means_of, none, over_seeds
from carryover.io.fewshot import OBSERVED, RESOLVED, Results

_FIRST = [
    "kind", "run", "training", "method", "home", "dataset", "ways", "shots", "query_shots", "split", "adapted", "norm",
    "step", "layer", "role", "metric", "mean", "sd", "n", "half", "tasks", "seeds",
]  # fmt: skip
_BY = ["kind", "run", "split", "adapted", "norm", "step", "layer", "role", "metric"]
_PASSING = ("seconds", "peak_mb")
"""What differs from one time to the next."""


def tabulate_measurements(results: Results) -> DataFrame:
    """Average every measurement over seeds: all of tests and analyses, the last of each seed's training.

    Columns are the run and what it is of (`method` is `mac-<method>` where units were added at test), where it was
    measured (`step`: inner steps, or outer steps of a training), `mean`, `sd` over the `n` seeds, `half` (half width of
    the 95 % interval over the `tasks` of the mean over these seeds, for scores of tests), `seeds` (the value of each),
    and every setting that some run has. Seconds and memory are in the manifests.
    """
    rows = results.rows[~results.rows["metric"].isin(_PASSING)]
    rows = _last(rows.sort_values(["kind", "run", "seed"], kind="stable"))
    table = over_seeds(rows, _BY)
    tests = rows[(rows["kind"] == "test") & (rows["metric"] != "loss")]
    if len(tests):
        spans = means_of(results, tests)[[*POINT, "metric", "half", "tasks"]]
        table = table.merge(spans.assign(kind="test"), on=["kind", *POINT, "metric"], how="left")
    text = rows["seed"].astype(str) + ":" + rows["value"].map(str)
    table["seeds"] = (
        text.groupby([rows[key] for key in _BY], sort=False, dropna=False).agg(" ".join).to_numpy()
    )
    settings = [column for column in rows.columns if column not in (*OBSERVED, "device", "threads")]
    runs = rows.drop_duplicates(["kind", "run"])[["kind", "run", "training", *settings]]
    arms = [arm_of({str(key): none(cell) for key, cell in row.items()}) for row in runs.to_dict("records")]
    joined = table.merge(runs.assign(method=arms), on=["kind", "run"], how="left")
    others = [column for column in settings if column not in RESOLVED and joined[column].notna().any()]
    order = {"training": 0, "test": 1, "analysis": 2}
    joined = joined.assign(_kind=joined["kind"].map(order))
    joined = joined.sort_values(["_kind", "run", "split", "adapted", "norm", "step"], kind="stable")
    return joined.reindex(columns=[*_FIRST, *others]).reset_index(drop=True)


def _last(rows: DataFrame) -> DataFrame:
    """Keep of trainings what was measured last of every seed, split and metric."""
    own = rows["kind"] == "training"
    end = rows[own].groupby(["run", "seed", "split", "metric"], sort=False)["step"].transform("max")
    return pandas.concat([rows[own][rows[own]["step"] == end], rows[~own]])
