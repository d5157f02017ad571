"""Sections 1.6, 1.8, 1.9 and 2.1, and oracles T14 and T19: the outer loop, redraws, and going on after a stop."""

import pytest
import torch
from metaticket_problems import (
    LEARNING,
    LOOP,
    VMAP,
    Memory,
    largest_difference,
    learner_of,
    listed,
    network_of,
    run_of,
    same,
    sampled,
    state_of,
    tasks_of,
    train,
    training_of,
)
from reference import meta_ticket as published
from torch.utils._python_dispatch import TorchDispatchMode

from carryover.core.resume import OutOfTime
from carryover.io.workdir import WorkDir
from carryover.metaticket import learner as learner_module
from carryover.metaticket import search
from carryover.metaticket.batching import after_steps
from carryover.metaticket.methods import METHODS
from carryover.sparse.prunable import prunable

FORMS = {
    "MAML": ("maml", {}),
    "ANIL by SGD with a cosine": ("anil", {"optimizer": "sgd", "schedule": "cosine", "outer_lr": 0.5}),
    "BOIL of first order": ("boil", {"order": "first"}),
    "Meta-LTH": ("meta-lth", {}),
    "Meta-ticket": ("metaticket", {"warmup_steps": 2}),
    "Meta-ticket of first order": ("metaticket", {"order": "first"}),
    "Meta-ticket by AdamW": ("metaticket", {"optimizer": "adamw", "schedule": "constant", "outer_lr": 0.1}),
    "Meta-ticket with redraws": ("metaticket", {"randomize_every": 2, "randomize_prob": 0.5}),
    "Meta-ticket with auxiliary values": ("metaticket", {"auxiliary_lr": 0.01, "outer_lr": 3.0}),
    "Meta-ticket + BOIL": ("metaticket-boil", {}),
}
EVERY_FORM = pytest.mark.parametrize("form", FORMS)


def posed(form, **changes):
    method, settings = FORMS[form]
    run = run_of(method, **{**settings, **changes})
    return run, learner_of(run, network_of(run))


def by_hand(run, learner):
    """Train by the plain algorithm; return scores and weights, and the mean query loss of each step."""
    method, training, losses = METHODS[run.method], training_of(run, learner), []
    kind, lr = run.optimizer or method.optimizer, run.outer_lr or method.outer_lr
    main, auxiliary = published.Sgd() if kind == "sgd" else published.Adam(), published.Adam()
    for step in range(run.outer_steps):
        if (run.schedule or method.schedule) == "cosine":
            rate = published.outer_rate(lr, step, run.warmup_steps, run.outer_steps)
        else:
            rate = lr
        tasks = listed(sampled(run)[step])
        if run.auxiliary_lr is None:
            losses.append(training.step(main, tasks, rate).item())
            continue
        loss, gradients = training.gradients(tasks)
        groups = {"scores": (main, rate), "weights": (auxiliary, run.auxiliary_lr)}
        for part, (optimizer, own_rate) in groups.items():
            own = {name: g for name, g in gradients.items() if name.startswith(f"{part}/")}
            moved = optimizer.step({name: training.variables[name] for name in own}, own, own_rate)
            getattr(training, part).update({name.removeprefix(f"{part}/"): t for name, t in moved.items()})
        losses.append(loss.item())
    return training.scores, training.weights, losses


@pytest.mark.parametrize("batching", [LOOP, VMAP], ids=["loop", "vmap"])
@pytest.mark.parametrize("form", [form for form in FORMS if form != "Meta-ticket with redraws"])
def test_six_outer_steps_are_those_of_the_plain_algorithm(form, batching):
    run, learner = posed(form, evaluate_every=1)
    before = state_of(learner)
    scores, weights, losses = by_hand(run, learner)
    diary = train(run, learner, batching=batching)
    # the gradient of a bias before batch-norm is rounding alone, which Adam makes large
    alive = {n: w.detach() for n, w in learner.weights.items() if learner.roles[n] != "bias"}
    assert largest_difference(alive, {name: weights[name] for name in alive}) < 1e-10
    found = [row["value"] for row in diary.rows if row["split"] == "train" and row["metric"] == "loss"]
    assert found == pytest.approx(losses, rel=1e-10)
    if scores:
        assert largest_difference({n: s.detach() for n, s in learner.scores.items()}, scores) < 1e-10
        flips = [
            (learner.masks()[n] != (before[f"scores/{n}"] >= learner.thresholds[n])).any() for n in scores
        ]
        assert all(flips)


