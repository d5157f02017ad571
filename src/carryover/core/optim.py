"""Learning rates as pure functions of the epoch; all are set before an epoch and hold during it."""

import math
from collections.abc import Callable
from typing import Literal, assert_never

Schedule = Literal["constant", "cosine", "warmup-cosine"]
"""Names of the schedules."""


def cosine(lr: float, epoch: int, num_epochs: int) -> float:
    """Lower `lr` along half a cosine; epoch 0 has `lr` itself and the last epoch is above zero.

    Source: IteRand, section 3.1 (CIFAR-10).
    """
    assert 0 <= epoch < num_epochs, (epoch, num_epochs)
    return lr * (1 + math.cos(math.pi * epoch / num_epochs)) / 2


def warmup_cosine(lr: float, epoch: int, num_warmup: int, num_cosine: int, floor: float) -> float:
    """Raise the rate in `num_warmup` equal steps to `lr`, lower it by `cosine`, then stay at `floor`.

    Source: IteRand, section 3.1 (ImageNet: 5 and 95 epochs, then 1e-5).
    """
    assert epoch >= 0, epoch
    if epoch < num_warmup:
        return lr * (epoch + 1) / num_warmup
    if epoch < num_warmup + num_cosine:
        return cosine(lr, epoch - num_warmup, num_cosine)
    return floor


def schedule_of(
    name: Schedule, lr: float, num_epochs: int, num_warmup: int = 5, num_floor: int = 5, floor: float = 1e-5
) -> Callable[[int], float]:
    """Return the learning rate as a function of the epoch, for a training of `num_epochs`.

    `num_warmup`, `num_floor` (epochs at the end) and `floor` matter to `warmup-cosine` only, and are the
    ImageNet recipe's.

    Source: IteRand, section 3.1.
    Raises ValueError when the epochs leave none for the cosine.
    """
    match name:
        case "constant":
            return lambda epoch: lr
        case "cosine":
            return lambda epoch: cosine(lr, epoch, num_epochs)
        case "warmup-cosine":
            num_cosine = num_epochs - num_warmup - num_floor
            if num_cosine < 1:
                raise ValueError(
                    f"schedule warmup-cosine warms up for {num_warmup} epochs and ends with {num_floor}: "
                    f"it needs more than {num_warmup + num_floor} epochs, got {num_epochs}. "
                    "Train longer, or shorten these."
                )
            return lambda epoch: warmup_cosine(lr, epoch, num_warmup, num_cosine, floor)
    assert_never(name)
