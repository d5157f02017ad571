"""Which steps of a training become points of its trajectory."""

from typing import Literal


def recorded_steps(
    record: Literal["ends", "epochs", "steps"], every: int, num_epochs: int, epoch_steps: int
) -> list[int]:
    """List the steps, counted as finished ones, after which nets are recorded; 0 is before the first.

    The first and the last are always among them; between them lies nothing, or each `every`-th epoch or step.
    Source: learning transfer, section 2.5 (the initial point and every epoch).
    """
    end = num_epochs * epoch_steps
    stride = {"ends": end, "epochs": every * epoch_steps, "steps": every}[record]
    return sorted({*range(0, end, stride), end})
