"""Settings of the theory panels: which precisions, widths and networks are tried, and how often.

At most six goals, precisions or networks: a panel shows no more.
"""

from typing import Annotated

from pydantic import Field

from carryover.core.config import Settings

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Counts = Annotated[tuple[Count, ...], Field(min_length=1)]
Goals = Annotated[tuple[Annotated[float, Field(ge=-1, le=1)], ...], Field(min_length=1, max_length=6)]
Fractions = Annotated[tuple[Annotated[float, Field(gt=0, le=10)], ...], Field(min_length=1)]
SubsetEps = Annotated[tuple[Annotated[float, Field(ge=0.005, lt=1)], ...], Field(min_length=1)]


class Precision(Settings):
    """How near a weight must come to its goal, and how often it may fail to."""

    eps: Share
    """Largest distance from the goal that counts as a hit (epsilon)."""
    delta: Share
    """Chance of failure that is accepted (delta)."""


class TargetNet(Settings):
    """A target network that pruning a random network of twice its depth should imitate."""

    dims: Annotated[tuple[Count, ...], Field(min_length=2)]
    """Sizes of the target's layers from input to output (d_0 .. d_l)."""
    eps: Share
    """Largest output error on inputs of norm at most 1 (epsilon)."""
    delta: Share
    """Chance of failure that is accepted (delta)."""


class TheorySettings(Settings):
    """The entry `iterand.theory` of a study: experiments 1 to 4 of the theory."""

    seed: int = 0
    """Root seed of every draw in this entry."""
    lemma_cases: Annotated[tuple[Precision, ...], Field(min_length=1, max_length=6)] = (
        Precision(eps=0.1, delta=0.1),
        Precision(eps=0.05, delta=0.05),
        Precision(eps=0.02, delta=0.01),
    )
    """Precisions at which the lemma's miss probability is simulated."""
    lemma_alphas: Goals = (0.0, 0.5, 1.0)
    """Goals of the weight in that simulation (alpha), in [-1, 1]; 1 is the hardest."""
    lemma_trials: Count = 100_000
    """Trials for each precision; its goals share the draws."""
    width_cases: Annotated[tuple[Precision, ...], Field(min_length=1, max_length=6)] = (
        Precision(eps=0.05, delta=0.05),
        Precision(eps=0.01, delta=0.01),
    )
    """Precisions at which the smallest width is drawn against the number of draws."""
    width_draws: Counts = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    """Numbers of draws for each weight (R)."""
    subset_eps: SubsetEps = (0.1, 0.05, 0.02, 0.01)
    """Precisions of the subset-sum comparison; at least 0.005, since the sums are counted by brute force."""
    subset_delta: Share = 0.05
    """Chance of failure that the comparison accepts."""
    subset_trials: Count = 300
    """Trials of the subset-sum comparison."""
    networks: Annotated[tuple[TargetNet, ...], Field(min_length=1, max_length=6)] = (
        TargetNet(dims=(4, 5, 3), eps=0.1, delta=0.1),
        TargetNet(dims=(8, 8, 8, 4), eps=0.1, delta=0.1),
        TargetNet(dims=(16, 16, 10), eps=0.2, delta=0.1),
    )
    """Target networks of the whole-network simulation."""
    network_fractions: Fractions = (0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9, 1.0)
    """Numbers of draws that are tried, as fractions of the sufficient number."""
    network_trials: Count = 2000
    """Random networks for each target."""
