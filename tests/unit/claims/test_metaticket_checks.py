from math import nan

import numpy as np
import pytest
from metaticket_claims import MadeStudy

from carryover.claims import metaticket_runs
from carryover.claims.metaticket_checks import (
    Comparison,
    FewshotClaim,
    check,
    itself,
    nothing,
    rows_with_tasks,
)
from carryover.claims.metaticket_readings import Feature, Score, Sparsity, Validation
from carryover.claims.metaticket_selections import (
    at_home,
    but,
    elsewhere,
    gap_of_ticket,
    narrowest_lead,
    of,
    same,
    twin,
    usual,
    variant,
)
from carryover.claims.statistics import Region, Verdict
from carryover.metaticket.methods import METHODS

BETTER = Region(low=0.0)
ANY = Region()


def pair(made=None, gain=0.03, **settings):
    """Make MAML and Meta-ticket, trained alike and tested on the same tasks."""
    made = made or MadeStudy()
    made.training("maml", "maml", **settings).test("on-maml", "maml", 0.8)
    return made.training("ticket", "metaticket", **settings).test("on-ticket", "ticket", 0.8 + gain)


def run_of(made, name):
    (found,) = (run for run in made.study.runs if run.name == name)
    return found


def found(made, *comparisons):
    """Check a claim."""
    (finding,) = check([FewshotClaim("c", "C.", "abstract", "own", "such runs", comparisons)], made.study)
    return finding


def compare(against=None, more=None, about=None, kind="test", region=BETTER, **options):
    return Comparison(
        kind, more or Score(), region, about or of("metaticket"), against or twin("maml"), **options
    )


def test_a_score_is_read_task_by_task_after_as_many_steps_as_the_training_validates_with():
    made = pair().test("other", "maml", {("trained", "transductive", 3): 0.5, ("head", "support", 1): 0.25})
    run = run_of(made, "other")
    assert {seed: values.shape for seed, values in Score().of(run).items()} == dict.fromkeys((1, 2, 3), (40,))
    assert Score().of(run)[2] is made.scores["other", 2, "trained", "transductive", 3]
    assert np.mean(Score(steps=0).of(run)[1]) == pytest.approx(0.2, abs=0.02)
    assert np.mean(Score(1, "head", "support").of(run)[1]) == pytest.approx(0.25, abs=0.02)
    assert Score(adapted="body").of(run) == {}


def test_sparsities_and_validation_are_read_at_the_end_and_half_way():
    made = MadeStudy().training(
        "ticket", "metaticket", sparsity=(0.3, 0.4), val=(0.9, 0.7), initial_sparsity=0.1
    )
    run = run_of(made, "ticket")
    readings = {
        Sparsity(): 0.4,
        Sparsity(over="most"): 0.45,
        Sparsity("ever", "most"): 0.45,
        Sparsity(over="least"): 0.35,
        Sparsity("first half"): 0.2,
        Sparsity("second half"): 0.1,
        Validation(): 0.7,
        Validation("best"): 0.9,
    }
    for reading, value in readings.items():
        assert reading.of(run)[1].item() == pytest.approx(value, abs=0.01), reading


def test_a_rise_of_sparsity_needs_a_record_half_way():
    made = MadeStudy().training("ticket", "metaticket")
    made.rows = [row for row in made.rows if row["step"] == 2000]
    run = run_of(made, "ticket")
    assert Sparsity().of(run)
    assert Sparsity("first half").of(run) == {}


def test_features_are_read_in_the_last_hidden_layer_and_changes_over_hidden_weights():
    made = pair().analysis("look", "maml", cka=(0.99, 0.5, 0.8), change=0.25)
    run = run_of(made, "look")
    assert Feature("cka", "last").of(run)[1].item() == pytest.approx(0.8, abs=0.01)
    assert Feature("cka", "least").of(run)[1].item() == pytest.approx(0.5, abs=0.01)
    assert Feature("change", "body").of(run)[1].item() == pytest.approx(0.25, abs=0.01)


