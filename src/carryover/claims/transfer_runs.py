"""The runs of learning transfer in a study, and the numbers that claims read of them, pair by pair."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from carryover.io.recipes import Recipe, recipes

if TYPE_CHECKING:
    from pandas import DataFrame

_OBSERVED = ["pair", "method", "split", "step", "metric", "value"]

At = int | Literal["last", "selected", "first epoch", "all"]
"""Where along a course: a step, the last, the one that validation selected, the end of the first epoch, or the mean."""


@dataclass(frozen=True)
class Reading:
    """One number of each pair of a run."""

    method: str
    at: At = "last"
    metric: str = "accuracy"
    split: Literal["test", "val", "none"] = "test"

    def __str__(self) -> str:
        place = {"all": "", "first epoch": "[epoch 1]"}.get(str(self.at), f"[{self.at}]")
        return f"{self.method}{place}"


@dataclass(frozen=True)
class TransferRun:
    """One run of any kind with its observations."""

    kind: str
    name: str
    recipe: Recipe
    rows: "DataFrame"

    def has(self, method: str) -> bool:
        """Tell whether a method is among its observations."""
        return method in self.methods

    @cached_property
    def methods(self) -> frozenset[str]:
        """Methods that it has observations of."""
        return frozenset(str(method) for method in self.rows["method"].unique())

    def value(self, key: str, default: object = None) -> object:
        """Give a setting of the run or of those that it is built on, as `<kind>.<setting>`."""
        return self.recipe.get(key, default)

    def number(self, key: str) -> float:
        """Give a setting that is a number; nan where there is no such setting."""
        return float(str(self.recipe.get(key, "nan")))

    def read(self, reading: Reading) -> dict[int, float]:
        """Read one number of each pair that has it."""
        rows = self.rows
        rows = rows[(rows["method"] == reading.method) & (rows["metric"] == reading.metric)]
        rows = rows[rows["split"] == reading.split].dropna(subset=["value"])
        if reading.at == "all":
            means = rows.groupby("pair")["value"].mean()
            return dict(zip(means.index.astype(int).tolist(), means.tolist(), strict=True))
        step = rows["pair"].map(self._steps(rows, reading))
        found = rows[rows["step"] == step]
        return {int(pair): float(value) for pair, value in zip(found["pair"], found["value"], strict=True)}

    def diverged(self, method: str) -> set[int]:
        """Name the pairs whose training by a method diverged."""
        rows = self.rows
        gone = rows[(rows["metric"] == "diverged") & (rows["method"] == method)]
        return {int(pair) for pair in gone["pair"]}

    def _steps(self, rows: "DataFrame", reading: Reading) -> dict[int, int]:
        """Give the step that is read, for each pair."""
        match reading.at:
            case "last":
                last = rows.groupby("pair")["step"].max()
                return dict(zip(last.index.astype(int).tolist(), last.tolist(), strict=True))
            case "selected":
                best = self.rows[(self.rows["metric"] == "best") & (self.rows["method"] == reading.method)]
                return {int(pair): int(step) for pair, step in zip(best["pair"], best["step"], strict=True)}
            case "first epoch":
                ends = self.rows[(self.rows["split"] == "train") & (self.rows["step"] > 0)]["step"]
                return dict.fromkeys(rows["pair"], int(ends.min()) if len(ends) else -1)
        return dict.fromkeys(rows["pair"], int(str(reading.at)))


@dataclass(frozen=True)
class Study:
    """All runs of a study."""

    runs: Sequence[TransferRun]

    def of(self, kind: str) -> list[TransferRun]:
        """List the runs of a kind."""
        return [run for run in self.runs if run.kind == kind]

    def named(self, kind: str, name: object) -> Iterator[TransferRun]:
        """Find the run of a kind by its name; none if there is no such run."""
        yield from (run for run in self.of(kind) if run.name == name)

    def target_of(self, run: TransferRun) -> Iterator[TransferRun]:
        """Find the training of a transfer's, or a continuation's, targets."""
        source = run.value("transfer.training")
        yield from self.named("training", run.value("transfer.target_training", source))


def study_of(results: "DataFrame") -> Study:
    """Collect the runs of a study from its observations."""
    known = recipes(results)
    groups = results[["kind", "run", *_OBSERVED]].groupby(["kind", "run"], sort=False)
    return Study([TransferRun(str(k), str(n), known[str(k), str(n)], rows) for (k, n), rows in groups])


def twins(run: TransferRun, others: Sequence[TransferRun], besides: Sequence[str]) -> list[TransferRun]:
    """Find runs that agree with one in every setting but those named; a `*` at the end stands for the rest."""
    free = tuple(key.removesuffix("*") for key in besides if key.endswith("*"))
    fixed = [key for key in besides if not key.endswith("*")]

    def same(other: TransferRun) -> bool:
        keys = (run.recipe.keys() | other.recipe.keys()) - set(fixed)
        return all(run.value(key) == other.value(key) for key in keys if not (free and key.startswith(free)))

    return [other for other in others if other.name != run.name and same(other)]


Select = Callable[[TransferRun], bool]
"""Tells which runs a comparison is about."""
Against = Callable[[TransferRun, Study], Iterator[TransferRun]]
"""Gives the runs that one run is compared with."""
