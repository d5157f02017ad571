"""Tabulate the study `omniglot`: every method on Omniglot and on MNIST, with what its training took.

It needs `snakemake --config study=omniglot`; the hour of MAML is added where `study=omniglot.hour` was made too.
"""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pandas
from _report import write_report
from pandas import DataFrame

from carryover.figures.metaticket_looks import FEWSHOT, label_of
from carryover.published.meta_ticket import anchors

RESULTS = Path(__file__).parent.parent / "results"
STEP = 3
"""Inner steps of the table."""
COLUMNS = (
    ("omniglot", "transductive"),
    ("omniglot", "support"),
    ("mnist.digits", "transductive"),
    ("mnist.digits", "support"),
)
"""Data sets, and statistics of batch-norm on the query."""


def accuracies(study: str) -> DataFrame:
    """Read the accuracies on new classes from the table of a study, of nets adapted as they were trained."""
    table = pandas.read_csv(RESULTS / study / "metaticket/table.csv")
    table = table[(table["kind"] == "test") & (table["metric"] == "accuracy")]
    return table[(table["split"] == "test") & (table["adapted"] == "trained")]


def percent(found: DataFrame) -> str:
    """Write a mean with the interval over tasks, and the deviation over seeds in brackets where there are several."""
    if found.empty:
        return "-"
    row = found.iloc[0]
    spread = f" ({100 * row['sd']:.1f})" if row["n"] > 1 else ""
    return f"{100 * row['mean']:.1f} ± {100 * row['half']:.1f}{spread}"


def records(study: str, kinds: str) -> list[dict[str, object]]:
    """Read what the manifests of a study have recorded."""
    paths = sorted((RESULTS / study / "metaticket").glob(f"{kinds}/*/*/manifest.json"))
    return [json.loads(path.read_text())["record"] for path in paths]


def cost(record: dict[str, object]) -> tuple[float, float]:
    """Give the mean seconds of learning of a training's seeds, and the deviation over them."""
    seconds = pandas.Series(record["seconds"], dtype=float)
    return float(seconds.mean()), float(seconds.std())


def minutes(study: str) -> tuple[float, float, int]:
    """Give the minutes from the first start to the last end of all jobs, their sum, and their number."""
    ends = [
        (datetime.fromisoformat(str(r["finished"])), float(str(r["wall_seconds"])))
        for r in records(study, "*")
    ]
    first = min(end - timedelta(seconds=seconds) for end, seconds in ends)
    span = max(end for end, _ in ends) - first
    return span.total_seconds() / 60, sum(seconds for _, seconds in ends) / 60, len(ends)


def the_hour() -> list[str]:
    """Tell how far MAML got in the study `omniglot.hour`, if it was made."""
    if not (RESULTS / "omniglot.hour/metaticket/table.csv").exists():
        return []
    table, (record,) = accuracies("omniglot.hour"), records("omniglot.hour", "trainings")
    (published,) = [
        a
        for a in anchors()
        if (a.source.name, a.trained, a.net[:3]) == ("learn2learn's README", "Omniglot", "MLP")
    ]
    found = {(row["norm"], row["step"]): percent(DataFrame([row])) for _, row in table.iterrows()}
    steps = sorted({step for _, step in found if step})
    told = "; ".join(
        f"{step} inner step{'s' * (step > 1)}: {found['transductive', step]} % transductive, "
        f"{found['support', step]} % by the support"
        for step in steps
    )
    return [
        "",
        f"**An hour of MAML**, 5-way 1-shot, one seed, on test classes, after {cost(record)[0] / 60:.0f} minutes of "
        f"{table.iloc[0]['training.outer_steps']:,.0f} outer steps of 32 tasks: {told}.",
        f"{published.source.name} publishes {100 * published.mean:.1f} % for MAML with this net "
        f"({published.source.recipe}).",
    ]


def main() -> None:
    """Write one line for each method."""
    table = accuracies("omniglot")
    trainings = {str(record["run"]): cost(record) for record in records("omniglot", "trainings")}
    maml = trainings["main-maml"][0]
    heads = [f"{'MNIST' if name.startswith('mnist') else 'Omniglot'}, {norm}" for name, norm in COLUMNS]
    rows: list[list[object]] = [["method", *heads, "training, s", "to MAML"]]
    for arm in FEWSHOT:
        own = table[(table["method"] == arm) & (table["step"] == STEP)]
        if own.empty:
            continue
        cells = [percent(own[(own["dataset"] == name) & (own["norm"] == norm)]) for name, norm in COLUMNS]
        mean, sd = trainings[own.iloc[0]["training"]]
        rows.append([label_of(arm), *cells, f"{mean:.0f} ± {sd:.0f}", f"{mean / maml:.2f}"])
    chance = table[table["step"] == 0]
    span, busy, jobs = minutes("omniglot")
    told = [
        f"5-way 5-shot, MLP x1, 3 seeds, 3,000 outer steps of 4 tasks, then {STEP} inner steps on 1,000 test tasks, "
        "which are the same for",
        "every method and seed. Accuracy in %, ± half the 95 % interval over tasks, in brackets the deviation over "
        "seeds. Batch-norm of the",
        "query is that of all queries of a task (transductive) or that of its support. Tuning: none for any method, "
        "rates are those of the",
        "recipe for Omniglot. `training` is the time of one seed's outer steps, mean and deviation over seeds, on one "
        "thread while another job ran",
        f"beside it. Meta-LTH prunes the MAML above, so both are its cost. At 0 inner steps accuracies are "
        f"{100 * chance['mean'].min():.1f} to {100 * chance['mean'].max():.1f} %.",
        f"Trainings, tests and analyses: {span:.0f} minutes from the first start to the last end; {jobs} jobs of one "
        f"thread, two at a time, {busy:.0f} minutes in sum.",
        *the_hour(),
    ]
    write_report("metaticket_omniglot", "Few-shot learning on Omniglot, and on MNIST after it", told, rows)


if __name__ == "__main__":
    main()
