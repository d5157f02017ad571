"""Section 1.4 and oracles T6 and T7: what the mask does to first and second order, and to the parametrisation."""

from dataclasses import dataclass, field

import pytest
import torch
from metaticket_problems import (
    LOOP,
    VMAP,
    largest_difference,
    learner_of,
    listed,
    meta_gradient,
    network_of,
    run_of,
    same,
    tasks_of,
)
from reference import meta_ticket as published

from carryover.core.rng import generator
from carryover.metaticket.batching import Inner, outer_gradient
from carryover.metaticket.network import Network

ALPHA = 0.3
EVERY_BACKEND = pytest.mark.parametrize("batching", [LOOP, VMAP], ids=["loop", "vmap"])


@dataclass(frozen=True)
class LinearSupport(Network):
    """A network whose support loss is linear in its (effective) parameters: sum of A times parameter."""

    slopes: dict[str, torch.Tensor] = field(default_factory=dict)

    def support_loss(self, parameters, task):
        return torch.stack([(self.slopes[n] * p).sum() for n, p in parameters.items()]).sum()


def posed(method, **changes):
    run = run_of(method, inner_steps=1, inner_lr=ALPHA, **changes)
    network = network_of(run)
    learner = learner_of(run, network)
    for variable in learner.variables.values():
        variable.requires_grad_(True)
    return run, network, learner, tasks_of(run)


def linear(network, learner):
    slopes = {
        name: torch.randn(w.shape, generator=generator(0, "slope", name), dtype=torch.float64)
        for name, w in learner.weights.items()
    }
    return LinearSupport(network.net, slopes=slopes)


def gradients_of(network, learner, tasks, order, batching=LOOP, num_steps=1):
    start, rates = learner.parametrise(second=order == "second")
    found = outer_gradient(network, start, rates, tasks, Inner(num_steps, order), batching)
    return found.losses, learner.outer(start, rates, found.start, found.rates)


@EVERY_BACKEND
@pytest.mark.parametrize("num_steps", [1, 3])
@pytest.mark.parametrize("method", ["maml", "boil", "anil"])
def test_without_a_mask_first_and_second_order_are_one_where_the_support_loss_is_linear(
    method, num_steps, batching
):
    """T6, first half: no gradient of such a loss depends on where it is taken."""
    _, network, learner, tasks = posed(method)
    network = linear(network, learner)
    _, second = gradients_of(network, learner, tasks, "second", batching, num_steps)
    _, first = gradients_of(network, learner, tasks, "first", batching, num_steps)
    assert same(first, second)


@EVERY_BACKEND
@pytest.mark.parametrize("method", ["metaticket", "metaticket-boil"])
def test_with_a_mask_the_two_orders_differ_by_what_the_mask_does_to_the_linear_support_loss(method, batching):
    """T6, second half: the gap is -alpha * A * m * dL_Q/d(effective weight)."""
    _, network, learner, tasks = posed(method)
    network = linear(network, learner)
    losses, second = gradients_of(network, learner, tasks, "second", batching)
    same_losses, first = gradients_of(network, learner, tasks, "first", batching)
    masks = {name: mask.detach() for name, mask in learner.masks().items()}
    adapted = {
        name: (masks.get(name, 1) * w - learner.rates.get(name, 0) * masks.get(name, 1) * network.slopes[name])
        .detach()
        .requires_grad_()
        for name, w in learner.weights.items()
    }  # fmt: skip
    losses_by_hand = [published.loss_of(published.perceptron(adapted, x), y) for *_, x, y in listed(tasks)]
    query = torch.autograd.grad(torch.stack(losses_by_hand).mean(), [adapted[name] for name in masks])
    gap = {
        f"scores/{name}": -ALPHA * network.slopes[name] * mask * q
        for (name, mask), q in zip(masks.items(), query, strict=True)
    }
    assert torch.equal(losses, same_losses)
    assert losses.tolist() == pytest.approx([loss.item() for loss in losses_by_hand], rel=1e-14)
    assert largest_difference({name: second[name] - first[name] for name in first}, gap) < 2e-16
    assert all(own.abs().max() > 0.01 for own in gap.values())


@EVERY_BACKEND
@pytest.mark.parametrize("method", ["metaticket", "metaticket-boil"])
def test_steps_on_effective_weights_have_the_same_loss_and_another_gradient(method, batching):
    """T7: for one step, that of unmasked weights is larger by alpha * (1 - 2 m) * G * q."""
    _, network, learner, tasks = posed(method)
    losses, on_weights = gradients_of(network, learner, tasks, "second", batching)
    masks = learner.masks()
    start = {n: masks[n] * w if n in masks else w for n, w in learner.weights.items()}
    # a step of omega - alpha * m * G has one factor m where that of unmasked weights has two
    rates = {n: rate * masks[n] if n in masks else rate for n, rate in learner.rates.items()}
    found = outer_gradient(network, start, rates, tasks, Inner(1, "second"), batching)
    on_effective = learner.outer(start, rates, found.start, found.rates)
    expected = {f"scores/{name}": torch.zeros_like(mask) for name, mask in masks.items()}
    for support_x, support_y, query_x, query_y in listed(tasks):
        start = {n: t.detach().requires_grad_() for n, t in start.items()}
        support = published.loss_of(published.perceptron(start, support_x), support_y)
        g = dict(zip(start, torch.autograd.grad(support, list(start.values())), strict=True))
        adapted = {
            n: (t - learner.rates.get(n, 0) * masks[n] * g[n] if n in masks else t - learner.rates.get(n, 0) * g[n])
            .detach()
            .requires_grad_()
            for n, t in start.items()
        }  # fmt: skip
        query = published.loss_of(published.perceptron(adapted, query_x), query_y)
        q = dict(zip(adapted, torch.autograd.grad(query, list(adapted.values())), strict=True))
        for name, mask in masks.items():
            expected[f"scores/{name}"] += ALPHA * (1 - 2 * mask.detach()) * g[name] * q[name] / len(losses)
    assert torch.equal(found.losses, losses)
    gap = {name: on_weights[name] - on_effective[name] for name in on_weights}
    assert largest_difference(gap, expected) < 1e-15
    assert all(own.abs().max() > 0.003 for own in expected.values())


@pytest.mark.parametrize("method", ["metaticket", "metaticket-boil"])
def test_for_more_steps_the_two_parametrisations_differ_as_well(method):
    run, network, learner, tasks = posed(method)
    losses, on_weights = gradients_of(network, learner, tasks, "second", num_steps=3)
    masks = learner.masks()
    start, _ = learner.parametrise()
    rates = {n: rate * masks[n] if n in masks else rate for n, rate in learner.rates.items()}
    found = outer_gradient(network, start, rates, tasks, Inner(3, "second"), LOOP)
    on_effective = learner.outer(start, rates, found.start, found.rates)
    assert torch.equal(found.losses, losses)
    assert largest_difference(on_weights, on_effective) > 0.003
    _, ours = meta_gradient(run, learner, tasks, num_steps=3)
    assert same(ours, on_weights)
