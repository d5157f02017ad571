"""Check claims on the runs of a study: find what may be compared, compare it, and say what follows."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan

from carryover.claims.claim import Check, Claim, Place, Statement
from carryover.claims.runs import Run, Sweep, sweeps
from carryover.claims.statistics import Effect, Region, Verdict, combine, judge, paired_effect

ACCURACY = "accuracy, as a fraction"
"""The unit of most differences."""
Weights = Mapping[tuple[str, float], float]
"""Weights of arms and places in a sum of accuracies."""


@dataclass(frozen=True)
class Part:
    """One comparison of a claim and what came out of it."""

    compared: str
    region: Region
    split: str
    reason: str = ""
    """Why it was not tested or has no interval."""
    required: bool = True
    """False where the study has no such sweep at all; the claim is then judged without it."""
    effect: Effect | None = None
    diverged: int = 0
    """Seeds left out because one of the compared runs diverged."""
    verdict: Verdict = Verdict.UNTESTED
    unit: str = ACCURACY


@dataclass(frozen=True)
class Finding:
    """A claim, its parts and the verdict."""

    claim: Statement
    parts: list[Part]
    verdict: Verdict
    reason: str

    @property
    def decisive(self) -> Part | None:
        """The tested part that is worst for the claim, which the verdict rests on; None if there is none."""
        order = [Verdict.FAILS, Verdict.UNDECIDED, Verdict.HOLDS]
        tested = [part for part in self.parts if part.effect is not None]
        return min(tested, key=lambda part: (order.index(part.verdict), _slack(part)), default=None)


def _slack(part: Part) -> float:
    """Give how far the interval's nearer end lies inside the claimed region, negative when outside."""
    assert part.effect is not None
    slack = min(part.effect.low - part.region.low, part.region.high - part.effect.high)
    return 0.0 if isnan(slack) else slack


def check_claims(claims: Sequence[Claim], runs: Collection[Run]) -> list[Finding]:
    """Check every claim; one that the study has no runs for is "not tested", with the reason."""
    return [
        judged(claim, [part for check in claim.checks for part in _parts(check, runs)]) for claim in claims
    ]


def judged(claim: Statement, parts: Sequence[Part]) -> Finding:
    """Judge the parts of a claim, and by them the claim."""
    verdicts = iter(judge([(part.effect, part.region) for part in parts if part.effect is not None]))
    parts = [part if part.effect is None else replace(part, verdict=next(verdicts)) for part in parts]
    verdict = combine([part.verdict for part in parts if part.required])
    return Finding(claim, parts, verdict, _reason(parts, verdict))


def _reason(parts: Sequence[Part], verdict: Verdict) -> str:
    """Say what a verdict rests on: which parts decide it, and what was not tested and why."""
    tested = [part for part in parts if part.effect is not None]
    same = [part.compared for part in tested if part.verdict is verdict]
    told = [f"{verdict} in {len(same)} of {len(tested)} parts"] if len(tested) > 1 else []
    if told and 0 < len(same) < len(tested):
        told[0] += f" ({', '.join(same)})"
    for reason in dict.fromkeys(part.reason for part in parts if part.reason):
        concerned = [part.compared for part in parts if part.reason == reason]
        told.append(reason if len(concerned) == len(parts) else f"{', '.join(concerned)}: {reason}")
    return "; ".join(told)


def _parts(check: Check, runs: Collection[Run]) -> Iterator[Part]:
    """Make the parts of a check: for each sweep of the study, and each place that the check goes through."""
    part = Part(_formula(check), check.region, check.split)
    arms = list(dict.fromkeys(term.arm for term in check.terms))
    found = sweeps(runs, arms, check.along)
    if not found:
        absent = [arm for arm in arms if all(run.settings["arm"] != arm for run in runs)]
        lack = f"runs of {' or '.join(absent)}" if absent else f"two values of {check.along}, all else equal"
        yield replace(part, reason=f"the study has no {lack}", required=False)
    for sweep in found:
        sums = _sums(check, sweep)
        for compared, weights in sums.items():
            yield _measured(replace(part, compared=f"{_where(sweep)}: {compared}"), sweep, weights)
        if not sums:
            yield replace(part, compared=f"{_where(sweep)}: {part.compared}", reason=_lack(check, sweep))


