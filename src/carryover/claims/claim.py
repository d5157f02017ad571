"""A claim as data: who states it, where, and which runs are to be compared."""

from dataclasses import dataclass
from math import inf
from typing import Literal

from carryover.claims.statistics import Region

Place = float | Literal["here", "twice", "lowest", "highest", "usual"]
"""Where along a sweep: a value; the place that a check goes through, or twice it; the ends; what most runs have."""


@dataclass(frozen=True)
class Term:
    """The accuracy of one arm at one place of a sweep, with its sign in the difference."""

    sign: Literal[1, -1]
    arm: str
    at: Place = "here"


@dataclass(frozen=True)
class Check:
    """One signed sum of accuracies over runs that are equal in all settings but the arm's and `along`."""

    terms: tuple[Term, ...]
    along: str
    """Setting that varies in the sweep; `width` is the multiplier of a net, or the hidden units of an MLP."""
    region: Region
    """What the claim says about the mean of the sum."""
    over: Literal["each", "mean"] = "each"
    """Places that are `here`: one part of the claim for each, or one for their mean."""
    below: float = inf
    """Places from here on are not read."""
    low_means: float = inf
    """The lowest place is low only if it is at most this fraction of the usual one."""
    split: Literal["test", "val"] = "test"
    """Images whose accuracy is compared; learning rates are compared on validation images only."""


@dataclass(frozen=True)
class Statement:
    """One statement of a paper, in our words, that results can agree or disagree with."""

    name: str
    statement: str
    where: str
    """Figure, table or text of the paper that it belongs to."""
    basis: Literal["abstract", "paper", "replica", "own"]
    """Stated in the paper's abstract, or in its text and figures; an ordering that small-scale replicas of its
    experiments showed; or a question of ours."""


@dataclass(frozen=True)
class Claim(Statement):
    """A statement about accuracies of arms, with the sums of them that test it."""

    checks: tuple[Check, ...]


def gain(weights: str, at: Place = "here") -> tuple[Term, ...]:
    """Give the terms of IteRand's gain over edge-popup."""
    return Term(1, f"iterand-{weights}", at), Term(-1, f"popup-{weights}", at)


def minus(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """Turn the signs of terms around."""
    return tuple(Term(-1 if term.sign == 1 else 1, term.arm, term.at) for term in terms)