def test_differences_are_paired_by_seed_and_task():
    made = pair()
    (part,) = found(made, compare()).parts
    more, less = (Score().of(run_of(made, name)) for name in ("on-ticket", "on-maml"))
    differences = np.stack([more[seed] - less[seed] for seed in (1, 2, 3)])
    assert part.effect.mean == pytest.approx(differences.mean())
    assert (part.effect.n, part.effect.tasks) == (3, 40)
    assert part.compared == "on-ticket - on-maml"
    assert (part.split, part.unit, part.diverged) == ("test", "accuracy, as a fraction", 0)


def test_noise_that_tasks_or_seeds_share_does_not_widen_the_interval():
    made = pair()
    before = found(made, compare()).parts[0].effect
    hard = np.linspace(-0.3, 0.3, 40)
    made.scores = {key: values + hard + 0.1 * key[1] for key, values in made.scores.items()}
    after = found(made, compare()).parts[0].effect
    assert (after.low, after.high) == pytest.approx((before.low, before.high))


def test_common_seeds_alone_are_compared_and_a_diverged_one_is_counted():
    made = MadeStudy().training("maml", "maml", diverged=[2]).test("on-maml", "maml", 0.8, seeds=(1, 3))
    made.training("ticket", "metaticket").test("on-ticket", "ticket", 0.83)
    (part,) = found(made, compare()).parts
    assert (part.effect.n, part.diverged) == (2, 1)


def test_one_common_seed_is_not_tested_and_decides_nothing():
    made = MadeStudy().training("maml", "maml").test("on-maml", "maml", 0.8, seeds=(1,))
    made.training("ticket", "metaticket").test("on-ticket", "ticket", 0.83)
    finding = found(made, compare())
    assert (finding.verdict, finding.reason) == (Verdict.UNTESTED, "1 common seed: two are the least")


@pytest.mark.parametrize(
    "other",
    [
        {"inner_lr": 0.1},
        {"outer_steps": 500},
        {"dataset": "digits"},
        {"shots": 1},
        {"net": {"kind": "episode-mlp", "width": 2}},
        {"order": "first"},
        {"meta_batch": 8},
    ],
)
def test_methods_that_were_not_trained_alike_are_not_compared(other):
    made = MadeStudy().training("maml", "maml", **other).test("on-maml", "maml", 0.8)
    made.training("ticket", "metaticket").test("on-ticket", "ticket", 0.83)
    finding = found(made, compare())
    assert (finding.verdict, finding.reason) == (Verdict.UNTESTED, "the study has no such runs")


@pytest.mark.parametrize(
    "other", [{"query_shots": 15}, {"split": "val"}, {"dataset": "mnist"}, {"inner_lr": 0.1}]
)
def test_tests_on_other_tasks_are_not_compared(other):
    made = pair().test("again", "ticket", 0.9, **other)
    assert len(found(made, compare()).parts) == 1


def test_of_tests_of_different_length_the_common_tasks_are_compared():
    made = MadeStudy().training("maml", "maml").test("on-maml", "maml", 0.8, tasks=30)
    made.training("ticket", "metaticket").test("on-ticket", "ticket", 0.83)
    effect = found(made, compare()).parts[0].effect
    more, less = (Score().of(run_of(made, name)) for name in ("on-ticket", "on-maml"))
    assert effect.tasks == 30
    assert effect.mean == pytest.approx(np.mean([more[seed][:30] - less[seed] for seed in (1, 2, 3)]))


@pytest.mark.parametrize(("needed", "verdict"), [(False, Verdict.HOLDS), (True, Verdict.UNDECIDED)])
def test_a_claim_does_not_hold_without_the_runs_that_it_needs(needed, verdict):
    finding = found(pair(), compare(), compare(twin("boil"), needed=needed, label="BOIL"))
    assert finding.verdict is verdict
    assert finding.reason.endswith("BOIL: the study has no such runs")
    alone = found(pair(), compare(twin("boil"), needed=needed))
    assert alone.verdict is Verdict.UNTESTED


def test_the_random_network_is_compared_whatever_the_number_of_outer_steps():
    made = pair().training("none", "random", outer_steps=0).test("on-none", "none", 0.6)
    assert found(made, compare(twin("random"))).parts[0].effect.mean == pytest.approx(0.23, abs=0.01)


