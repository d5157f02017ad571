"""The diary of a meta-training: what is measured along it, and what is saved."""

import json
import time
from collections.abc import Callable
from typing import Never, TypedDict

import torch
from torch import Tensor

from carryover.core.journal import ProgressBar
from carryover.core.resume import Resume
from carryover.metaticket.batching import Outer
from carryover.metaticket.learner import Learner

DIVERGED = 1e4
"""Mean query loss over an interval above which a training counts as diverged, and ends."""


class Row(TypedDict):
    """One observation of one training."""

    seed: int
    split: str
    step: int
    metric: str
    value: float


Validate = Callable[[], dict[str, float]]
"""Measures the learner on the validation tasks."""


class Diverged(Exception):
    """The loss is not finite any more; what was measured before stays."""


class Diary:
    """Adds up losses on the device, writes them down every `every` steps with a validation, and keeps the state.

    With `every` 0 it writes only after the last step.
    """

    def __init__(
        self, seed: int, num_steps: int, every: int, resume: Resume, progress: ProgressBar, score: str
    ):
        self.seed, self.num_steps, self.every = seed, num_steps, every or num_steps
        self.rows: list[Row] = []
        self.validate: Validate = dict
        self._resume, self._progress, self._score = resume, progress, score
        self._state: dict[str, Tensor] = {}
        self._sums = torch.zeros(3, dtype=torch.float64)  # tasks, losses, scores
        self._began, self._seconds_before, self._measuring = time.monotonic(), 0.0, 0.0

    @property
    def seconds(self) -> float:
        """Time that learning took so far, over all attempts, without measuring on validation tasks."""
        return self._seconds_before + time.monotonic() - self._began - self._measuring

    def begin(self, learner: Learner) -> None:
        """Write down what there is before the first step: sparsities, and a validation."""
        self._measure(0, learner)

    def restore(self, state: dict[str, Tensor]) -> int:
        """Take `state` as what is to be saved, bring back the newest saved one in place; return the next step."""
        self._state = state
        self._sums = self._sums.to(next(iter(state.values())).device)
        saved = self._resume.restore()
        if saved is None:
            return 0
        notes = json.loads(self._resume.notes)
        self.rows, self._seconds_before = notes["rows"], notes["seconds"]
        with torch.no_grad():
            for name, tensor in {**state, "sums": self._sums}.items():
                tensor.copy_(saved[name])
        return int(notes["step"])

    def close(self, step: int, found: Outer, learner: Learner) -> None:
        """End a step: add up; write down, validate and save when it is time.

        Raises Diverged when the losses of an interval are not finite, OutOfTime after a save that ends the job early.
        """
        self._sums[0] += len(found.losses)
        self._sums[1] += found.losses.double().sum()
        self._sums[2] += found.scores.double().sum()
        done = step + 1
        if done % self.every == 0 or done == self.num_steps:
            self._write(done, learner)
        if done == self.num_steps or self._resume.due():
            notes = json.dumps({"rows": self.rows, "step": done, "seconds": self.seconds})
            self._resume.save(done, {**self._state, "sums": self._sums}, notes)
        self._progress.update(done)

    def diverge(self, step: int, why: str) -> Never:
        """End the training of this seed as diverged."""
        self.note("train", step, "diverged", 1.0)
        raise Diverged(why)

    def note(self, split: str, step: int, metric: str, value: float) -> None:
        """Write down one observation."""
        self.rows.append(Row(seed=self.seed, split=split, step=step, metric=metric, value=value))

    def _write(self, done: int, learner: Learner) -> None:
        count, losses, scores = self._sums.tolist()
        self._sums.zero_()
        if not losses / count <= DIVERGED:
            self.diverge(done, f"seed {self.seed} diverged within the {self.every} steps before step {done}")
        self.note("train", done, "loss", losses / count)
        self.note("train", done, self._score, scores / count)
        self._measure(done, learner)

    def _measure(self, done: int, learner: Learner) -> None:
        began = time.monotonic()
        for name, sparsity in learner.sparsities().items():
            self.note("none", done, f"sparsity/{name}", float(sparsity))
        for metric, value in self.validate().items():
            self.note("val", done, metric, value)
        self._measuring += time.monotonic() - began
