from functools import cache
from math import inf

import pytest
from transfer_results import FINAL, Made

from carryover.claims import transfer
from carryover.claims.statistics import Verdict
from carryover.claims.table import rows_of
from carryover.claims.transfer import CLAIMS, check_transfer_claims
from carryover.io.tables import load_table, save_table

UNTESTED = {"statistics"}
"""What no study can test: there is no setting for it."""
BARRIERS = {"naive": (0.0, 0.15, 0.36), "gmt": (0.0, 0.03, 0.07), "fgmt": (0.0, 0.04, 0.09)}
MNIST = {
    "naive": 0.977,
    "random": 0.977,
    "gmt": 0.98,
    "fgmt": 0.98,
    "oracle": 0.98,
    "standard": 0.5,
    "standard-gmt": 0.5,
}
FEW = ["naive", "random", "oracle", "gmt", "fgmt"]


def complete(**changed):
    """Make all runs that the claims compare, in a study in which they are true; `changed` are other numbers."""
    good = {"gmt": 0.945, "fgmt": 0.945, "oracle": 0.945, "random": 0.63, **changed.get("finals", {})}
    made = Made(spread=0.001).training("mlp", net={"kind": "mlp", "hidden": [64, 64]}, final=0.96)
    made.transfer("main", "mlp", final=good, methods=FEW)
    for steps in (1, 5, 20):
        value = changed.get("steps", {1: 0.64}).get(steps, 0.945)
        made.transfer(
            f"steps{steps}", "mlp", steps=steps, methods=["gmt", "fgmt"], final={"gmt": value, "fgmt": value}
        )
    actual = changed.get("actual", 0.67)
    made.transfer(
        "actual", "mlp", trajectory="actual", steps=30, methods=FEW, final={"gmt": actual, "fgmt": actual}
    )
    made.training("mnist", dataset="mnist").transfer(
        "mnist", "mnist", steps=5, methods=FEW, final=MNIST, early=0.4
    )
    made.training("tuned", start="low").transfer(
        "tuned", "tuned", methods=FEW, final=changed.get("tuned", good)
    )
    starts = changed.get("starts", {})
    made.continuation(
        "after", "main", epochs=30, starts=starts, final=changed.get("final", 0.97), methods=FEW
    )
    made.training("rich", start="all", final=0.95).training("poor", start="tenth", final=0.90)
    pair = ["naive", "fgmt"]
    made.transfer("across", "poor", target_training="rich", methods=pair, final={"fgmt": 0.8})
    made.transfer("within", "poor", methods=pair, final={"fgmt": 0.8})
    made.continuation(
        "across", "across", epochs=9, methods=pair, final=changed.get("across", 0.96), starts={"fgmt": 0.8}
    )
    made.continuation(
        "within", "within", epochs=9, methods=pair, final=changed.get("within", 0.89), starts={"fgmt": 0.8}
    )
    for width, mean in {8: 0.3, 128: 0.6, **changed.get("cosines", {})}.items():
        made.cosine(f"width{width}", width, mean=mean, steps=50)
    made.landscape("lines", "main", {**BARRIERS, **changed.get("barriers", {})}, plane=False)
    ensembles = {"gmt": 0.97, "fgmt": 0.972, "standard": 0.975, **changed.get("ensembles", {})}
    return made.ensemble("short", "after", ensembles)


@cache
def true_verdicts():
    return verdicts(complete())


def verdicts(made):
    return {finding.claim.name: finding.verdict for finding in check_transfer_claims(made.results)}


def test_every_claim_holds_where_everything_is_as_claimed_but_those_that_cannot_be_tested():
    found = true_verdicts()
    expected = dict.fromkeys((claim.name for claim in CLAIMS), Verdict.HOLDS)
    expected |= {"ensembles": Verdict.UNDECIDED, **dict.fromkeys(UNTESTED, Verdict.UNTESTED)}
    assert found == expected


