"""Findings as the rows of claims.csv."""

from collections.abc import Iterator, Sequence
from math import isfinite

from carryover.claims.check import Finding, Part
from carryover.claims.statistics import Verdict


def rows_of(paper: str, findings: Sequence[Finding]) -> list[dict[str, object]]:
    """Write each claim as a row with `part` 0, followed by its parts as rows 1, 2, ...

    The row of a claim has the verdict on all its parts, and effect, interval, n and margins of the part that is worst
    for it; where no part was tested these cells are empty, as is the margin of a side that the claim leaves open.
    """
    return [row for finding in findings for row in _rows(paper, finding)]


def _rows(paper: str, finding: Finding) -> Iterator[dict[str, object]]:
    claim = finding.claim
    stated = {"statement": claim.statement, "paper": paper, "where": claim.where, "basis": claim.basis}
    parts = finding.parts
    yield {
        "claim": claim.name,
        "part": 0,
        **stated,
        **_cells(finding.decisive or parts[0], finding.verdict, finding.reason),
        "parts": len(parts),
    }
    for number, part in enumerate(parts, start=1):
        yield {
            "claim": claim.name,
            "part": number,
            **stated,
            **_cells(part, part.verdict, part.reason),
            "parts": 1,
        }


def _cells(part: Part, verdict: Verdict, reason: str) -> dict[str, object]:
    effect = part.effect
    return {
        "compared": part.compared,
        "verdict": verdict.value,
        "effect": None if effect is None else effect.mean,
        "low": None if effect is None else effect.low,
        "high": None if effect is None else effect.high,
        "n": 0 if effect is None else effect.n,
        "diverged": part.diverged,
        "unit": part.unit,
        "split": part.split,
        "margin_low": part.region.low if isfinite(part.region.low) else None,
        "margin_high": part.region.high if isfinite(part.region.high) else None,
        "reason": reason,
    }
