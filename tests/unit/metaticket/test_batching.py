"""Sections 1.12, 6.1: how tasks are run, what is asked of them, and how much memory that takes."""

import weakref
from itertools import pairwise

import pytest
import torch
from metaticket_problems import (
    LOOP,
    VMAP,
    learner_of,
    listed,
    meta_gradient,
    network_of,
    problem_of,
    run_of,
    same,
    tasks_of,
)
from reference import meta_ticket as published

from carryover.data.tasks import Tasks, num_tasks
from carryover.metaticket import batching as batching_module
from carryover.metaticket.batching import Batching, Inner, after_steps, batching_of, outer_gradient
from carryover.metaticket.network import Network
from carryover.nets.episode_norm import EpisodeNorm

EVERY_BACKEND = pytest.mark.parametrize("batching", [LOOP, VMAP], ids=["loop", "vmap"])


def posed(method="metaticket", num=5, net="mlp", **changes):
    run = run_of(method, net, **changes)
    network = network_of(run)
    return run, network, learner_of(run, network), tasks_of(run, num)


class Meter:
    """Counts the bytes that graphs keep: what is kept now, and the most so far."""

    def __init__(self):
        self.live = self.peak = 0

    def __enter__(self):
        keep, give = lambda tensor: Kept(tensor, self), lambda kept: kept.tensor
        self._hooks = torch.autograd.graph.saved_tensors_hooks(keep, give)
        self._hooks.__enter__()
        return self

    def __exit__(self, *error):
        self._hooks.__exit__(*error)


class Kept:
    """A tensor for as long as a graph keeps it."""

    def __init__(self, tensor, meter):
        self.tensor, self.meter = tensor, meter
        meter.live += tensor.nbytes
        meter.peak = max(meter.peak, meter.live)

    def __del__(self):
        self.meter.live -= self.tensor.nbytes


@pytest.mark.parametrize(
    ("batching", "sizes"),
    [
        (Batching(), [1, 1, 1, 1, 1]),
        (Batching("loop", 2), [2, 2, 1]),
        (Batching("loop", 9), [5]),
        (Batching("vmap"), [5]),
        (Batching("vmap", 3), [3, 2]),
    ],
)
def test_tasks_are_held_one_at_a_time_by_the_loop_and_all_at_once_by_vmap_unless_told_otherwise(
    batching, sizes
):
    _, _, _, tasks = posed()
    chunks = list(batching.chunks(tasks))
    assert [num_tasks(chunk) for chunk in chunks] == sizes
    for part, pieces in zip(tasks, zip(*chunks, strict=True), strict=True):
        assert torch.equal(torch.cat(pieces), part)


@pytest.mark.parametrize(
    ("batching", "sizes"),
    [(LOOP, [1] * 19), (VMAP, [8, 8, 3]), (Batching("vmap", 10), [10, 9]), (Batching("loop", 10), [10, 9])],
)
def test_however_many_tasks_are_measured_few_are_held_at_once(batching, sizes, monkeypatch):
    _, network, learner, tasks = posed(num=19)
    held, over = [], Batching.over
    monkeypatch.setattr(Batching, "over", lambda *own: (held.append(num_tasks(own[2])), over(*own))[1])
    losses, _ = after_steps(network, *learner.parametrise(), tasks, [1], batching)
    assert held == sizes
    assert losses.shape == (1, 19)


@EVERY_BACKEND
def test_a_function_of_one_task_is_run_on_each_and_its_results_are_stacked(batching):
    _, network, _, tasks = posed()
    sums, shapes = batching.over(
        lambda task: (task.support_x.sum(), task.query_y.double() * 2), tasks, network
    )
    assert torch.allclose(sums, tasks.support_x.flatten(1).sum(1), rtol=1e-14)
    assert torch.equal(shapes, 2 * tasks.query_y.double())


