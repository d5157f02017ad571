"""Check claims about few-shot learning: find the runs that a comparison is about, and compare them task by task."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan

import numpy as np
from jaxtyping import Float

from carryover.claims.check import Finding, Part, judged
from carryover.claims.claim import Statement
from carryover.claims.metaticket_readings import BySeed, Reading
from carryover.claims.metaticket_runs import FewshotRun, Study
from carryover.claims.metaticket_statistics import CrossedEffect, crossed_effect, exact_effect
from carryover.claims.statistics import Effect, Region, paired_effect
from carryover.claims.table import rows_of

Signed = tuple[int, FewshotRun]
"""A run with its sign in a difference."""
Select = Callable[[FewshotRun], bool]
"""Tells which runs a comparison is about."""
Against = Callable[[FewshotRun, Study], Iterator[Sequence[Signed]]]
"""Gives what is added to one run and taken from it; several times where there is more than one such thing."""


def itself(run: FewshotRun, study: Study) -> Iterator[Sequence[Signed]]:
    """Compare two numbers of one run."""
    yield [(-1, run)]


def nothing(run: FewshotRun, study: Study) -> Iterator[Sequence[Signed]]:
    """Take the number of the run as it is."""
    yield []


@dataclass(frozen=True)
class Comparison:
    """A signed sum over runs, of `more` with the sign + and of `less` with the sign -."""

    kind: str
    more: Reading
    region: Region
    """What the claim says about its mean."""
    about: Select
    """The runs that it is about, each with the sign +."""
    against: Against
    """The other runs of the sum."""
    less: Reading | None = None
    """What is read of runs with the sign -; `more` when it is not given."""
    base: Callable[[FewshotRun], float] = lambda run: 0.0
    """A constant that is taken from it, such as the chance level of a run."""
    exact: bool = False
    """Whether the claim is about every seed, not about a mean: the worst of them then decides."""
    needed: bool = False
    """Whether the claim says so much of it that it cannot hold where the study has no such runs."""
    label: str = ""
    """What it is called where a study has no such runs."""

    def reading(self, sign: int) -> Reading:
        """Give what is read of runs with a sign."""
        return self.more if sign > 0 or self.less is None else self.less


@dataclass(frozen=True)
class FewshotClaim(Statement):
    """A statement about few-shot learning, with the comparisons that test it."""

    needs: str
    """Runs without which it cannot be tested."""
    comparisons: tuple[Comparison, ...]


def check(claims: Sequence[FewshotClaim], study: Study) -> list[Finding]:
    """Check every claim; one that the study has no runs for is "not tested", with the reason."""
    return [judged(claim, list(_parts(claim, study))) for claim in claims]


def _parts(claim: FewshotClaim, study: Study) -> Iterator[Part]:
    """Make the parts of a claim: for each comparison, one for each run that it is about and what stands against it.

    Runs of equal settings, which a study has where two of its sweeps meet, count once.
    """
    for comparison in claim.comparisons:
        found: dict[object, Part] = {}
        for run in study.of(comparison.kind):
            if comparison.about(run):
                for others in comparison.against(run, study):
                    terms = [(1, run), *others]
                    same = tuple((sign, each.identity) for sign, each in terms)
                    if same not in found or found[same].effect is None:
                        part = _measured(comparison, terms)
                        if part is not None:
                            found[same] = part
        yield from found.values()
        if not found:
            yield Part(
                comparison.label or f"{comparison.kind}{comparison.more}",
                comparison.region,
                "none",
                reason=f"the study has no {claim.needs}",
                required=comparison.needed,
            )


def _measured(comparison: Comparison, terms: Sequence[Signed]) -> Part | None:
    """Estimate a sum from the seeds that all its runs have; None where one of them was not measured so."""
    read = [(sign, run, comparison.reading(sign).of(run)) for sign, run in terms]
    if not all(values for _, _, values in read):
        return None
    run, gone = terms[0][1], frozenset[int]().union(*(each.diverged for _, each in terms))
    part = Part(
        _named(comparison, terms),
        comparison.region,
        comparison.more.split(run),
        diverged=len(gone),
        unit=comparison.more.unit(run),
    )
    seeds = sorted(set.intersection(*(set(values) for _, _, values in read)))
    if len(seeds) < 2:
        reason = f"{len(seeds)} common seed{'' if len(seeds) == 1 else 's'}: two are the least"
        return replace(part, reason=reason, required=False)
    groups: dict[object, Float[np.ndarray, "seeds n"]] = {}
    for sign, own, values in read:
        stacked = sign * _stacked(values, seeds)
        groups[own.tasks] = _added(groups[own.tasks], stacked) if own.tasks in groups else stacked
    first = next(iter(groups))
    groups[first] = groups[first] - comparison.base(run)
    effect = _effect(comparison, list(groups.values()))
    reason = f"all differences of {effect.n} seeds are equal: no interval" if isnan(effect.error) else ""
    return replace(part, effect=effect, reason=reason)


def _stacked(values: BySeed, seeds: Sequence[int]) -> Float[np.ndarray, "seeds n"]:
    return np.stack([values[seed] for seed in seeds]).astype(float)


def _added(
    some: Float[np.ndarray, "seeds n"], others: Float[np.ndarray, "seeds m"]
) -> Float[np.ndarray, "seeds _"]:
    """Add up values on the tasks that both have, which are the first ones of the longer."""
    common = min(some.shape[1], others.shape[1])
    total: Float[np.ndarray, "seeds _"] = some[:, :common] + others[:, :common]
    return total


def _effect(comparison: Comparison, groups: Sequence[Float[np.ndarray, "seeds _"]]) -> Effect:
    if comparison.exact:
        return exact_effect(np.sum(groups, axis=0).ravel().tolist(), comparison.region)
    if groups[0].shape[1] == 1:
        return paired_effect(np.sum(groups, axis=0).ravel().tolist())
    return crossed_effect(groups)


def _named(comparison: Comparison, terms: Sequence[Signed]) -> str:
    """Write a sum: `x1-metaticket - x1-maml`, runs to be added first."""
    words: list[str] = []
    for sign, run in sorted(terms, key=lambda term: -term[0]):
        words += ["+" if sign > 0 else "-", f"{run.name}{comparison.reading(sign)}"]
    return " ".join(words[1:])


def rows_with_tasks(paper: str, findings: Sequence[Finding]) -> list[dict[str, object]]:
    """Write findings as rows, each with its number of tasks and with its spreads over seeds and over tasks apart."""
    parts = [part for each in findings for part in (each.decisive or each.parts[0], *each.parts)]
    return [
        {**row, **_spreads(part.effect)} for row, part in zip(rows_of(paper, findings), parts, strict=True)
    ]


def _spreads(effect: Effect | None) -> dict[str, object]:
    crossed = effect if isinstance(effect, CrossedEffect) else None
    return {
        "tasks": crossed and crossed.tasks,
        "sd_seeds": crossed and crossed.sd_seeds,
        "half_seeds": crossed and crossed.half_seeds,
        "half_tasks": crossed and crossed.half_tasks,
    }
