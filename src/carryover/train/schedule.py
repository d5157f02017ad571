"""The learning rate of a training."""

from collections.abc import Callable

from carryover.core.optim import schedule_of
from carryover.train.settings import Training


def learning_rate(run: Training, lr: float) -> Callable[[int], float]:
    """Make the learning rate as a function of the epoch, from `lr` on, as the run says."""
    return schedule_of(run.schedule, lr, run.epochs, run.warmup_epochs, run.floor_epochs, run.floor_lr)