def _sums(check: Check, sweep: Sweep) -> dict[str, Weights]:
    """Make the sums of accuracies that a check asks for in a sweep, by what they compare, in words."""
    if sweep.places[0] > check.low_means * sweep.usual:
        return {}
    ats = {term.at for term in check.terms}
    heres = [
        place
        for place in sweep.places
        if place < check.below and ("twice" not in ats or 2 * place in sweep.places)
    ]
    heres = heres if ats & {"here", "twice"} else heres[:1]
    sums = {here: weights for here in heres if (weights := _weights(check, sweep, here))}
    if check.over == "each" or not sums:
        return {_formula(check, sweep, here): weights for here, weights in sums.items()}
    mean: defaultdict[tuple[str, float], float] = defaultdict(float)
    for weights in sums.values():
        for key, weight in weights.items():
            mean[key] += weight / len(sums)
    return {f"{_formula(check)}, mean over {_listed(list(sums))}": mean}


def _weights(check: Check, sweep: Sweep, here: float) -> Weights:
    """Resolve the places of the terms; nothing is left where a place would be compared with itself."""
    weights: defaultdict[tuple[str, float], float] = defaultdict(float)
    for term in check.terms:
        weights[term.arm, _resolved(term.at, sweep, here)] += term.sign
    return {key: weight for key, weight in weights.items() if weight}


def _resolved(at: Place, sweep: Sweep, here: float) -> float:
    match at:
        case "here":
            return here
        case "twice":
            return 2 * here
        case "lowest":
            return sweep.places[0]
        case "highest":
            return sweep.places[-1]
        case "usual":
            return sweep.usual
    return at


def _lack(check: Check, sweep: Sweep) -> str:
    if sweep.places[0] > check.low_means * sweep.usual:
        low = check.low_means * sweep.usual
        return (
            f"the lowest {check.along}, {sweep.places[0]:g}, is not low: the claim is about {low:.3g} or less"
        )
    return f"{check.along} has the values {_listed(sweep.places)}, which do not give this comparison"


def _measured(part: Part, sweep: Sweep, weights: Weights) -> Part:
    """Estimate a sum of accuracies from the seeds that all its runs have."""
    runs: list[tuple[float, Run]] = []
    for (arm, place), weight in weights.items():
        found = sweep.runs.get((arm, place), [])
        if len(found) != 1:
            count = f"{len(found)} runs ({', '.join(run.name for run in found)})" if found else "no run"
            return replace(part, reason=f"the study has {count} of {arm} with {sweep.along} {place:g}")
        runs.append((weight, found[0]))
    accuracies = [(weight, run.accuracy[part.split]) for weight, run in runs]
    seeds = sorted(set.intersection(*(set(by_seed) for _, by_seed in accuracies)))
    diverged = len(frozenset().union(*(run.diverged for _, run in runs)))
    if len(seeds) < 2:
        reason = (
            f"{len(seeds)} paired seeds with {part.split} accuracy ({diverged} diverged): two are the least"
        )
        return replace(part, reason=reason, diverged=diverged)
    effect = paired_effect([sum(weight * by_seed[seed] for weight, by_seed in accuracies) for seed in seeds])
    reason = f"all {effect.n} differences are equal: no interval" if isnan(effect.error) else ""
    return replace(part, effect=effect, diverged=diverged, reason=reason)


def _where(sweep: Sweep) -> str:
    """Name data set, net and what varies: `digits, mlp 32, sparsity`."""
    net = [sweep.shared.get(key) for key in ("net.kind", "net.depth", "width")]
    words = " ".join(f"{value:g}" if isinstance(value, float | int) else str(value) for value in net if value)
    return f"{sweep.shared['dataset']}, {words}, {sweep.along}"


def _formula(check: Check, sweep: Sweep | None = None, here: float = 0.0) -> str:
    """Write a check as a sum of arms, each with its place: `iterand-ku[16] - popup-ku[32]`."""
    words = []
    for term in sorted(check.terms, key=lambda term: -term.sign):
        at = term.at if sweep is None else _resolved(term.at, sweep, here)
        place = "" if at == "here" else f"[{at}]" if isinstance(at, str) else f"[{at:g}]"
        words += ["+" if term.sign == 1 else "-", f"{term.arm}{place}"]
    return " ".join(words[1:])


def _listed(places: Sequence[float]) -> str:
    return ", ".join(f"{place:g}" for place in places)
