"""Sections 1.3, 1.4, 2.1, oracles T1 to T3: meta-gradients against finite differences and the plain algorithm."""

from dataclasses import replace

import pytest
import torch
from metaticket_problems import (
    LEARNING,
    LOOP,
    VMAP,
    largest_difference,
    learner_of,
    listed,
    meta_gradient,
    network_of,
    problem_of,
    run_of,
    tasks_of,
    training_of,
)
from reference import meta_ticket as published

ROUNDING = 2e-15
"""Of fp64, for numbers near 1."""
BACKENDS = {"loop": LOOP, "vmap": VMAP}
EVERY_BACKEND = pytest.mark.parametrize("batching", BACKENDS.values(), ids=BACKENDS)


def size(gradients):
    return max(gradient.abs().max().item() for gradient in gradients.values())


def differences(objective, tensors, step=1e-6):
    """Central differences of a function of tensors in every entry."""
    found = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        for entry in range(tensor.numel()):
            ends = []
            for sign in (1, -1):
                moved = tensor.clone()
                moved.view(-1)[entry] += sign * step
                ends.append(objective({**tensors, name: moved}).item())
            found[name].view(-1)[entry] = (ends[0] - ends[1]) / (2 * step)
    return found


@pytest.mark.parametrize("num_steps", [1, 3])
def test_the_gradient_of_a_score_is_that_of_a_real_mask_at_its_binary_value(num_steps):
    """T1: the loss of real masks is differentiated by central differences, through all inner steps."""
    run = run_of("metaticket", meta_batch=2)
    learner, tasks = learner_of(run, network_of(run)), tasks_of(run)
    problem, masks = replace(problem_of(run, learner, num_steps), second=False), learner.masks()
    expected = differences(lambda own: problem.objective(learner.weights, own, listed(tasks)), masks)
    assert set(masks) == {"fc1.weight", "fc2.weight"}
    for batching in BACKENDS.values():
        _, gradients = meta_gradient(run, learner, tasks, batching, num_steps)
        for name, mask in masks.items():
            found = gradients[f"scores/{name}"]
            assert (found - expected[name]).abs().max() < 2e-9
            assert found[mask == 0].abs().max() > 0.01
            assert found[mask == 1].abs().max() > 0.01


@pytest.mark.parametrize("method", ["maml", "meta-lth"])
def test_the_gradient_of_an_initial_value_is_that_of_the_adapted_nets_loss(method):
    run = run_of(method, meta_batch=2)
    learner, tasks = learner_of(run, network_of(run)), tasks_of(run)
    problem, masks = replace(problem_of(run, learner), second=False), learner.masks()
    weights = {name: tensor.detach().clone() for name, tensor in learner.weights.items()}
    expected = differences(lambda own: problem.objective(own, masks, listed(tasks)), weights)
    assert size(expected) > 0.1
    for batching in BACKENDS.values():
        _, gradients = meta_gradient(run, learner, tasks, batching)
        found = {name.removeprefix("weights/"): gradient for name, gradient in gradients.items()}
        assert largest_difference(found, expected) < 2e-9


@EVERY_BACKEND
@pytest.mark.parametrize("order", ["second", "first"])
@pytest.mark.parametrize("net", ["mlp", "deep", "conv", "regressor"])
@pytest.mark.parametrize("method", LEARNING)
def test_loss_and_gradients_are_those_of_the_plain_algorithm(method, net, order, batching):
    """T2 as well: the plain algorithm thresholds scores by a function of its own, and steps on unmasked weights."""
    run = run_of(method, net, order=order, masked="inner" if net == "regressor" else "body")
    learner, tasks = learner_of(run, network_of(run)), tasks_of(run)
    loss, gradients = meta_gradient(run, learner, tasks, batching)
    expected, theirs = training_of(run, learner).gradients(listed(tasks))
    assert abs(loss - expected) < ROUNDING
    assert largest_difference(gradients, theirs) < 5 * ROUNDING * max(1.0, size(theirs))


@pytest.mark.parametrize("masked", ["body", "body+head"])
def test_masks_of_the_classifier_and_learned_auxiliary_values_follow_the_same_equations(masked):
    run = run_of("metaticket", masked=masked, auxiliary_lr=0.01)
    learner, tasks = learner_of(run, network_of(run)), tasks_of(run)
    assert ("classifier.weight" in learner.scores) == (masked == "body+head")
    loss, gradients = meta_gradient(run, learner, tasks)
    expected, theirs = training_of(run, learner).gradients(listed(tasks))
    assert abs(loss - expected) < ROUNDING
    assert largest_difference(gradients, theirs) < ROUNDING * max(1.0, size(theirs))
    assert {name for name in gradients if name.startswith("weights/")} == {
        f"weights/{name}" for name in learner.weights if name not in learner.scores
    }