def test_runs_of_equal_settings_count_once():
    made = pair().training("again", "metaticket", order="second", evaluate_every=100, val_tasks=7, chunk=2)
    made.test("on-again", "again", 0.9)
    finding = found(made, compare())
    assert [part.compared for part in finding.parts] == ["on-ticket - on-maml"]


def test_of_equal_runs_the_one_that_was_measured_counts():
    made = MadeStudy().training("ticket", "metaticket")
    made.test("short", "ticket", {("trained", "transductive", 1): 0.7}).test("long", "ticket", 0.8)
    made.test("head", "ticket", {("head", "transductive", 3): 0.6}, adapted=["head"])
    (part,) = found(made, compare(same, less=Score(adapted="head"))).parts
    assert part.compared == "long - head[head adapted]"
    assert part.effect.mean == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(
    "other",
    [
        {"outer_lr": 1.0},
        {"initial_sparsity": 0.5},
        {"randomize_every": 10, "randomize_prob": 1.0},
        {"masked": "body+head"},
        {"weights": "sc"},
        {"auxiliary_lr": 0.001},
        {"optimizer": "adamw"},
        {"order": "first"},
    ],
)
def test_variants_of_meta_ticket_do_not_stand_for_it(other):
    made = MadeStudy().training("ticket", "metaticket", **other)
    assert not usual(run_of(made, "ticket"))


@pytest.mark.parametrize(
    "said", [{"outer_lr": 10.0}, {"optimizer": "sgd", "schedule": "cosine"}, {"randomize_every": 1000}]
)
def test_what_is_said_as_it_would_be_anyway_changes_nothing(said):
    made = MadeStudy().training("ticket", "metaticket").training("said", "metaticket", **said)
    assert usual(run_of(made, "said"))
    assert run_of(made, "said").identity == run_of(made, "ticket").identity


def test_outer_loops_that_claims_call_published_are_those_of_the_table_of_methods():
    for name, method in METHODS.items():
        if method.learns or method.masks != "none":
            assert (name in metaticket_runs.TICKETS) == (method.masks == "scores")
            own = (method.optimizer, method.outer_lr, method.schedule)
            assert metaticket_runs.OUTER[name in metaticket_runs.TICKETS] == own


def test_a_setting_is_varied_alone():
    made = pair()
    for start in (0.5, 0.9):
        made.training(f"from{start}", "metaticket", initial_sparsity=start).test(
            f"on{start}", f"from{start}", 0.7
        )
    made.training("else", "metaticket", initial_sparsity=0.9, inner_lr=0.1).test("on-else", "else", 0.7)
    key = "training.initial_sparsity"
    finding = found(
        made, compare(but(key, 0.0), about=variant(key, lambda run: run.number(key) > 0), region=ANY)
    )
    assert [part.compared for part in finding.parts] == ["on0.5 - on-ticket", "on0.9 - on-ticket"]


def test_the_lead_in_the_widest_net_is_compared_with_that_in_the_narrowest():
    made = MadeStudy()
    for width, gain in ((1, 0.01), (2, 0.5), (4, 0.05)):
        net = {"kind": "episode-mlp", "width": width}
        made.training(f"m{width}", "maml", net=net).test(f"on-m{width}", f"m{width}", 0.7)
        made.training(f"t{width}", "metaticket", net=net).test(f"on-t{width}", f"t{width}", 0.7 + gain)
    (part,) = found(made, compare(narrowest_lead)).parts
    assert part.compared == "on-t4 + on-m1 - on-m4 - on-t1"
    assert part.effect.mean == pytest.approx(0.04, abs=0.01)
    assert part.effect.tasks == 40


def test_gaps_between_splits_have_tasks_of_both():
    made = pair(gain=0.0)
    made.test("fit-maml", "maml", 0.95, split="train", tasks=30).test(
        "fit-ticket", "ticket", 0.85, split="train", tasks=30
    )
    about = of("maml", lambda run: run.value("test.split") == "train")
    (part,) = found(made, compare(gap_of_ticket, about=about)).parts
    assert part.compared == "fit-maml + on-ticket - on-maml - fit-ticket"
    assert part.effect.mean == pytest.approx(0.1, abs=0.01)
    assert part.effect.tasks == 70


