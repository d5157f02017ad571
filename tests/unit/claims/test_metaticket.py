from functools import cache
from math import inf

import pytest
from metaticket_claims import MadeStudy

from carryover.claims import metaticket_margins as margins
from carryover.claims.metaticket import CLAIMS
from carryover.claims.metaticket_checks import check, rows_with_tasks
from carryover.claims.metaticket_readings import Score, Validation
from carryover.claims.metaticket_selections import at_home
from carryover.claims.statistics import Verdict
from carryover.io.tables import load_table, save_table

HOME = {
    "random": 0.62,
    "anil": 0.74,
    "maml": 0.815,
    "boil": 0.80,
    "meta-lth": 0.817,
    "metaticket": 0.826,
    "metaticket-boil": 0.82,
}
AWAY = {"random": 0.71, "anil": 0.49, "maml": 0.67, "boil": 0.67, "metaticket": 0.69, "metaticket-boil": 0.67}
FIT = {"maml": 0.88, "metaticket": 0.86}
CKA = {"anil": (1, 1), "maml": (0.99, 0.9), "metaticket": (0.98, 0.8), "metaticket-boil": (0.97, 0.6)}
CHANGE = {"maml": 0.1, "metaticket": 0.15}
MEASURED = {"steps": (0, 3), "adapted": ("trained", "head")}


def complete(**changed):
    """Make all runs that the claims compare, in a study in which they are true; `changed` are other numbers."""
    at_home, away, fit = (
        {**own, **changed.get(name, {})} for name, own in (("home", HOME), ("away", AWAY), ("fit", FIT))
    )
    made = MadeStudy(spread=0.0005)
    sparsity, val = changed.get("sparsity", (0.3, 0.4)), changed.get("val", (0.8, 0.8))
    for method, accuracy in at_home.items():
        made.training(method, method, sparsity=sparsity, val=val, classes=changed.get("classes", 40))
        kinds = {
            ("trained", "transductive", 3): accuracy,
            ("trained", "support", 3): accuracy + changed.get("support", -0.005),
        }
        kinds[("head", "transductive", 3)] = accuracy + changed.get("head", -0.1)
        made.test(f"on-{method}", method, kinds, **MEASURED)
    for method, accuracy in away.items():
        made.test(f"mnist-{method}", method, accuracy, dataset="mnist")
    for method, accuracy in fit.items():
        made.test(f"fit-{method}", method, accuracy, split="train")
    for method, cka in {**CKA, **changed.get("cka", {})}.items():
        made.analysis(f"look-{method}", method, cka, {**CHANGE, **changed.get("change", {})}.get(method, 0.0))
    wide = {"net": {"kind": "episode-mlp", "width": 4}}
    for method in ("maml", "metaticket"):
        gain = changed.get("wide", 0.03) if method == "metaticket" else 0.0
        made.training(f"wide-{method}", method, **wide).test(
            f"on-wide-{method}", f"wide-{method}", 0.85 + gain
        )
    for name, value in (
        (0.5, changed.get("sparse", at_home["metaticket"])),
        (0.9, at_home["metaticket"] - 0.005),
    ):
        run = f"sparse{name}"
        made.training(run, "metaticket", initial_sparsity=name).test(f"on-{run}", run, value)
    made.training("first", "metaticket", order="first").test("on-first", "first", changed.get("first", 0.8))
    made.training("slow", "metaticket", outer_lr=1.0, val=(0.7, changed.get("slow", 0.7)))
    made.training("fast", "metaticket", outer_lr=100.0, val=(0.8, changed.get("fast", 0.8)))
    constant = {"weights": "constant", "masked": "body+head", "inner_steps": 3}
    made.training("constant", "metaticket", **constant).test(
        "on-constant", "constant", changed.get("constant", 0.4)
    )
    made.training("drawn", "metaticket", **constant, initial_sparsity=0.5, outer_steps=0).test(
        "on-drawn", "drawn", 0.3
    )
    made.test("mac-away", "anil", changed.get("mac", 0.6), dataset="mnist", widen={"units": 4})
    made.test("mac-home", "anil", changed.get("mac", 0.79), widen={"units": 4})
    waves = {"dataset": "waves", "net": {"kind": "regressor"}, "ways": 1, "norm": "none"}
    made.training("wave-maml", "maml", **waves).test("on-wave-maml", "wave-maml", 1.1)
    ticket = {
        "optimizer": "adamw",
        "outer_lr": 1e-3,
        "auxiliary_lr": 1e-3,
        "masked": "inner",
        "schedule": "constant",
    }
    made.training("wave", "metaticket", **waves, **ticket).test("on-wave", "wave", changed.get("wave", 1.8))
    return made


def verdicts(made):
    return {finding.claim.name: finding.verdict for finding in check(CLAIMS, made.study)}


@cache
def true_findings():
    return check(CLAIMS, complete().study)


def test_every_claim_holds_where_everything_is_as_claimed():
    found = {finding.claim.name: (finding.verdict, finding.reason) for finding in true_findings()}
    assert {name: each for name, each in found.items() if each[0] is not Verdict.HOLDS} == {}
    assert len(found) == len(CLAIMS)


