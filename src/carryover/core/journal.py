"""The journal of a training: its rows, its saved states, its progress, and the seeds that diverged."""

import json
from collections.abc import Callable, Sequence
from typing import Protocol, TypedDict, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from carryover.core.evaluate import Evaluation, Predict
from carryover.core.loop import Step
from carryover.core.resume import Resume

DIVERGED = 1e4
"""Mean training loss of an epoch, in nats, above which a net counts as diverged (chance is about ln(classes))."""


class Row(TypedDict):
    """One observation of one seed."""

    seed: int
    split: str
    step: int
    metric: str
    value: float


@runtime_checkable
class ProgressBar(Protocol):
    """What the journal needs of a progress display."""

    def update(self, step: int, **postfix: object) -> None:
        """Show that `step` steps are done."""
        ...


class Journal:
    """Records a training of a block and keeps it safe.

    `restore` is told the tensors that are the training's whole state (first axis: the block) and answers with
    the step to go on from; `close` ends a step. Losses stay on the device until an epoch closes.
    A net whose epoch loss is not finite or above `DIVERGED` is stopped: the step is recorded as `diverged`, its
    tensors are set to zero then and after every further epoch so that nothing non-finite is left, nothing more
    is recorded of it, and the other nets of the block go on untouched.
    """

    def __init__(self, seeds: Sequence[int], evaluation: Evaluation, resume: Resume, progress: ProgressBar):
        self.seeds = list(seeds)
        self.rows: list[Row] = []
        self.alive = [True] * len(self.seeds)
        self._evaluation, self._resume, self._progress = evaluation, resume, progress
        self._state: dict[str, Tensor] = {}
        self._loss_sum = torch.zeros(len(self.seeds), dtype=torch.float64)
        self._examples = 0

    @property
    def over(self) -> bool:
        """Tell whether every net has diverged, so that training on is of no use."""
        return not any(self.alive)

    def restore(self, state: dict[str, Tensor]) -> int:
        """Take `state` as what is to be saved, and bring back the newest saved one, in place, if there is one.

        Returns the step to go on from. The tensors must stay the same objects for the whole training.
        """
        self._state = state
        self._loss_sum = self._loss_sum.to(next(iter(state.values())).device)
        saved = self._resume.restore()
        if saved is None:
            return 0
        notes = json.loads(self._resume.notes)
        self.rows, self.alive, self._examples = notes["rows"], notes["alive"], notes["examples"]
        with torch.no_grad():
            for name, tensor in {**state, "epoch_loss_sum": self._loss_sum}.items():
                tensor.copy_(saved[name])
        return int(notes["step"])

    def close(self, step: Step, losses: Float[Tensor, " block"], predictor: Callable[[], Predict]) -> None:
        """End a step: add up the losses; evaluate and record when an epoch closes; save when it is time.

        `predictor` is called for an evaluation, to fix the nets as they are now.
        Raises OutOfTime after a save that ends the job early.
        """
        self._loss_sum += losses.double() * step.labels.shape[-1]
        self._examples += step.labels.shape[-1]
        done = step.index + 1
        if step.closes_epoch:
            self._close_epoch(done, self._evaluation.after(step.epoch, predictor))
        last = step.closes_epoch and step.epoch + 1 == self._evaluation.num_epochs
        if last or self.over or self._resume.due():
            self._save(done)
        self._progress.update(done)

    def note(self, step: int, metric: str, values: Sequence[float], split: str = "none") -> None:
        """Record one value per net, of those that have not diverged."""
        for seed, alive, value in zip(self.seeds, self.alive, values, strict=True):
            if alive:
                self.rows.append(Row(seed=seed, split=split, step=step, metric=metric, value=value))

    def _close_epoch(self, done: int, measured: dict[str, dict[str, list[float]]]) -> None:
        losses = (self._loss_sum / self._examples).tolist()
        self._loss_sum.zero_()
        self._examples = 0
        for index, (seed, loss) in enumerate(zip(self.seeds, losses, strict=True)):
            if self.alive[index] and not loss <= DIVERGED:
                self.alive[index] = False
                self.rows.append(Row(seed=seed, split="train", step=done, metric="diverged", value=1.0))
            if not self.alive[index]:
                self._clear(index)
        self.note(done, "loss", losses, "train")
        for split, metrics in measured.items():
            for metric, values in metrics.items():
                self.note(done, metric, values, split)

    @torch.no_grad()
    def _clear(self, index: int) -> None:
        for tensor in self._state.values():
            tensor[index].zero_()

    def _save(self, done: int) -> None:
        notes = {"rows": self.rows, "alive": self.alive, "examples": self._examples, "step": done}
        self._resume.save(done, {**self._state, "epoch_loss_sum": self._loss_sum}, json.dumps(notes))
