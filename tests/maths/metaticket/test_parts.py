"""Section 2 and oracle T12: which parts of a net each method adapts, and what it learns."""

import pytest
import torch
from metaticket_problems import (
    LOOP,
    VMAP,
    largest_difference,
    learner_of,
    meta_gradient,
    network_of,
    run_of,
    tasks_of,
)
from torch.nn import functional as F

from carryover.data.tasks import one_by_one
from carryover.metaticket.adapt import adapt, graph_gradient
from carryover.metaticket.batching import after_steps

ADAPTED = {
    "maml": {"body", "norm", "head"},
    "anil": {"head"},
    "boil": {"body", "norm"},
    "meta-lth": {"body", "norm", "head"},
    "metaticket": {"body", "norm", "head"},
    "metaticket-boil": {"body", "norm"},
    "random": {"body", "norm", "head"},
}
"""Roles that a step changes. Biases are adapted with the body, but those before a batch-norm have no gradient."""


def posed(method, **changes):
    run = run_of(method, **changes)
    network = network_of(run)
    return run, network, learner_of(run, network), tasks_of(run)


@pytest.mark.parametrize("method", ADAPTED)
def test_what_is_not_adapted_keeps_every_bit_and_all_else_changes(method):
    """T12: BOIL keeps the head, ANIL the body, MAML neither."""
    _, network, learner, tasks = posed(method)
    start, rates = learner.parametrise()
    task = next(one_by_one(tasks))
    first, *_, last = adapt(
        lambda own: network.support_loss(own, task),
        start,
        rates,
        3,
        derivatives="none",
        gradient=graph_gradient(second=False),
    )
    for name, role in learner.roles.items():
        if role in ADAPTED[method]:
            assert not torch.equal(first[name], last[name]), name
        elif role != "bias":
            assert torch.equal(first[name], last[name]), name
            assert torch.equal(first[name], learner.weights[name]), name


@pytest.mark.parametrize("method", ADAPTED)
def test_a_bias_before_a_batch_norm_has_no_gradient(method):
    """T11, for our inner loop."""
    _, network, learner, tasks = posed(method)
    start, rates = learner.parametrise()
    task = next(one_by_one(tasks))
    first, last = adapt(
        lambda own: network.support_loss(own, task),
        start,
        rates,
        1,
        derivatives="none",
        gradient=graph_gradient(second=False),
    )
    for name in ("fc1.bias", "fc2.bias"):
        assert (first[name] - last[name]).abs().max() < 1e-16


def features(network, parameters, images):
    """Run all but the classifier, layer by layer."""
    h = images.flatten(1)
    for number in (1, 2):
        h = F.linear(h, parameters[f"fc{number}.weight"], parameters[f"fc{number}.bias"])
        h = F.batch_norm(
            h,
            None,
            None,
            parameters[f"norm{number}.weight"],
            parameters[f"norm{number}.bias"],
            True,
            eps=1e-3,
        )
        h = h.relu()
    return h


def test_anil_is_the_head_alone_on_features_that_are_computed_once():
    """T12: losses and meta-gradients equal those of the cheaper path."""
    run, network, learner, tasks = posed("anil", inner_steps=3)
    loss, gradients = meta_gradient(run, learner, tasks)
    leaves = {name: w.detach().clone().requires_grad_() for name, w in learner.weights.items()}
    losses = []
    for support_x, support_y, query_x, query_y in one_by_one(tasks):
        support, query = (features(network, leaves, images) for images in (support_x, query_x))
        head = [leaves["classifier.weight"], leaves["classifier.bias"]]
        for _ in range(3):
            slopes = torch.autograd.grad(
                F.cross_entropy(F.linear(support, *head), support_y), head, create_graph=True
            )
            head = [own - 0.3 * slope for own, slope in zip(head, slopes, strict=True)]
        losses.append(F.cross_entropy(F.linear(query, *head), query_y))
    expected = torch.stack(losses)
    slopes = torch.autograd.grad(expected.mean(), list(leaves.values()))
    assert torch.equal(
        after_steps(network, *learner.parametrise(), tasks, [3], LOOP)[0][0], expected.detach()
    )
    assert torch.equal(loss, expected.detach().mean())
    cheaper = {f"weights/{name}": slope for name, slope in zip(leaves, slopes, strict=True)}
    assert largest_difference(gradients, cheaper) < 1e-16 * 10


@pytest.mark.parametrize("batching", [LOOP, VMAP], ids=["loop", "vmap"])
def test_the_outer_loop_of_anil_and_boil_learns_what_the_inner_loop_leaves_alone(batching):
    """Section 2.2: BOIL's head and ANIL's body are not adapted, but learned."""
    for method, role in {"anil": "body", "boil": "head"}.items():
        run, _, learner, tasks = posed(method)
        _, gradients = meta_gradient(run, learner, tasks, batching)
        assert set(gradients) == {f"weights/{name}" for name in learner.weights}
        for name, own in learner.roles.items():
            if own == role:
                assert gradients[f"weights/{name}"].abs().max() > 0.01
