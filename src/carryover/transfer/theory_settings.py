"""Settings of the simulation of learning transfer's theorem. Light: the Snakefile reads this without torch."""

from typing import Annotated

from pydantic import Field

from carryover.core.config import Settings

AtLeastTwo = Annotated[int, Field(ge=2)]
Numbers = Annotated[tuple[AtLeastTwo, ...], Field(min_length=1)]


class TransferTheorySettings(Settings):
    """Nets of two layers at random starts: how near can a permutation bring their expected gradients?"""

    seeds: AtLeastTwo = 3
    """Pairs of nets for each point."""
    samples: Annotated[int, Field(ge=100)] = 8000
    """Examples that stand for the distribution of the data."""
    inputs: Numbers = (2, 4, 8)
    """Numbers of inputs [d]; the label is made of the first two."""
    widths: Numbers = (16, 64, 256, 1024)
    """Numbers of hidden units [N]."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of all draws."""