@EVERY_BACKEND
@pytest.mark.parametrize("method", ["maml", "metaticket"])
@pytest.mark.parametrize("norm", ["support", "none"])
def test_other_ways_to_normalise_follow_the_same_equations(norm, method, batching):
    """Section 1.11: the query by the statistics of the support, under the adapted parameters; or not at all."""
    run = run_of(method, norm=norm)
    learner, tasks = learner_of(run, network_of(run)), tasks_of(run)
    loss, gradients = meta_gradient(run, learner, tasks, batching)
    expected, theirs = training_of(run, learner).gradients(listed(tasks))
    assert abs(loss - expected) < ROUNDING * max(1.0, expected)
    assert largest_difference(gradients, theirs) < 5 * ROUNDING * max(1.0, size(theirs))


@pytest.mark.parametrize("order", ["second", "first"])
def test_a_rate_of_each_role_follows_the_same_equations(order):
    run = run_of("metaticket", inner_lrs={"head": 0.7, "bias": 0.0, "norm": 0.05}, order=order)
    learner, tasks = learner_of(run, network_of(run)), tasks_of(run)
    assert learner.rates == {
        "fc1.weight": 0.3, "norm1.weight": 0.05, "norm1.bias": 0.05,
        "fc2.weight": 0.3, "norm2.weight": 0.05, "norm2.bias": 0.05,
        "classifier.weight": 0.7, "classifier.bias": 0.7,
    }  # fmt: skip
    loss, gradients = meta_gradient(run, learner, tasks)
    expected, theirs = training_of(run, learner).gradients(listed(tasks))
    assert abs(loss - expected) < ROUNDING
    assert largest_difference(gradients, theirs) < ROUNDING * max(1.0, size(theirs))


def test_three_forms_of_the_straight_through_gradient_are_one():
    """T2: an autograd function, the detach trick, and the gradient with respect to the mask itself."""
    run = run_of("metaticket", inner_steps=3)
    learner, tasks = learner_of(run, network_of(run)), tasks_of(run)
    problem = problem_of(run, learner)
    _, ours = meta_gradient(run, learner, tasks)
    scores = {name: s.detach().clone().requires_grad_() for name, s in learner.scores.items()}
    hard = {name: mask.detach() for name, mask in learner.masks().items()}
    forms = {
        "function": {n: published.Threshold.apply(s, learner.thresholds[n]) for n, s in scores.items()},
        "detach": {n: hard[n] + s - s.detach() for n, s in scores.items()},
        "mask": {n: mask.clone().requires_grad_() for n, mask in hard.items()},
    }
    for form, masks in forms.items():
        loss = problem.objective(learner.weights, masks, listed(tasks))
        ends = masks if form == "mask" else scores
        slopes = torch.autograd.grad(loss, list(ends.values()))
        theirs = {f"scores/{name}": slope for name, slope in zip(ends, slopes, strict=True)}
        assert largest_difference(ours, theirs) < ROUNDING, form


@EVERY_BACKEND
@pytest.mark.parametrize("method", ["metaticket", "metaticket-boil"])
def test_without_inner_steps_the_gradient_is_the_weight_times_that_of_the_effective_weight(method, batching):
    """T3: K = 0, and any number of steps at rate 0."""
    run = run_of(method)
    learner, tasks = learner_of(run, network_of(run)), tasks_of(run)
    masks = {name: mask.detach() for name, mask in learner.masks().items()}
    effective = {n: (masks[n] * learner.weights[n]).requires_grad_() for n in masks}
    loss = torch.stack(
        [
            published.loss_of(published.perceptron({**learner.weights, **effective}, x), y)
            for *_, x, y in listed(tasks)
        ]
    ).mean()
    slopes = torch.autograd.grad(loss, list(effective.values()))
    expected = {f"scores/{n}": learner.weights[n] * slope for n, slope in zip(effective, slopes, strict=True)}
    found = {}
    _, found["no steps"] = meta_gradient(run, learner, tasks, batching, num_steps=0)
    learner.rates = dict.fromkeys(learner.rates, 0.0)
    for num_steps in (1, 3):
        _, found[f"{num_steps} steps at rate 0"] = meta_gradient(run, learner, tasks, batching, num_steps)
    for gradients in found.values():
        assert largest_difference(gradients, expected) < ROUNDING


@pytest.mark.parametrize(("num_steps", "num_pruned"), [(1, 0.5), (3, 0.5), (3, 0.0)])
def test_first_and_second_order_differ_for_a_curved_support_loss(num_steps, num_pruned):
    run = run_of("metaticket", initial_sparsity=num_pruned, inner_steps=num_steps)
    learner, tasks = learner_of(run, network_of(run)), tasks_of(run)
    _, second = meta_gradient(run, learner, tasks)
    _, first = meta_gradient(run.model_copy(update={"order": "first"}), learner, tasks)
    flat = [torch.cat([gradient.flatten() for gradient in own.values()]) for own in (first, second)]
    assert (flat[0] - flat[1]).norm() > 0.02 * flat[1].norm()
