import pytest

from carryover.claims.check import check_claims
from carryover.claims.claim import Check, Claim, Term, gain, minus
from carryover.claims.runs import runs_of
from carryover.claims.statistics import Region, Verdict

BETTER = Region(low=0.0)
GAIN = gain("ku")


def check(study, *checks):
    claim = Claim("name", "Statement.", "figure 1", "replica", checks)
    (finding,) = check_claims([claim], runs_of(study.table, study.names))
    return finding


def widths(study, gains, base=0.8, arms=("popup-ku", "iterand-ku"), **settings):
    """Add edge-popup and IteRand with these gains at widths 16, 32, 64, ..."""
    for number, each in enumerate(gains):
        net = {"net.hidden": f"{16 * 2**number}-{16 * 2**number}"}
        study.run(arms[0], base, **net, **settings).run(arms[1], base + each, **net, **settings)
    return study


def test_a_claim_about_every_width_has_a_part_for_each(study):
    finding = check(widths(study, [0.05, 0.03, 0.01]), Check(GAIN, "width", BETTER))
    assert finding.verdict is Verdict.HOLDS
    assert [part.compared for part in finding.parts] == [
        "digits, mlp, width: iterand-ku[16] - popup-ku[16]",
        "digits, mlp, width: iterand-ku[32] - popup-ku[32]",
        "digits, mlp, width: iterand-ku[64] - popup-ku[64]",
    ]
    assert [part.effect.mean for part in finding.parts] == pytest.approx([0.05, 0.03, 0.01])
    assert [part.effect.n for part in finding.parts] == [5, 5, 5]
    assert finding.reason == "holds in 3 of 3 parts"


def test_one_contradicted_width_is_enough_against_a_claim(study):
    finding = check(widths(study, [0.05, -0.03, 0.01]), Check(GAIN, "width", BETTER))
    assert finding.verdict is Verdict.FAILS
    assert (
        finding.reason == "does not hold in 1 of 3 parts (digits, mlp, width: iterand-ku[32] - popup-ku[32])"
    )
    assert finding.decisive is finding.parts[1]


def test_one_undecided_width_leaves_a_claim_undecided(study):
    finding = check(widths(study, [0.05, 0.0, 0.01]), Check(GAIN, "width", BETTER))
    assert finding.verdict is Verdict.UNDECIDED
    assert finding.decisive is finding.parts[1]


def test_at_least_allows_its_margin(study):
    widths(study, [0.05, 0.0])
    assert check(study, Check(GAIN, "width", Region(low=-0.01))).verdict is Verdict.HOLDS
    assert check(study, Check(GAIN, "width", Region(low=0.01))).verdict is Verdict.FAILS


def test_a_mean_over_the_widths_is_one_part(study):
    finding = check(widths(study, [0.05, -0.03, 0.01]), Check(GAIN, "width", BETTER, over="mean"))
    (part,) = finding.parts
    assert part.compared == "digits, mlp, width: iterand-ku - popup-ku, mean over 16, 32, 64"
    assert part.effect.mean == pytest.approx(0.01)


def test_the_mean_is_taken_within_each_seed(study):
    widths(study, [0.05, 0.03])
    for row in study.rows:  # noise that two widths share with opposite signs
        row["test_accuracy"] += (
            (0.1 if row["net.hidden"] == "16-16" else -0.1) * row["seed"] * (row["method"] == "popup")
        )
    assert check(study, Check(GAIN, "width", BETTER, over="mean")).verdict is Verdict.HOLDS
    assert check(study, Check(GAIN, "width", BETTER)).verdict is not Verdict.HOLDS


def test_half_the_width_is_compared_where_twice_the_width_is_there(study):
    for hidden, popup, iterand in ((16, 0.7, 0.8), (32, 0.8, 0.9), (64, 0.9, 0.95), (96, 0.9, 0.9)):
        net = {"net.hidden": f"{hidden}-{hidden}"}
        study.run("popup-ku", popup, **net).run("iterand-ku", iterand, **net)
    equal = Check((Term(1, "iterand-ku"), Term(-1, "popup-ku", "twice")), "width", Region(-0.02, 0.02))
    finding = check(study, equal)
    assert [part.compared.split(": ")[1] for part in finding.parts] == [
        "iterand-ku[16] - popup-ku[32]",
        "iterand-ku[32] - popup-ku[64]",
    ]
    assert finding.verdict is Verdict.HOLDS


