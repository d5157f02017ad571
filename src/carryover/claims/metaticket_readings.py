"""The numbers that claims about few-shot learning read of a run: for each seed one value, or one for each task."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float

from carryover.claims.check import ACCURACY
from carryover.claims.metaticket_runs import FewshotRun

if TYPE_CHECKING:
    from pandas import Series

BySeed = dict[int, Float[np.ndarray, " n"]]
"""Values by seed: one for each task, or a single one."""
CKA, CHANGE, SPARSITY = "ratio, linear CKA", "ratio, change of weights", "ratio, pruned weights"
SQUARED_ERROR = "squared error"


@dataclass(frozen=True)
class Score:
    """Accuracy on every task of a test, or the squared error."""

    steps: int | None = None
    """Inner steps; as many as its training validates with when they are not given."""
    adapted: Literal["trained", "body", "head"] = "trained"
    """Roles that the inner loop moved."""
    norm: Literal["trained", "support"] = "trained"
    """Statistics of batch-norm on the query: those of training, or those of the support."""

    def of(self, run: FewshotRun) -> BySeed:
        """Read the score of every task, by seed; none where it was not measured."""
        steps = run.usual_steps if self.steps is None else self.steps
        norm = str(run.value("training.norm")) if self.norm == "trained" else self.norm
        wanted = (self.adapted, norm, steps)
        return {seed: values for (seed, *place), values in run.scores.items() if tuple(place) == wanted}

    def unit(self, run: FewshotRun) -> str:
        """Name the unit."""
        return SQUARED_ERROR if run.regression else ACCURACY

    def split(self, run: FewshotRun) -> str:
        """Name the split."""
        return str(run.value("test.split"))

    def __str__(self) -> str:
        words = [] if self.steps is None else [f"{self.steps} steps"]
        words += [] if self.adapted == "trained" else [f"{self.adapted} adapted"]
        words += [] if self.norm == "trained" else [f"{self.norm} statistics"]
        return f"[{', '.join(words)}]" if words else ""


@dataclass(frozen=True)
class Feature:
    """What adaptation changes, of an analysis: features of a layer, or weights."""

    metric: Literal["cka", "change"]
    where: Literal["last", "least", "body"]
    """The last hidden layer, the hidden layer of the least value, or the mean over hidden weights."""

    def of(self, run: FewshotRun) -> BySeed:
        """Read one value for each seed; none where it was not measured."""
        rows = run.rows[run.rows["metric"] == self.metric].dropna(subset=["value"])
        if self.where == "body":
            return _single(rows[rows["role"] == "body"].groupby("seed")["value"].mean())
        if self.where == "least":
            return _single(rows.groupby("seed")["value"].min())
        depth = rows["layer"].astype(int)
        return _single(rows[depth == depth.max()].groupby("seed")["value"].mean())

    def unit(self, run: FewshotRun) -> str:
        """Name the unit."""
        return CKA if self.metric == "cka" else CHANGE

    def split(self, run: FewshotRun) -> str:
        """Name the split."""
        return str(run.value("analysis.split"))

    def __str__(self) -> str:
        return {"last": "[last hidden layer]", "least": "[hidden layers]", "body": "[hidden weights]"}[
            self.where
        ]


@dataclass(frozen=True)
class Sparsity:
    """The pruned fraction of masked weights in a training."""

    at: Literal["end", "ever", "first half", "second half"] = "end"
    """At the end, the highest that was recorded, or the rise in the first half of the training and in the rest."""
    over: Literal["mean", "most", "least"] = "mean"
    """The mean over tensors, or the tensor that is pruned the most or the least."""

    def of(self, run: FewshotRun) -> BySeed:
        """Read one value for each seed; none where it was not recorded."""
        rows = run.rows[run.rows["metric"].str.startswith("sparsity/")]
        if rows.empty:
            return {}
        rows = rows.astype({"step": int})  # a column that analyses lack comes as floats
        courses = rows.pivot_table(index=["seed", "metric"], columns="step", values="value")
        steps = [int(str(step)) for step in courses.columns]
        values = courses.max(axis=1) if self.at == "ever" else courses[max(steps)]
        if self.at.endswith("half"):
            middle = self._middle(steps, run)
            if middle is None:
                return {}
            start = run.number("training.initial_sparsity")
            values = courses[middle] - start if self.at == "first half" else values - courses[middle]
        groups = values.dropna().groupby("seed")  # a seed that diverged has no end
        joined = {"mean": groups.mean(), "most": groups.max(), "least": groups.min()}
        return _single(joined[self.over])

    def _middle(self, steps: Sequence[int], run: FewshotRun) -> int | None:
        """Give the last recorded step of the first half; None where none is in its last third."""
        total = run.number("training.outer_steps")
        return max((step for step in steps if total / 3 <= step <= total / 2), default=None)

    def unit(self, run: FewshotRun) -> str:
        """Name the unit."""
        return SPARSITY

    def split(self, run: FewshotRun) -> str:
        """Name the split: none, as weights are counted."""
        return "none"

    def __str__(self) -> str:
        words = [self.at] + ([] if self.over == "mean" else [f"{self.over} pruned tensor"])
        return f"[{', '.join(words)}]"


@dataclass(frozen=True)
class Validation:
    """Accuracy on the validation tasks of a training."""

    at: Literal["last", "best"] = "last"

    def of(self, run: FewshotRun) -> BySeed:
        """Read one value for each seed; none where it was not measured."""
        rows = run.rows[(run.rows["split"] == "val") & (run.rows["metric"] == "accuracy")]
        if self.at == "last":
            rows = rows[rows["step"] == rows["step"].max()]
        return _single(rows.groupby("seed")["value"].max())

    def unit(self, run: FewshotRun) -> str:
        """Name the unit."""
        return ACCURACY

    def split(self, run: FewshotRun) -> str:
        """Name the split."""
        return "val"

    def __str__(self) -> str:
        return f"[{self.at}]"


Reading = Score | Feature | Sparsity | Validation
"""A number that is read of a run; as text it is what stands behind the run's name."""


def _single(values: "Series") -> BySeed:
    known = values.dropna()
    return {int(seed): np.array([value]) for seed, value in zip(known.index, known.tolist(), strict=True)}
