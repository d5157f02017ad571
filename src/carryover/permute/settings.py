"""How a permutation is searched for. Light: the Snakefile reads this without torch."""

from typing import Annotated, Literal

from pydantic import Field

from carryover.core.config import Settings


class MatchingSettings(Settings):
    """Coordinate descent over the groups of a permutation, each an exact linear sum assignment."""

    start: Literal["warm", "identity"] = "warm"
    """Start each search at the permutation of the step before, or at the identity (as the published code)."""
    tolerance: Annotated[float, Field(ge=0)] = 1e-4
    """A new permutation of a group must raise its part of the objective by more than this fraction of it."""
    max_sweeps: Annotated[int, Field(ge=1)] = 100
    """Sweeps, visits of all groups that may gain, after which a search ends in any case."""
    restarts: Annotated[int, Field(ge=0)] = 0
    """Further searches from random permutations; the best result counts."""
    normalise: bool = False
    """Divide each pair of tensors by the product of their norms."""
    accumulate: Literal["fp32", "fp64"] = "fp32"
    """Precision in which cost matrices are multiplied and added up, whatever that of the gradients."""