def test_a_test_is_at_home_with_the_data_set_and_the_tasks_of_its_training():
    made = pair()
    made.test("away", "ticket", 0.5, dataset="mnist").test("wide", "ticket", 0.5, ways=3).test(
        "val", "ticket", 0.5, split="val"
    )
    places = {run.name: (at_home(run), elsewhere(run)) for run in made.study.of("test")}
    assert places["on-ticket"] == (True, False)
    assert places["away"] == (False, True)
    assert places["wide"] == places["val"] == (False, False)


def test_chance_is_taken_from_each_run_as_its_ways_have_it():
    made = (
        MadeStudy()
        .training("ticket", "metaticket")
        .test("five", "ticket", 0.8)
        .test("three", "ticket", 0.8, ways=3)
    )
    chance = compare(
        nothing, Score(steps=0), region=Region(-0.05, 0.05), base=lambda run: 1 / run.number("ways")
    )
    finding = found(made, chance)
    assert [part.effect.mean for part in finding.parts] == pytest.approx([0, 0], abs=0.01)
    assert finding.verdict is Verdict.HOLDS


def test_what_has_one_value_for_each_seed_is_paired_by_seed():
    made = pair().analysis("look-maml", "maml", cka=(1, 0.9)).analysis("look-ticket", "ticket", cka=(1, 0.7))
    look = compare(twin("metaticket"), Feature("cka", "last"), of("maml"), "analysis")
    (part,) = found(made, look).parts
    assert (part.effect.n, part.unit) == (3, "ratio, linear CKA")
    assert part.effect.mean == pytest.approx(0.2, abs=0.01)


def test_exact_claims_are_about_every_seed():
    made = pair().analysis("look", "maml", cka=(1, 1))
    exact = {
        "kind": "analysis",
        "about": of("maml"),
        "base": lambda run: 1.0,
        "exact": True,
        "region": Region(-1e-4, 1e-4),
    }
    assert found(made, compare(nothing, Feature("cka", "least"), **exact)).verdict is Verdict.HOLDS
    made = pair().analysis("look", "maml", cka=(1, 0.9))
    assert found(made, compare(nothing, Feature("cka", "least"), **exact)).verdict is Verdict.FAILS


def test_equal_scores_are_undecided_and_say_why():
    made = pair()
    finding = found(made, compare(itself))
    assert finding.verdict is Verdict.UNDECIDED
    assert finding.reason == "all differences of 3 seeds are equal: no interval"


def test_rows_tell_spreads_over_seeds_and_over_tasks_apart():
    made = pair().analysis("look", "maml")
    look = compare(nothing, Feature("cka", "last"), of("maml"), "analysis")
    tested = {"a": compare(), "b": look, "c": compare(twin("boil"))}
    claims = [FewshotClaim(name, "C.", "abstract", "own", "runs", (each,)) for name, each in tested.items()]
    findings = check(claims, made.study)
    rows = {row["claim"]: row for row in rows_with_tasks("Meta-ticket", findings) if row["part"] == 1}
    effect = findings[0].parts[0].effect
    assert (rows["a"]["n"], rows["a"]["tasks"]) == (3, 40)
    assert (rows["a"]["sd_seeds"], rows["a"]["half_tasks"]) == (effect.sd_seeds, effect.half_tasks)
    assert rows["b"]["tasks"] is None
    assert rows["c"]["half_seeds"] is None
    assert {row["paper"] for row in rows.values()} == {"Meta-ticket"}


def test_seeds_without_a_value_are_left_out():
    made = MadeStudy().training("ticket", "metaticket", diverged=[3])
    made.rows.append(
        {**made.rows[0], "seed": 2, "split": "val", "step": 2000, "metric": "accuracy", "value": nan}
    )
    assert sorted(Validation().of(run_of(made, "ticket"))) == [1, 2]
    assert sorted(Sparsity("first half").of(run_of(made, "ticket"))) == [1, 2]
