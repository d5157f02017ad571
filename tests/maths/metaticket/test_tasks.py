"""Section 6.1 and oracles T8, T9 and T17: tasks do not know of one another, and labels are names only."""

from math import sqrt

import pytest
import torch
from metaticket_problems import (
    LEARNING,
    LOOP,
    VMAP,
    WAYS,
    largest_difference,
    learner_of,
    meta_gradient,
    network_of,
    run_of,
    tasks_of,
    train,
)

from carryover.core.rng import generator
from carryover.data.tasks import Tasks, num_tasks
from carryover.metaticket.batching import Batching, after_steps

ROUNDING = 2e-15
EVERY_BACKEND = pytest.mark.parametrize("batching", [LOOP, VMAP], ids=["loop", "vmap"])


def posed(method="metaticket", **changes):
    run = run_of(method, **changes)
    network = network_of(run)
    return run, network, learner_of(run, network), tasks_of(run, 5)


def relabelled(tasks, order):
    """The same tasks whose class c is now called order[c]."""
    return tasks._replace(support_y=order[tasks.support_y], query_y=order[tasks.query_y])


def with_head_rows(learner, order):
    """Give the classifier's row of class c to class order[c]."""
    for name in ("classifier.weight", "classifier.bias"):
        moved = torch.empty_like(learner.weights[name])
        moved[order] = learner.weights[name]
        learner.weights[name] = moved
    return learner


@pytest.mark.parametrize("order", ["second", "first"])
@pytest.mark.parametrize("method", LEARNING)
def test_tasks_together_and_one_by_one_give_the_same(method, order):
    """T8."""
    run, _, learner, tasks = posed(method, order=order)
    loss, gradients = meta_gradient(run, learner, tasks, LOOP)
    for batching in (
        VMAP,
        Batching("vmap", 1),
        Batching("vmap", 2),
        Batching("loop", 3),
        Batching("loop", 9),
    ):
        other_loss, others = meta_gradient(run, learner, tasks, batching)
        assert abs(loss - other_loss) < ROUNDING
        assert largest_difference(gradients, others) < ROUNDING


@pytest.mark.parametrize(
    "batching", [VMAP, Batching("vmap", 2), Batching("loop", 3)], ids=["vmap", "by 2", "by 3"]
)
@pytest.mark.parametrize("norm", ["transductive", "support", "none"])
def test_measurements_are_the_same_together_and_one_by_one(norm, batching):
    _, network, learner, tasks = posed(norm=norm)
    steps = [0, 1, 4]
    alone = after_steps(network, *learner.parametrise(), tasks, steps, LOOP)
    others = after_steps(network, *learner.parametrise(), tasks, steps, batching)
    assert alone[0].shape == (3, 5)
    assert (alone[0] - others[0]).abs().max() < ROUNDING
    assert torch.equal(alone[1], others[1])


@EVERY_BACKEND
def test_the_order_of_tasks_is_of_no_importance(batching):
    """T8."""
    run, network, learner, tasks = posed()
    order = torch.tensor([3, 0, 4, 2, 1])
    shuffled = Tasks(*(part[order] for part in tasks))
    loss, gradients = meta_gradient(run, learner, tasks, batching)
    other_loss, others = meta_gradient(run, learner, shuffled, batching)
    assert abs(loss - other_loss) < ROUNDING
    assert largest_difference(gradients, others) < ROUNDING
    losses, scores = after_steps(network, *learner.parametrise(), tasks, [2], batching)
    other_losses, other_scores = after_steps(network, *learner.parametrise(), shuffled, [2], batching)
    assert (losses[:, order] - other_losses).abs().max() < ROUNDING
    assert torch.equal(scores[:, order], other_scores)


def test_no_task_changes_what_is_measured_on_another():
    _, network, learner, tasks = posed()
    few = Tasks(*(part[1:3] for part in tasks))
    for batching in (LOOP, Batching("loop", 2)):
        losses, _ = after_steps(network, *learner.parametrise(), tasks, [2], batching)
        of_few, _ = after_steps(network, *learner.parametrise(), few, [2], batching)
        assert torch.equal(losses[:, 1:3], of_few)


@pytest.mark.parametrize("method", LEARNING)
def test_other_names_of_the_classes_change_nothing_if_the_head_knows_them(method):
    """T9."""
    _, network, learner, tasks = posed(method)
    order = torch.tensor([2, 0, 1])
    losses, _ = after_steps(network, *learner.parametrise(), tasks, [0, 2], LOOP)
    renamed, _ = after_steps(network, *learner.parametrise(), relabelled(tasks, order), [0, 2], LOOP)
    assert (losses - renamed).abs().mean(1).min() > 0.05
    learner = with_head_rows(learner, order)
    both, _ = after_steps(network, *learner.parametrise(), relabelled(tasks, order), [0, 2], LOOP)
    assert (losses - both).abs().max() < ROUNDING


@pytest.mark.parametrize("method", ["random", *LEARNING])
def test_without_a_step_accuracy_is_that_of_chance(method):
    """T17: within 4 standard errors over episodes, whose labels are permuted; after a short training as well."""
    run, network, learner, _ = posed(method, outer_steps=10)
    if method != "random":
        train(run, learner)
    tasks = tasks_of(run, 400, "test")
    assert num_tasks(tasks) == 400
    draw = generator(0, "names")
    order = torch.stack([torch.randperm(WAYS, generator=draw) for _ in range(400)])
    tasks = tasks._replace(support_y=order.gather(1, tasks.support_y), query_y=order.gather(1, tasks.query_y))
    _, scores = after_steps(network, *learner.parametrise(), tasks, [0], VMAP)
    assert abs(scores.mean() - 1 / WAYS) < 4 * scores.std() / sqrt(400)
