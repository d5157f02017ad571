"""The journal of a training: its rows, its saved states, its progress, and the seeds that diverged."""

import json
from collections.abc import Callable, Sequence
from typing import Protocol, TypedDict, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from carryover.core.evaluate import Evaluation, Measured, Predict
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


@runtime_checkable
class Recorder(Protocol):
    """Keeps nets of a training as it goes, such as the points of a trajectory."""

    def state(self) -> dict[str, Tensor]:
        """Name the tensors of its own that are saved with the training; their first axis is the block."""
        ...

    def start(self, step: int, alive: Sequence[bool]) -> None:
        """Get ready for a training that goes on after `step` finished steps."""
        ...

    def keep(self, step: int, measured: Measured, alive: Sequence[bool]) -> None:
        """Keep the nets after `step` finished steps if they are wanted, before the state is saved.

        `measured` is what an evaluation has just given; `alive` tells which nets have not diverged.
        """
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
        self._num_right = torch.zeros(len(self.seeds), dtype=torch.int64)
        self._examples = 0
        self._recorder: Recorder | None = None

    @property
    def over(self) -> bool:
        """Tell whether every net has diverged, so that training on is of no use."""
        return not any(self.alive)

    @property
    def counts_right(self) -> bool:
        """Tell whether `close` wants to be told how many predictions are right."""
        return self._evaluation.training

    def restore(self, state: dict[str, Tensor], recorder: Recorder | None = None) -> int:
        """Take `state` as what is to be saved, and bring back the newest saved one, in place, if there is one.

        `recorder` is shown the nets after every step; its tensors are a part of the state.
        Returns the step to go on from. The tensors must stay the same objects for the whole training.
        """
        device = next(iter(state.values())).device
        self._state, self._recorder = {**state, **(recorder.state() if recorder else {})}, recorder
        self._loss_sum, self._num_right = self._loss_sum.to(device), self._num_right.to(device)
        saved, start = self._resume.restore(), 0
        if saved is not None:
            notes = json.loads(self._resume.notes)
            self.rows, self.alive, self._examples = notes["rows"], notes["alive"], notes["examples"]
            start = int(notes["step"])
            with torch.no_grad():
                for name, tensor in {**self._state, **self._sums()}.items():
                    tensor.copy_(saved[name])
        if recorder:
            recorder.start(start, self.alive)
        return start

    def begin(self, predictor: Callable[[], Predict]) -> None:
        """Record the nets before the first step of a fresh training."""
        measured = self._evaluation.before(predictor)
        self._note_all(0, measured)
        if self._recorder:
            self._recorder.keep(0, measured, self.alive)

    def close(
        self,
        step: Step,
        losses: Float[Tensor, " block"],
        predictor: Callable[[], Predict],
        num_right: Int[Tensor, " block"] | None = None,
    ) -> None:
        """End a step: add up the losses; evaluate and record when an epoch closes; save when it is time.

        `predictor` is called for an evaluation, to fix the nets as they are now; `num_right` are the right
        predictions on the batch, which `counts_right` asks for.
        Raises OutOfTime after a save that ends the job early.
        """
        self._loss_sum += losses.double() * step.labels.shape[-1]
        if num_right is not None:
            self._num_right += num_right
        self._examples += step.labels.shape[-1]
        done = step.index + 1
        measured: Measured = {}
        if step.closes_epoch:
            measured = self._evaluation.after(step.epoch, predictor)
            self._close_epoch(done, measured)
        if self._recorder:
            self._recorder.keep(done, measured, self.alive)
        last = step.closes_epoch and step.epoch + 1 == self._evaluation.num_epochs
        if last or self.over or self._resume.due():
            self._save(done)
        self._progress.update(done)

    def note(self, step: int, metric: str, values: Sequence[float], split: str = "none") -> None:
        """Record one value per net, of those that have not diverged."""
        for seed, alive, value in zip(self.seeds, self.alive, values, strict=True):
            if alive:
                self.rows.append(Row(seed=seed, split=split, step=step, metric=metric, value=value))

    def _close_epoch(self, done: int, measured: Measured) -> None:
        losses = (self._loss_sum / self._examples).tolist()
        accuracies = (self._num_right.double() / self._examples).tolist()
        for total in (self._loss_sum, self._num_right):
            total.zero_()
        self._examples = 0
        for index, (seed, loss) in enumerate(zip(self.seeds, losses, strict=True)):
            if self.alive[index] and not loss <= DIVERGED:
                self.alive[index] = False
                self.rows.append(Row(seed=seed, split="train", step=done, metric="diverged", value=1.0))
            if not self.alive[index]:
                self._clear(index)
        self.note(done, "loss", losses, "train")
        if self.counts_right:
            self.note(done, "accuracy", accuracies, "train")
        self._note_all(done, measured)

    def _note_all(self, done: int, measured: Measured) -> None:
        for split, metrics in measured.items():
            for metric, values in metrics.items():
                self.note(done, metric, values, split)

    def _sums(self) -> dict[str, Tensor]:
        """Name what an epoch has added up so far."""
        counted = {"epoch_num_right": self._num_right} if self.counts_right else {}
        return {"epoch_loss_sum": self._loss_sum, **counted}

    @torch.no_grad()
    def _clear(self, index: int) -> None:
        for tensor in self._state.values():
            tensor[index].zero_()

    def _save(self, done: int) -> None:
        notes = {"rows": self.rows, "alive": self.alive, "examples": self._examples, "step": done}
        self._resume.save(done, {**self._state, **self._sums()}, json.dumps(notes))