@pytest.mark.parametrize(("batching", "fused"), [(LOOP, True), (VMAP, False)])
def test_batch_norm_has_torchs_kernel_in_the_loop_and_not_under_vmap_and_is_put_back(batching, fused):
    _, network, _, tasks = posed()
    norms, seen = [module for module in network.net.modules() if isinstance(module, EpisodeNorm)], []

    def look(task):
        seen.extend(norm.fused for norm in norms)
        return (task.support_x.sum(),)

    batching.over(look, tasks, network)
    assert set(seen) == {fused}
    with pytest.raises(ZeroDivisionError):
        batching.over(lambda task: (1 / 0,), tasks, network)
    assert all(norm.fused for norm in norms)


@pytest.mark.parametrize(
    ("setting", "device", "backend"),
    [
        ("auto", "cpu", "loop"),
        ("auto", "cuda", "vmap"),
        ("loop", "cuda", "loop"),
        ("vmap", "cpu", "vmap"),
    ],
)
def test_the_backend_follows_the_device_unless_it_is_set(setting, device, backend):
    assert batching_of(setting, None, torch.device(device)) == Batching(backend, None)
    assert batching_of(setting, 3, torch.device(device)) == Batching(backend, 3)


@EVERY_BACKEND
def test_gradients_are_given_for_what_asks_for_one_and_nothing_is_left_on_the_tensors(batching):
    _, network, learner, tasks = posed("maml")
    start, rates = learner.parametrise()
    asking = {
        name: tensor.requires_grad_(name in ("fc1.weight", "classifier.bias"))
        for name, tensor in start.items()
    }
    own_rates = {**rates, "fc2.weight": torch.full((6, 8), 0.3, dtype=torch.float64, requires_grad=True)}
    found = outer_gradient(network, asking, own_rates, tasks, Inner(2), batching)
    assert list(found.start) == ["fc1.weight", "classifier.bias"]
    assert list(found.rates) == ["fc2.weight"]
    for name, gradient in {**found.start, **found.rates}.items():
        assert gradient.shape == start[name].shape
        assert not gradient.requires_grad
    assert all(tensor.grad is None for tensor in (*start.values(), own_rates["fc2.weight"]))
    assert found.losses.shape == found.scores.shape == (5,)
    assert not found.losses.requires_grad
    assert not found.scores.requires_grad


@EVERY_BACKEND
def test_what_no_step_uses_has_a_gradient_of_zero(batching):
    _, network, learner, tasks = posed("metaticket")
    start, rates = learner.parametrise()
    rates["fc1.weight"] = torch.ones(8, 16, dtype=torch.float64, requires_grad=True)
    start["fc1.weight"].requires_grad_()
    found = outer_gradient(network, start, rates, tasks, Inner(0), batching)
    assert not found.rates["fc1.weight"].any()
    assert found.start["fc1.weight"].any()


@EVERY_BACKEND
def test_losses_and_scores_are_those_of_each_task(batching):
    run, network, learner, tasks = posed("metaticket")
    problem, masks = problem_of(run, learner), learner.masks()
    for tensor in learner.variables.values():
        tensor.requires_grad_()
    found = outer_gradient(network, *learner.parametrise(), tasks, Inner(2), batching)
    expected = [problem.query_loss(learner.weights, masks, task).item() for task in listed(tasks)]
    assert found.losses.tolist() == pytest.approx(expected, rel=1e-13)
    _, accuracy = published.evaluate(problem, learner.weights, masks, listed(tasks), [2])
    assert torch.equal(found.scores, accuracy[0])


@EVERY_BACKEND
def test_measurements_come_in_the_order_of_the_steps_that_were_asked_for(batching):
    run, network, learner, tasks = posed()
    problem, masks = problem_of(run, learner, 4), learner.masks()
    expected, accuracy = published.evaluate(problem, learner.weights, masks, listed(tasks), [4, 0, 2, 2])
    losses, scores = after_steps(network, *learner.parametrise(), tasks, [4, 0, 2, 2], batching)
    assert torch.equal(scores, accuracy)
    assert torch.allclose(losses, expected, rtol=1e-13)
    ordered, _ = after_steps(network, *learner.parametrise(), tasks, [0, 2, 4], batching)
    assert torch.equal(losses, ordered[[2, 0, 1, 1]])