def test_a_gain_that_shrinks_is_a_difference_of_differences(study):
    shrinks = Check(gain("ku", "lowest") + minus(gain("ku", "highest")), "width", BETTER)
    finding = check(widths(study, [0.05, 0.2, 0.01]), shrinks)
    (part,) = finding.parts
    assert part.compared.endswith("iterand-ku[16] + popup-ku[64] - popup-ku[16] - iterand-ku[64]")
    assert part.effect.mean == pytest.approx(0.04)


def test_noise_that_the_arms_share_does_not_widen_the_interval(study):
    widths(study, [0.02, 0.02])
    before = check(study, Check(GAIN, "width", BETTER)).parts[0].effect
    for row in study.rows:
        row["test_accuracy"] -= 0.1 * row["seed"]
    after = check(study, Check(GAIN, "width", BETTER)).parts[0].effect
    assert (after.low, after.high) == pytest.approx((before.low, before.high))


def test_seeds_that_diverged_leave_in_pairs_and_are_counted(study):
    study.run("popup-ku", 0.8, score_lr=1.0, diverged=[1]).run("popup-ku", 0.8, score_lr=0.1)
    study.run("iterand-ku", 0.9, score_lr=1.0, diverged=[1, 4]).run("iterand-ku", 0.9, score_lr=0.1)
    high, low = reversed(check(study, Check(GAIN, "score_lr", BETTER)).parts)
    assert (high.effect.n, high.diverged) == (3, 2)
    assert (low.effect.n, low.diverged) == (5, 0)


def test_seeds_that_only_one_arm_has_are_no_pairs(study):
    for lr in (0.1, 1.0):
        study.run("popup-ku", 0.8, seeds=3, score_lr=lr).run("iterand-ku", 0.9, seeds=5, score_lr=lr)
    finding = check(study, Check(GAIN, "score_lr", BETTER))
    assert [(part.effect.n, part.diverged) for part in finding.parts] == [(3, 0), (3, 0)]


def test_a_single_pair_of_seeds_tests_nothing(study):
    widths(study, [0.05, 0.03], seeds=2, diverged=[0])
    finding = check(study, Check(GAIN, "width", BETTER))
    assert finding.verdict is Verdict.UNTESTED
    assert finding.reason == "1 paired seeds with test accuracy (1 diverged): two are the least"
    assert finding.decisive is None


def test_equal_differences_are_undecided_and_say_why(study):
    for hidden in ("16-16", "32-32"):
        for arm, accuracy in (("popup-ku", 0.8), ("iterand-ku", 0.9)):
            study.run(arm, accuracy, **{"net.hidden": hidden})
    for row in study.rows:
        row["test_accuracy"] = round(row["test_accuracy"], 1)
    finding = check(study, Check(GAIN, "width", BETTER))
    assert finding.verdict is Verdict.UNDECIDED
    assert "all 5 differences are equal" in finding.reason


def test_an_arm_that_the_study_lacks_is_not_tested_and_does_not_stop_the_others(study):
    widths(study, [0.05, 0.03])
    finding = check(study, Check(GAIN, "width", BETTER), Check(gain("sc"), "width", BETTER))
    assert finding.verdict is Verdict.HOLDS
    assert [part.verdict for part in finding.parts] == [Verdict.HOLDS, Verdict.HOLDS, Verdict.UNTESTED]
    assert finding.reason == (
        "holds in 2 of 2 parts; iterand-sc - popup-sc: the study has no runs of iterand-sc or popup-sc"
    )


def test_a_study_without_the_sweep_tests_nothing(study):
    study.run("popup-ku", 0.8).run("iterand-ku", 0.9)
    finding = check(study, Check(GAIN, "width", BETTER))
    assert finding.verdict is Verdict.UNTESTED
    assert finding.reason == "the study has no two values of width, all else equal"