@pytest.mark.parametrize(
    ("changed", "failing"),
    [
        ({"finals": {"gmt": 0.7}}, {"near-oracle", "above-naive", "five-steps", "beats-standard"}),
        ({"finals": {"random": 0.9}}, {"naive-random", "above-naive"}),
        ({"finals": {"fgmt": 0.9}}, {"fast-as-good", "near-oracle"}),
        ({"actual": 0.99}, {"linear-or-actual"}),
        ({"steps": {1: 0.99}}, {"one-step"}),
        ({"steps": {1: 0.6, 5: 0.85}}, {"five-steps"}),
        ({"tuned": {**FINAL, "gmt": 0.3}}, {"pre-trained-starts", "near-oracle"}),
        ({"starts": {"naive": 0.97}}, {"faster"}),
        ({"starts": {"gmt": 0.1, "naive": 0.0}, "final": 0.4}, {"faster", "ends-as-high"}),
        ({"across": 0.8}, {"inherits"}),
        ({"within": 0.93}, {"inherits-no-more"}),
        ({"cosines": {128: 0.2}}, {"wider-more-alike"}),
        ({"cosines": {8: 0.02}}, {"permuted-alike"}),
        ({"barriers": {"naive": (0.0, 0.0, 0.3)}}, {"basin"}),
    ],
)
def test_a_claim_that_is_not_true_does_not_hold(changed, failing):
    found = verdicts(complete(**changed))
    wrong = {name for name, verdict in found.items() if verdict is Verdict.FAILS}
    assert wrong & failing
    assert wrong <= failing


def test_faster_needs_both_halves():
    for starts in ({"naive": 0.97}, {"gmt": 0.0, "fgmt": 0.0}):
        assert verdicts(complete(starts=starts))["faster"] is Verdict.FAILS


def test_a_study_without_transfers_tests_no_claim_and_says_what_is_missing():
    findings = check_transfer_claims(Made().training("mlp").results)
    assert {finding.verdict for finding in findings} == {Verdict.UNTESTED}
    assert all(finding.reason.startswith("the study has no ") for finding in findings)


def test_claims_have_their_own_names_and_say_where_they_are_from_and_what_they_need():
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS) == 19
    assert all(claim.where and claim.needs and claim.statement.endswith(".") for claim in CLAIMS)
    assert {claim.basis for claim in CLAIMS} == {"paper", "replica", "own"}
    assert all("not a figure" not in claim.where for claim in CLAIMS if claim.basis == "paper")


def test_margins_are_those_that_the_text_states():
    assert (transfer.BETTER.low, transfer.BETTER.high) == (0.0, inf)
    assert transfer.AT_LEAST.low == -0.01
    assert transfer.NEAR.low == -0.03
    assert transfer.TEN_POINTS.low == 0.10
    assert transfer.FIFTEEN_POINTS.low == 0.15
    assert (transfer.ALIKE.low, transfer.ALIKE.high) == (-0.05, 0.05)


def test_what_is_reported_is_on_test_images_but_for_early_steps():
    for claim in CLAIMS:
        for each in claim.comparisons:
            early = each.more.at in (1, "first epoch")
            assert each.more.split == (
                "none" if each.more.metric != "accuracy" else "val" if early else "test"
            )
            assert each.more.split == each.less.split
            assert each.more.metric == each.less.metric


def test_findings_are_rows_like_those_of_any_paper_with_units_of_their_own(tmp_path):
    save_table(
        tmp_path / "claims.csv", rows_of("learning transfer", check_transfer_claims(complete().results))
    )
    table = load_table(tmp_path / "claims.csv")
    units = table[table["part"] == 0].set_index("claim")["unit"]
    assert units["near-oracle"] == "accuracy, as a fraction"
    assert units["wider-more-alike"] == "cosine"
    assert units["basin"] == "loss, nats per example"
    assert set(table["paper"]) == {"learning transfer"}
    assert table[table["claim"] == "basin"]["n"].tolist() == [3, 3, 3]
