import pytest
from transfer_results import EPOCH_STEPS, Made, digits

from carryover.claims.statistics import Region, Verdict
from carryover.claims.transfer_checks import Comparison, TransferClaim, check
from carryover.claims.transfer_runs import Reading, study_of, twins
from carryover.claims.transfer_selections import actual, every, most_steps, narrowest, one_step, ordinary

BETTER = Region(low=0.0)


def study(made):
    return study_of(made.results)


def run_of(made, kind, name):
    (found,) = study(made).named(kind, name)
    return found


def found(comparison, made):
    """Check a claim of one comparison."""
    claim = TransferClaim("c", "C.", "figure 1", "paper", "such runs", (comparison,))
    (finding,) = check([claim], study(made))
    return finding


def value(made, *where):
    """Look up one observation: kind, method, split, step, metric, by pair."""
    kind, method, split, step, metric = where
    rows = made.results
    rows = rows[(rows["kind"] == kind) & (rows["method"] == method) & (rows["split"] == split)]
    rows = rows[(rows["step"] == step) & (rows["metric"] == metric)]
    return dict(zip(rows["pair"], rows["value"], strict=True))


def test_a_number_is_read_at_a_step_at_the_last_or_at_the_selected_one():
    made = digits()
    run = run_of(made, "transfer", "main")
    assert run.read(Reading("gmt", 1, split="val")) == value(made, "transfer", "gmt", "val", 1, "accuracy")
    assert run.read(Reading("gmt")) == value(made, "transfer", "gmt", "test", 10, "accuracy")
    rows = made.results
    best = rows[(rows["metric"] == "best") & (rows["method"] == "gmt")].set_index("pair")["step"]
    expected = {p: value(made, "transfer", "gmt", "test", best[p], "accuracy")[p] for p in (1, 2, 3)}
    assert run.read(Reading("gmt", "selected")) == expected


def test_a_number_is_read_at_the_end_of_the_first_epoch_or_as_the_mean_over_all_steps():
    made = digits().continuation("after", "main").cosine("w", 8, steps=20)
    run = run_of(made, "continuation", "after")
    expected = value(made, "continuation", "gmt", "val", EPOCH_STEPS, "accuracy")
    assert run.read(Reading("gmt", "first epoch", split="val")) == expected
    means = run_of(made, "cosine", "w").read(Reading("permuted", "all", "cosine", "none"))
    two = [value(made, "cosine", "permuted", "none", step, "cosine") for step in (10, 20)]
    assert means == pytest.approx({pair: (two[0][pair] + two[1][pair]) / 2 for pair in (1, 2, 3)})


def test_a_number_that_was_not_measured_is_missing():
    assert run_of(digits(), "transfer", "main").read(Reading("gmt", 1, split="test")) == {}


def test_twins_agree_in_every_setting_but_those_named():
    made = digits().transfer("five", "mlp", steps=5).transfer("cold", "mlp", steps=5, num_batches=2)
    run = run_of(made, "transfer", "main")
    others = study(made).of("transfer")
    assert [twin.name for twin in twins(run, others, ["transfer.steps"])] == ["five"]
    assert [twin.name for twin in twins(run, others, ["transfer.*"])] == ["five", "cold"]


def test_differences_are_paired_by_pair():
    made = digits()
    finding = found(Comparison("transfer", Reading("gmt"), Reading("naive"), BETTER, every), made)
    run = run_of(made, "transfer", "main")
    more, less = run.read(Reading("gmt")), run.read(Reading("naive"))
    (part,) = finding.parts
    assert part.effect.mean == pytest.approx(sum(more[pair] - less[pair] for pair in more) / 3)
    assert part.effect.n == 3
    assert part.compared == "main: gmt[last] - naive[last]"
    assert finding.verdict is Verdict.HOLDS


def test_a_part_names_both_runs_that_it_compares():
    made = digits().transfer("actual", "mlp", trajectory="actual", steps=10)
    comparison = Comparison(
        "transfer", Reading("gmt"), Reading("gmt"), BETTER, lambda run: run.name == "main", actual
    )
    assert found(comparison, made).parts[0].compared == "main: gmt[last] - actual: gmt[last]"


def test_a_run_of_one_pair_is_not_tested_and_decides_nothing():
    finding = found(Comparison("transfer", Reading("gmt"), Reading("naive"), BETTER, every), digits(pairs=1))
    assert finding.verdict is Verdict.UNTESTED
    assert finding.reason == "1 pair with accuracy: two are the least"


def test_a_single_ensemble_has_an_effect_and_no_interval():
    made = digits().continuation("after", "main").ensemble("short", "after", {"gmt": 0.97, "standard": 0.98})
    comparison = Comparison("ensemble", Reading("gmt"), Reading("standard"), BETTER, every, alone=True)
    finding = found(comparison, made)
    assert finding.verdict is Verdict.UNDECIDED
    assert finding.decisive.effect.mean == pytest.approx(-0.01)
    assert "no interval" in finding.reason


def test_the_target_s_own_training_is_that_of_its_target_training():
    made = Made().training("a").training("b").transfer("t", "a", target_training="b").continuation("c", "t")
    run = run_of(made, "continuation", "c")
    assert [other.name for other in ordinary(run, study(made))] == ["b"]


def test_sweeps_are_read_at_one_step_at_the_most_and_at_the_narrowest():
    made = Made().training("mlp")
    for steps in (1, 5, 10, 20):
        made.transfer(f"t{steps}", "mlp", steps=steps)
    for width in (8, 32, 128):
        made.cosine(f"w{width}", width, steps=20)
    everything = study(made)

    def against(choose, kind, name):
        return [other.name for other in choose(run_of(made, kind, name), everything)]

    assert against(one_step, "transfer", "t10") == ["t1"]
    assert against(most_steps, "transfer", "t5") == ["t20"]
    assert against(most_steps, "transfer", "t10") == []
    assert against(narrowest, "cosine", "w128") == ["w8"]
    assert against(narrowest, "cosine", "w32") == []


def test_pairs_that_diverged_are_counted_and_left_out():
    made = digits().continuation("after", "main", methods=["gmt", "naive"])
    made.rows = [
        row for row in made.rows if not (row[0] == "continuation" and row[2 + 1] == 2 and row[4] == "gmt")
    ]
    made.row("continuation", "after", 2, "gmt", "train", 1, "diverged", 1.0)
    finding = found(Comparison("continuation", Reading("gmt"), Reading("naive"), BETTER, every), made)
    assert (finding.parts[0].effect.n, finding.parts[0].diverged) == (2, 1)