def test_a_value_that_a_sweep_lacks_keeps_a_claim_from_holding(study):
    for rate in (0.1, 1.0):
        study.run("iterand-ku", 0.8 + 0.1 * (rate < 1), randomize_prob=rate)
    best = [
        Check((Term(1, "iterand-ku", 0.1), Term(-1, "iterand-ku", r)), "randomize_prob", BETTER)
        for r in (0.01, 1.0)
    ]
    finding = check(study, *best)
    assert [part.verdict for part in finding.parts] == [Verdict.UNTESTED, Verdict.HOLDS]
    assert finding.verdict is Verdict.UNDECIDED
    assert "the study has no run of iterand-ku with randomize_prob 0.01" in finding.reason
    assert check(study, best[0]).verdict is Verdict.UNTESTED


def test_runs_that_differ_in_what_the_other_arm_lacks_are_not_chosen_between(study):
    widths(study, [0.05, 0.05], arms=("dense", "iterand-ku"))
    study.run("dense", 0.9, lr=0.3, **{"net.hidden": "16-16"})
    finding = check(study, Check((Term(1, "dense"), Term(-1, "iterand-ku")), "width", BETTER))
    assert finding.parts[0].verdict is Verdict.UNTESTED
    assert "the study has 2 runs (dense" in finding.parts[0].reason
    assert finding.parts[1].effect is not None


def test_places_from_the_limit_on_are_not_read_and_none_is_compared_with_itself(study):
    for sparsity in (0.1, 0.5, 0.7, 0.9):
        study.run("popup-ku", 0.5, sparsity=sparsity)
        study.run("iterand-ku", 0.6 + 0.1 * (sparsity < 0.3), sparsity=sparsity)
    finding = check(study, Check(gain("ku", 0.1) + minus(GAIN), "sparsity", BETTER, below=0.9))
    assert [part.compared.split(" - ")[-1] for part in finding.parts] == [
        "iterand-ku[0.5]",
        "iterand-ku[0.7]",
    ]
    assert finding.verdict is Verdict.HOLDS


def test_the_usual_place_that_is_the_highest_compares_nothing(study):
    for period, seeds in ((1, 5), (13, 5)):
        study.run("iterand-ku", 0.9, seeds=seeds, randomize_every=period)
    study.run("iterand-ku", 0.9, rank="absolute")
    rare = Check(
        (Term(1, "iterand-ku", "usual"), Term(-1, "iterand-ku", "highest")), "randomize_every", BETTER
    )
    finding = check(study, rare)
    assert finding.verdict is Verdict.UNTESTED
    assert finding.reason == "randomize_every has the values 1, 13, which do not give this comparison"


@pytest.mark.parametrize(("lowest", "verdict"), [(0.03, Verdict.HOLDS), (0.1, Verdict.UNTESTED)])
def test_low_means_low_beside_the_usual(study, lowest, verdict):
    for lr in (lowest, 1.0, 3.0):
        better = 0.1 if lr < 1 else -0.1
        study.run("popup-ku", 0.5, val=0.7 + better, score_lr=lr).run("iterand-ku", 0.5, val=0.7, score_lr=lr)
    study.run("popup-ku", 0.5).run("popup-ku", 0.5, dataset="mnist")
    low = Check(minus(gain("ku", "lowest")), "score_lr", BETTER, low_means=1 / 30, split="val")
    finding = check(study, low)
    assert finding.verdict is verdict
    if verdict is Verdict.UNTESTED:
        assert finding.reason == "the lowest score_lr, 0.1, is not low: the claim is about 0.0333 or less"


def test_validation_accuracy_is_never_replaced_by_test_accuracy(study):
    for lr in (0.03, 1.0):
        study.run("popup-ku", 0.9, score_lr=lr).run("iterand-ku", 0.5, score_lr=lr)
    finding = check(study, Check(GAIN, "score_lr", BETTER, split="val"))
    assert finding.verdict is Verdict.UNTESTED
    assert "0 paired seeds with val accuracy" in finding.reason
