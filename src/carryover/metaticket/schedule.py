"""The outer learning rate by step."""

import math
from typing import Literal


def outer_rate(
    schedule: Literal["constant", "cosine"], lr: float, step: int, num_warmup: int, num_steps: int
) -> float:
    """Give the rate before step `step` (from 0): constant, or a linear warm-up and then a cosine to zero.

    The warm-up begins at lr / (W + 1) and the cosine at lr itself, in step W.
    Source: Meta-ticket, section 1.6.
    """
    if schedule == "constant":
        return lr
    if step < num_warmup:
        return lr * (step + 1) / (num_warmup + 1)
    return lr * (1 + math.cos(math.pi * (step - num_warmup) / (num_steps - num_warmup))) / 2