@pytest.mark.parametrize(
    ("changed", "failing"),
    [
        ({"home": {"maml": 0.86}}, {"beats-maml", "few-classes", "like-maml", "pruned-maml", "smaller-gap"}),
        ({"home": {"anil": 0.83}}, {"beats-maml", "above-anil", "added-units-at-home"}),
        ({"home": {"boil": 0.84}}, {"beats-maml"}),
        ({"home": {"random": 0.9}}, {"far-above-random", "finds-subnetworks"}),
        ({"wide": -0.02}, {"most-when-wide", "beats-maml"}),
        ({"away": {"maml": 0.8}}, {"other-data", "untrained-elsewhere"}),
        ({"away": {"random": 0.5}}, {"untrained-elsewhere"}),
        ({"fit": {"maml": 0.8}}, {"smaller-gap"}),
        ({"val": (0.85, 0.8)}, {"few-classes-steady", "score-rate"}),
        ({"sparsity": (0.01, 0.02)}, {"finds-subnetworks"}),
        ({"sparsity": (0.2, 0.95)}, {"rises-then-slows", "never-collapses"}),
        ({"head": 0.05}, {"features-per-task"}),
        ({"support": -0.1}, {"support-statistics"}),
        ({"cka": {"metaticket": (0.99, 0.95)}}, {"moves-more-than-maml"}),
        ({"change": {"metaticket": 0.05}}, {"moves-more-than-maml"}),
        ({"cka": {"metaticket-boil": (0.99, 0.95)}}, {"moves-most-with-boil"}),
        ({"cka": {"anil": (1, 0.99)}}, {"anil-stands"}),
        ({"first": 0.85}, {"second-order"}),
        ({"sparse": 0.7}, {"initial-sparsity"}),
        ({"slow": 0.9}, {"score-rate"}),
        ({"fast": 0.7}, {"score-rate"}),
        ({"constant": 0.2}, {"constant-weights"}),
        ({"wave": 1.0}, {"sinusoid-behind"}),
        ({"mac": 0.4}, {"added-units-elsewhere", "added-units-at-home"}),
    ],
)  # fmt: skip
def test_a_claim_that_is_not_true_does_not_hold(changed, failing):
    found = verdicts(complete(**changed))
    wrong = {name for name, verdict in found.items() if verdict is Verdict.FAILS}
    assert wrong & failing
    assert wrong <= failing


def test_chance_is_claimed_of_every_test_at_home_of_a_classifier():
    (chance,) = (finding for finding in true_findings() if finding.claim.name == "chance-at-start")
    tests = [run for run in complete().study.of("test") if not run.regression and at_home(run)]
    assert len(chance.parts) == len(tests)
    made = complete()
    made.scores = {
        key: values + 0.2 * (key[4] == 0 and key[0] == "on-maml") for key, values in made.scores.items()
    }
    assert verdicts(made)["chance-at-start"] is Verdict.FAILS


@pytest.mark.parametrize("classes", [4000, None])
def test_few_classes_are_told_by_the_training_and_an_unknown_number_tests_nothing(classes):
    found = verdicts(complete(classes=classes))
    assert found["few-classes"] is found["few-classes-steady"] is Verdict.UNTESTED


def test_a_study_of_one_training_tests_next_to_nothing_and_says_what_is_missing():
    findings = check(CLAIMS, MadeStudy().training("maml", "maml").study)
    assert {finding.verdict for finding in findings} == {Verdict.UNTESTED}
    assert all(finding.reason.startswith("the study has no ") for finding in findings)


def test_claims_have_their_own_names_and_say_where_they_are_from_and_what_they_need():
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS) == 27
    assert all(claim.where and claim.needs and claim.statement.endswith(".") for claim in CLAIMS)
    abstract = ["beats-maml", "most-when-wide", "finds-subnetworks", "features-per-task"]
    assert [claim.name for claim in CLAIMS if claim.basis == "abstract"] == abstract
    assert {claim.basis for claim in CLAIMS} == {"abstract", "replica", "own"}
    assert all((claim.where == "abstract") == (claim.basis == "abstract") for claim in CLAIMS)


def test_margins_are_those_that_the_text_states():
    assert (margins.BETTER.low, margins.BETTER.high) == (0.0, inf)
    assert margins.AT_LEAST.low == -0.01
    assert (margins.ALIKE.low, margins.ALIKE.high) == (-0.02, 0.02)
    assert (margins.FIVE_POINTS.low, margins.TEN_POINTS.low) == (0.05, 0.10)
    assert (margins.CHANCE.low, margins.CHANCE.high) == (-0.05, 0.05)
    assert (margins.TENTH.low, margins.NOT_ALL.high) == (0.1, 0.9)
    assert (margins.NOTHING.low, margins.NOTHING.high) == (-1e-4, 1e-4)


def test_rates_are_compared_on_validation_tasks_and_everything_else_on_new_classes():
    for claim in CLAIMS:
        for each in claim.comparisons:
            if isinstance(each.more, Validation):
                assert claim.name in ("score-rate", "few-classes-steady")
            elif isinstance(each.more, Score):
                assert each.kind == "test"
    rates = next(claim for claim in CLAIMS if claim.name == "score-rate")
    assert {type(each.more) for each in rates.comparisons} == {Validation}


def test_findings_are_rows_like_those_of_any_paper_with_units_of_their_own(tmp_path):
    save_table(tmp_path / "claims.csv", rows_with_tasks("Meta-ticket", true_findings()))
    table = load_table(tmp_path / "claims.csv")
    rows = table[table["part"] == 0].set_index("claim")
    assert rows["unit"]["beats-maml"] == "accuracy, as a fraction"
    assert rows["unit"]["anil-stands"] == "ratio, linear CKA"
    assert rows["unit"]["never-collapses"] == "ratio, pruned weights"
    assert rows["unit"]["sinusoid-behind"] == "squared error"
    assert (rows["n"]["beats-maml"], rows["tasks"]["beats-maml"]) == (3, 40)
    assert set(table["paper"]) == {"Meta-ticket"}
