from math import inf

import pytest

from carryover.claims.check import check_claims
from carryover.claims.iterand import ABOUT_EQUAL, AT_LEAST, BETTER, CLAIMS
from carryover.claims.runs import runs_of
from carryover.claims.statistics import Verdict

BASES = {32: 0.7, 64: 0.76, 128: 0.82}
GAINS = {32: 0.05, 64: 0.045, 128: 0.02}
"""By width, in a study in which every claim is true: accuracy of edge-popup (KU), and IteRand's gain."""


def complete(study, **changed):
    """Add all runs that the claims compare; `changed` are gains to use instead of the claimed ones."""
    rates = {0.01: 0.0, 1.0: -0.02, **changed.get("rates", {})}
    periods = {1: -0.02, 400: -0.02, **changed.get("periods", {})}
    for width, popup in BASES.items():
        net = {"net.hidden": f"{width}-{width}"}
        iterand = popup + {**GAINS, **changed.get("gains", {})}[width]
        study.run("dense", popup + 0.1, **net)
        study.run("popup-ku", popup, **net).run("popup-sc", popup + 0.02, **net)
        study.run("iterand-ku", iterand, **net).run("iterand-sc", iterand + 0.01, **net)
    for rate, gain in rates.items():
        study.run("iterand-ku", 0.7 + gain, randomize_prob=rate)
    for period, gain in periods.items():
        study.run("iterand-ku", 0.7 + gain, randomize_every=period)
    for sparsity, gain in ((0.1, 0.2), (0.7, 0.02), (0.9, 0.5)):
        study.run("popup-ku", 0.5, sparsity=sparsity).run("iterand-ku", 0.5 + gain, sparsity=sparsity)
    study.run("popup-ku", 0.7, epochs=272).run("iterand-ku", 0.85, epochs=272, randomize_every=52)
    for lr, gain in ((0.03, changed.get("slow", -0.05)), (1.0, 0.05)):
        study.run("popup-ku", 0.5, val=0.6, dataset="digits.val", score_lr=lr)
        study.run("iterand-ku", 0.5, val=0.6 + gain, dataset="digits.val", score_lr=lr)
    return study


def verdicts(study):
    return {f.claim.name: f.verdict for f in check_claims(CLAIMS, runs_of(study.table, study.names))}


def test_every_claim_holds_where_everything_is_as_claimed(study):
    assert verdicts(complete(study)) == {claim.name: Verdict.HOLDS for claim in CLAIMS}


@pytest.mark.parametrize(
    ("changed", "failing"),
    [
        ({"gains": {128: 0.2}}, {"dense-first", "gain-shrinks"}),
        ({"gains": {64: -0.03}}, {"never-below", "half-the-width"}),
        ({"rates": {1.0: 0.1}}, {"rate-best", "rate-naive"}),
        ({"rates": {0.01: -0.1}}, {"rate-small"}),
        ({"periods": {1: 0.1}}, {"every-step"}),
        ({"periods": {400: 0.1}}, {"period-middle"}),
        ({"slow": 0.05}, {"slow-scores"}),
    ],
)
def test_a_claim_that_is_not_true_does_not_hold_and_the_others_still_do(study, changed, failing):
    found = verdicts(complete(study, **changed))
    assert {name for name, verdict in found.items() if verdict is Verdict.FAILS} == failing
    assert set(found.values()) == {Verdict.HOLDS, Verdict.FAILS}


def test_a_study_of_one_run_tests_no_claim_and_says_why(study):
    findings = check_claims(CLAIMS, runs_of(study.run("dense", 0.9).table, study.names))
    assert {finding.verdict for finding in findings} == {Verdict.UNTESTED}
    assert all(finding.reason for finding in findings)


def test_claims_have_their_own_names_and_say_where_they_are_from():
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS) == 16
    assert all(claim.where for claim in CLAIMS)
    assert [claim.name for claim in CLAIMS if claim.basis == "abstract"] == ["beats-edge-popup"]
    assert all(claim.basis == "abstract" or "abstract;" not in claim.where for claim in CLAIMS)


def test_margins_are_those_that_the_board_states():
    assert (BETTER.low, BETTER.high) == (0.0, inf)
    assert (AT_LEAST.low, AT_LEAST.high) == (-0.01, inf)
    assert (ABOUT_EQUAL.low, ABOUT_EQUAL.high) == (-0.02, 0.02)
    assert {check.region for claim in CLAIMS for check in claim.checks} == {BETTER, AT_LEAST, ABOUT_EQUAL}


def test_learning_rates_are_compared_on_validation_images_only():
    splits = {(check.along, check.split) for claim in CLAIMS for check in claim.checks}
    assert {split for along, split in splits if along == "score_lr"} == {"val"}
    assert {split for along, split in splits if along != "score_lr"} == {"test"}