@EVERY_BACKEND
def test_nothing_of_a_measurement_can_be_derived(batching):
    _, network, learner, tasks = posed()
    for tensor in learner.variables.values():
        tensor.requires_grad_()
    start, rates = learner.parametrise()
    assert start["fc1.weight"].requires_grad
    for measured in after_steps(network, start, rates, tasks, [0, 1, 3], batching):
        assert measured.grad_fn is None
        assert not measured.requires_grad


@pytest.mark.parametrize("method", ["maml", "anil", "metaticket"])
def test_a_measurement_keeps_the_graph_of_one_step_of_one_task_whatever_their_number(method):
    _, network, learner, tasks = posed(method, num=6)
    for tensor in learner.variables.values():
        tensor.requires_grad_()
    peaks = set()
    for num, num_steps in ((1, 1), (1, 8), (6, 1), (6, 8)):
        few = Tasks(*(part[:num] for part in tasks))
        with Meter() as meter:
            after_steps(network, *learner.parametrise(), few, [0, num_steps], LOOP)
        assert meter.live == 0
        peaks.add(meter.peak)
    assert len(peaks) == 1
    assert peaks.pop() > 0


def peak_of(method, order, num_steps, batching=LOOP, num=6):
    run, _, learner, tasks = posed(method, num=num, order=order)
    with Meter() as meter:
        meta_gradient(run, learner, tasks, batching, num_steps)
    assert meter.live == 0  # nothing outlives the step
    return meter.peak


@pytest.mark.parametrize("method", ["maml", "anil", "boil", "metaticket"])
def test_second_order_keeps_as_much_for_each_further_inner_step(method):
    peaks = [peak_of(method, "second", num_steps) for num_steps in (1, 2, 3, 4)]
    further = {after - before for before, after in pairwise(peaks)}
    assert len(further) == 1
    assert further.pop() > 0


@pytest.mark.parametrize("method", ["maml", "anil", "boil"])
def test_first_order_keeps_as_much_for_many_inner_steps_as_for_one(method):
    """Also where the outer loop learns what the inner loop leaves alone."""
    assert len({peak_of(method, "first", num_steps) for num_steps in (1, 2, 5)}) == 1


def test_first_order_lets_go_of_the_points_on_the_way(monkeypatch):
    points, adapt, alive = [], batching_module.adapt, []

    def followed(*own, **named):
        for point in adapt(*own, **named):
            points.append(weakref.ref(point["fc1.weight"]))
            yield point

    def loss(self, outputs, targets, plain=Network.loss):
        alive.append(sum(point() is not None for point in points))
        return plain(self, outputs, targets)

    monkeypatch.setattr(batching_module, "adapt", followed)
    monkeypatch.setattr(Network, "loss", loss)
    run, _, learner, tasks = posed("maml", num=1, order="first")
    meta_gradient(run, learner, tasks, num_steps=6)
    assert len(points) == 7
    assert len(alive) == 7
    assert alive[-1] == 2  # at the query: the start, which is the learner's, and the end


@pytest.mark.parametrize("method", ["maml", "metaticket"])
def test_memory_is_that_of_the_tasks_in_flight_and_not_of_the_meta_batch(method):
    alone = peak_of(method, "second", 2, num=1)
    assert peak_of(method, "second", 2, num=6) == alone
    in_pairs, in_threes = (peak_of(method, "second", 2, Batching("loop", chunk)) for chunk in (2, 3))
    # what all tasks share is kept once
    assert in_threes - in_pairs == pytest.approx(in_pairs - alone, rel=0.01)


@EVERY_BACKEND
def test_a_regression_is_scored_by_its_squared_error(batching):
    run, network, learner, tasks = posed("maml", net="regressor")
    losses, scores = after_steps(network, *learner.parametrise(), tasks, [0, 2], batching)
    assert torch.equal(losses, scores)
    loss, _ = meta_gradient(run, learner, tasks, batching)
    assert loss.item() == pytest.approx(losses[1].mean().item(), rel=1e-13)


@EVERY_BACKEND
def test_gradients_do_not_depend_on_what_was_run_before(batching):
    run, network, learner, tasks = posed()
    _, first = meta_gradient(run, learner, tasks, batching)
    after_steps(network, *learner.parametrise(), tasks, [3], batching)
    _, second = meta_gradient(run, learner, tasks, batching)
    assert same(first, second)