@EVERY_FORM
def test_only_what_is_learned_changes(form):
    """T14: thresholds and what the outer loop does not learn are the same bits before and after."""
    run, learner = posed(form, randomize_prob=0.0)
    before = state_of(learner)
    train(run, learner)
    learned = set(learner.variables)
    for name, tensor in state_of(learner).items():
        if name in learned:
            # a bias before batch-norm has no gradient but rounding
            assert learner.roles[name.partition("/")[2]] == "bias" or not torch.equal(tensor, before[name]), (
                name
            )
        else:
            assert torch.equal(tensor, before[name]), name
    is_ticket = run.method.startswith("metaticket")
    assert any(name.startswith("scores/") for name in learned) == is_ticket


@EVERY_FORM
@pytest.mark.parametrize("stop", [1, 3, 4, 5, 6])
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(form, stop):
    """T19: rows, variables, redrawn weights; a stop within an interval, at its end, and after the last step."""
    run, whole = posed(form, evaluate_every=4)
    expected = train(run, whole)
    _, first = posed(form)
    resume = Memory(stop_at=stop)
    with pytest.raises(OutOfTime):
        train(run, first, resume)
    _, second = posed(form)
    found = train(run, second, resume)
    assert found.rows == expected.rows
    assert same(state_of(second), state_of(whole))
    before = {0} if whole.masks() else set()  # there is a sparsity to write down, where there is a mask
    assert {row["step"] for row in found.rows} == {*before, 4, 6}


def test_a_training_is_stopped_often_and_goes_on_from_files(tmp_path):
    run, whole = posed("Meta-ticket with redraws", evaluate_every=2)
    expected = train(run, whole)
    for _ in range(run.outer_steps - 1):
        _, learner = posed("Meta-ticket with redraws")
        with WorkDir(tmp_path, minutes=1e-6) as work, pytest.raises(OutOfTime):
            train(run, learner, work.part("s1"))
    _, learner = posed("Meta-ticket with redraws")
    with WorkDir(tmp_path, minutes=None) as work:
        found = train(run, learner, work.part("s1"))
    assert found.rows == expected.rows
    assert same(state_of(learner), state_of(whole))


def test_the_state_after_the_last_step_is_saved_and_ends_the_training_at_once():
    run, learner = posed("Meta-ticket")
    resume = Memory()
    expected = train(run, learner, resume)
    assert resume.saves == 1
    _, again = posed("Meta-ticket")
    assert train(run, again, resume).rows == expected.rows
    assert same(state_of(again), state_of(learner))


