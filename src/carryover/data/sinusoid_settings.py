"""Settings of sinusoids, the regression tasks of few-shot learning."""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator

from carryover.core.config import Settings


def _in_order(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"a range has its lower bound first: got {bounds[0]} and {bounds[1]}")
    return bounds


Range = Annotated[tuple[float, float], AfterValidator(_in_order)]
"""Lower and upper bound of a uniform distribution."""


class Sinusoid(Settings):
    """Sine waves of random amplitude and phase, y = amplitude * sin(x - phase), without noise.

    Source: Meta-ticket, section 4.3.
    """

    source: Literal["sinusoid"]
    """Where the tasks come from."""
    amplitude: Range = (0.1, 5.0)
    """Lower and upper amplitude [A]."""
    phase: Range = (0.0, math.pi)
    """Lower and upper phase, in radians [psi]."""
    x: Range = (-5.0, 5.0)
    """Lower and upper x, in radians."""
    test_amplitude: Range | None = None
    """Amplitudes of the split `test`; those of `amplitude` when it is not given."""
    test_phase: Range | None = None
    """Phases of the split `test`; those of `phase` when it is not given."""
    test_x: Range | None = None
    """The x of the split `test`; those of `x` when it is not given."""
