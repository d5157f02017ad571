"""Check claims about learning transfer: find the runs that a comparison is about, and compare them pair by pair."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan

from carryover.claims.check import ACCURACY, Finding, Part, judged
from carryover.claims.claim import Statement
from carryover.claims.statistics import Effect, Region, paired_effect
from carryover.claims.transfer_runs import Against, Reading, Select, Study, TransferRun

UNITS = {"cosine": "cosine", "barrier_target": "loss, nats per example"}


def itself(run: TransferRun, study: Study) -> Iterator[TransferRun]:
    """Compare two methods of one run."""
    yield run


@dataclass(frozen=True)
class Comparison:
    """A difference that a claim says something of: `more` of one run less `less` of the same or another."""

    kind: str
    more: Reading
    less: Reading
    region: Region
    """What the claim says about its mean over pairs."""
    about: Select
    """The runs that it is about."""
    against: Against = itself
    """The runs that `less` is read of."""
    alone: bool = False
    """Whether a run is a single value, without pairs: it then has an effect and no interval."""


@dataclass(frozen=True)
class TransferClaim(Statement):
    """A statement about learning transfer, with the comparisons that test it."""

    needs: str
    """Runs without which it cannot be tested."""
    comparisons: tuple[Comparison, ...]


def check(claims: Sequence[TransferClaim], study: Study) -> list[Finding]:
    """Check every claim; one that the study has no runs for is "not tested", with the reason."""
    return [judged(claim, list(_parts(claim, study))) for claim in claims]


def _parts(claim: TransferClaim, study: Study) -> Iterator[Part]:
    """Make the parts of a claim: for each comparison, one for each run that it is about and each run beside it."""
    for comparison in claim.comparisons:
        unit = UNITS.get(comparison.more.metric, ACCURACY)
        empty = Part(_formula(comparison), comparison.region, comparison.more.split, unit=unit)
        found = False
        for run in study.of(comparison.kind):
            if not (run.has(comparison.more.method) and comparison.about(run)):
                continue
            for other in comparison.against(run, study):
                if other.has(comparison.less.method):
                    found = True
                    yield _measured(
                        replace(empty, compared=_named(comparison, run, other)), comparison, run, other
                    )
        if not found:
            yield replace(empty, reason=f"the study has no {claim.needs}", required=False)


def _measured(part: Part, comparison: Comparison, run: TransferRun, other: TransferRun) -> Part:
    """Estimate a difference from the pairs that both runs have."""
    more, less = run.read(comparison.more), other.read(comparison.less)
    pairs = sorted(more.keys() & less.keys())
    gone = len(run.diverged(comparison.more.method) | other.diverged(comparison.less.method))
    differences = [more[pair] - less[pair] for pair in pairs]
    if comparison.alone and len(pairs) == 1:
        effect = Effect(differences[0], nan, nan, nan, 1)
        return replace(part, effect=effect, reason="one ensemble of each kind: no interval")
    if len(pairs) < 2:
        reason = f"{len(pairs)} pair{'' if len(pairs) == 1 else 's'} with {comparison.more.metric}: two are the least"
        return replace(part, reason=reason, required=False, diverged=gone)
    effect = paired_effect(differences)
    reason = f"all {effect.n} differences are equal: no interval" if isnan(effect.error) else ""
    return replace(part, effect=effect, diverged=gone, reason=reason)


def _named(comparison: Comparison, run: TransferRun, other: TransferRun) -> str:
    """Name a part by what it compares: `main: gmt[last] - naive[last]`."""
    if run is other:
        return f"{run.name}: {_formula(comparison)}"
    return f"{run.name}: {comparison.more} - {other.name}: {comparison.less}"


def _formula(comparison: Comparison) -> str:
    return f"{comparison.more} - {comparison.less}"
