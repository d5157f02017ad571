"""The runs of few-shot learning in a study, with what claims must know of them: settings, rows, scores of tasks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas
from jaxtyping import Float
from numpy import ndarray

from carryover.io.fewshot import OBSERVED, Results, read_fewshot
from carryover.io.manifest import read_manifest

if TYPE_CHECKING:
    from pandas import DataFrame

Recipe = Mapping[str, object]
"""What is known of a run: settings as `<kind>.<setting>`, those of its training too, and what follows from both."""
TICKETS = ("metaticket", "metaticket-boil")
"""Methods that learn a mask."""
OUTER = {True: ("sgd", 10.0, "cosine"), False: ("adamw", 1e-3, "constant")}
"""Outer optimizer, rate and schedule where a training names none, of methods that learn a mask and of the others.
Source: Meta-ticket, sections 1.6 and 1.10."""

_UNTOLD = {
    "training": {"name", "classes", "evaluate_every", "val_tasks", "batching", "chunk", "start"},
    "test": {
        "training",
        "tasks",
        "steps",
        "adapted",
        "norms",
        "ceiling",
        "dataset",
        "ways",
        "shots",
        "query_shots",
    },
    "analysis": {"training", "dataset"},
}
"""Settings that change no result, that only say what is measured beside it, or that are resolved elsewhere."""
_TASKS = ("dataset", "ways", "shots", "query_shots")


@dataclass(frozen=True)
class FewshotRun:
    """One training, test or analysis with everything that was measured."""

    kind: str
    name: str
    recipe: Recipe
    """Settings without those that are not given; what a training leaves to its method is filled in."""
    rows: "DataFrame"
    scores: Mapping[tuple[int, str, str, int], Float[ndarray, " tasks"]]
    """Of a test, the score of every task by seed, adapted roles, norm and inner steps."""
    diverged: frozenset[int]
    """Seeds that it, or the training behind it, lost."""

    def value(self, key: str, default: object = None) -> object:
        """Give a setting of the run or of its training, as `<kind>.<setting>`."""
        return self.recipe.get(key, default)

    def number(self, key: str) -> float:
        """Give a setting that is a number; nan where there is no such setting."""
        return float(str(self.recipe.get(key, "nan")))

    @property
    def method(self) -> str:
        """Name of the method."""
        return str(self.value("training.method"))

    @property
    def regression(self) -> bool:
        """Whether the targets are numbers."""
        return self.value("training.net.kind") == "regressor"

    @property
    def usual_steps(self) -> int:
        """Inner steps that its training validates with."""
        return int(self.number("training.val_steps"))

    @cached_property
    def tasks(self) -> object:
        """What tells sets of tasks apart; None where a run has no values for each task.

        Of two runs with equal ones the shorter met the first tasks of the longer (`stages/sample_episodes.py`).
        """
        if self.kind != "test":
            return None
        return tuple(self.value(key) for key in (*_TASKS, "test.split"))

    @cached_property
    def identity(self) -> frozenset[tuple[str, object]]:
        """Settings that results follow from; equal for two runs that would measure the same."""
        found = {key: self.value(key) for key in _TASKS}
        for key, value in self.recipe.items():
            kind, _, setting = key.partition(".")
            if kind in {"training", self.kind} and setting not in _UNTOLD[kind]:
                found[key] = value
        return frozenset(found.items())

    def but(self, key: str) -> frozenset[tuple[str, object]]:
        """Give its identity without one setting."""
        return frozenset(item for item in self.identity if item[0] != key)


@dataclass(frozen=True)
class Study:
    """All runs of a study."""

    runs: Sequence[FewshotRun]

    def of(self, kind: str) -> list[FewshotRun]:
        """List the runs of a kind."""
        return [run for run in self.runs if run.kind == kind]


def read_study(manifests: Sequence[Path]) -> Study:
    """Read all runs of a study from their manifests.

    Raises ValueError where `io.fewshot.read_fewshot` does.
    """
    classes: dict[str, object] = {}
    for path in manifests:
        record = read_manifest(path, only=[]).record
        if record.get("kind") == "training" and "classes" in record:
            classes[str(record["run"])] = record["classes"]
    return study_of(read_fewshot(manifests), classes)


def study_of(results: Results, classes: Mapping[str, object]) -> Study:
    """Collect the runs of a study from its observations; `classes` has the number of training classes by training."""
    rows = results.rows
    gone = rows[(rows["kind"] == "training") & (rows["metric"] == "diverged")].groupby("run")["seed"].agg(set)
    scores: dict[str, dict[tuple[int, str, str, int], Float[ndarray, " tasks"]]] = defaultdict(dict)
    for (run, *place), values in results.scores.items():
        scores[run][tuple(place)] = values  # type: ignore[index]
    firsts = rows.drop_duplicates(["kind", "run"]).drop(
        columns=[column for column in OBSERVED if column != "training"]
    )
    runs = []
    for ((kind, name), own), first in zip(
        rows.groupby(["kind", "run"], sort=False), firsts.astype(object).to_dict("records"), strict=True
    ):
        recipe = {str(key): value for key, value in first.items() if pandas.notna(value)}
        training = str(recipe.pop("training"))
        known = classes.get(training)
        recipe |= {"training.name": training} | ({} if known is None else {"training.classes": known})
        diverged = frozenset(int(seed) for seed in gone.get(training, ()))
        of_tasks = scores[str(name)] if kind == "test" else {}
        runs.append(FewshotRun(str(kind), str(name), completed(recipe), own, of_tasks, diverged))
    return Study(runs)


def completed(recipe: Recipe) -> Recipe:
    """Fill in what a training leaves to its method or to other settings, and say "no redraw" in one way only."""
    optimizer, rate, schedule = OUTER[recipe["training.method"] in TICKETS]
    left = {
        "training.optimizer": optimizer,
        "training.outer_lr": rate,
        "training.schedule": schedule,
        "training.query_shots": recipe["training.shots"],
        "training.val_steps": recipe["training.inner_steps"],
    }
    found = {**left, **recipe}
    if not (found.get("training.randomize_prob") and found.get("training.randomize_every")):
        found |= {"training.randomize_prob": 0.0, "training.randomize_every": 0}
    return found