class Waits(TorchDispatchMode):
    """Counts what makes the host wait for the device: reading a number of a tensor."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", LEARNING)
@pytest.mark.parametrize("num_steps", [3, 9])
def test_the_host_waits_for_the_device_only_when_the_diary_writes(method, num_steps, monkeypatch):
    """Once for the sums, and for each tensor's sparsity, which it also writes before the first step.

    By SGD, since Adam's counters live on the host.
    """
    run = run_of(method, optimizer="sgd", outer_steps=num_steps)
    learner, tasks, copies = learner_of(run, network_of(run)), sampled(run), []

    def copied(name, function):
        return lambda own: (copies.append(name), function(own))[1]

    for name in ("tolist", "cpu", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, copied(name, getattr(torch.Tensor, name)))
    with Waits() as waits:
        train(run, learner, tasks=tasks)
    assert copies == ["tolist"]
    assert waits.count == 2 * len(learner.masks())


def test_masks_are_made_once_in_each_outer_step(monkeypatch):
    """However many tasks and inner steps there are; two more times when the diary writes the sparsity."""
    made, at_least = [], learner_module.at_least
    monkeypatch.setattr(learner_module, "at_least", lambda *own: (made.append(1), at_least(*own))[1])
    run, learner = posed("Meta-ticket", inner_steps=3, meta_batch=5)
    train(run, learner)
    assert len(made) == len(learner.scores) * (run.outer_steps + 2)


@pytest.mark.parametrize("method", ["metaticket", "metaticket-boil"])
def test_a_redraw_changes_all_pruned_weights_no_kept_one_and_no_prediction(method):
    """T14, with r = 1."""
    run = run_of(method, randomize_every=1, randomize_prob=1.0)
    network = network_of(run)
    learner, tasks = learner_of(run, network), tasks_of(run)
    before, masks = state_of(learner), learner.masks()
    measured = after_steps(network, *learner.parametrise(), tasks, [0, 2], LOOP)
    search.redraw(learner, run, 1, 1, prunable(network.net))
    after = state_of(learner)
    for name, tensor in after.items():
        part, _, weight = name.partition("/")
        if part == "weights" and weight in masks:
            assert torch.equal(tensor == before[name], masks[weight] == 1)
        else:
            assert torch.equal(tensor, before[name])
    for own, other in zip(
        measured, after_steps(network, *learner.parametrise(), tasks, [0, 2], LOOP), strict=True
    ):
        assert torch.equal(own, other)


def test_each_event_of_a_seed_has_draws_of_its_own_that_no_mask_changes():
    run, learner = posed("Meta-ticket", randomize_every=1, randomize_prob=1.0)
    fan_in, masks = prunable(network_of(run).net), learner.masks()

    def redrawn(learner, seed, event):
        search.redraw(learner, run, seed, event, fan_in)
        return learner.weights["fc1.weight"][masks["fc1.weight"] == 0].clone()

    first = redrawn(learner, 1, 1)
    assert not (redrawn(learner, 1, 2) == first).any()
    assert not (redrawn(learner, 2, 1) == first).any()
    assert torch.equal(redrawn(learner, 1, 1), first)
    _, other = posed("Meta-ticket")
    other.scores["fc2.weight"] += 100
    assert torch.equal(redrawn(other, 1, 1), first)


@pytest.mark.parametrize(
    ("every", "prob", "events"),
    [(2, 1.0, [1, 2, 3]), (4, 0.3, [1]), (7, 1.0, []), (0, 1.0, []), (2, 0.0, [])],
)
def test_pruned_weights_are_redrawn_after_every_so_many_steps(every, prob, events, monkeypatch):
    run, learner = posed("Meta-ticket", randomize_every=every, randomize_prob=prob)
    seen, redraw = [], search.redraw
    monkeypatch.setattr(search, "redraw", lambda *own: (seen.append(own[3]), redraw(*own))[1])
    before = state_of(learner)
    train(run, learner)
    assert seen == events
    moved = [
        name for name in learner.scores if not torch.equal(learner.weights[name], before[f"weights/{name}"])
    ]
    assert moved == (list(learner.scores) if events else [])


def test_constant_weights_train_whatever_interval_is_set_for_redraws_that_never_happen():
    run, learner = posed("Meta-ticket", weights="constant", randomize_every=2)
    before = state_of(learner)
    train(run, learner)
    for name in learner.scores:
        assert len(learner.weights[name].unique()) == 1
        assert not torch.equal(learner.scores[name], before[f"scores/{name}"])


def test_a_shorter_training_on_the_same_tasks_is_the_beginning_of_a_longer_one_at_a_constant_rate():
    run, learner = posed("MAML", evaluate_every=1)
    _, other = posed("MAML")
    longer = train(run.model_copy(update={"outer_steps": 8}), learner).rows
    shorter = train(run.model_copy(update={"outer_steps": 3}), other).rows
    assert shorter == [row for row in longer if row["step"] <= 3]


@pytest.mark.parametrize(
    ("method", "settings"), [("maml", {"outer_lr": 0.01}), ("metaticket", {"outer_lr": 3.0})]
)
def test_meta_training_lowers_the_loss(method, settings):
    run = run_of(method, inner_steps=1, initial_sparsity=0.0, outer_steps=60, evaluate_every=20, **settings)
    tasks, losses = sampled(run), []
    for seed in (1, 2):
        rows = train(run, learner_of(run, network_of(run), seed), tasks=tasks).rows
        losses.append([row["value"] for row in rows if row["metric"] == "loss"])
    first, *_, last = torch.tensor(losses).mean(0).tolist()
    assert last < 0.97 * first
