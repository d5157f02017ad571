from typing import get_args

import pytest
import torch
from transfer_problems import (
    EXACT,
    NETS,
    Recorded,
    batches_at,
    images_of,
    near,
    network,
    problem,
    same,
    start_of,
    trained,
)

from carryover.core.loop import MomentumSgd
from carryover.transfer.descent import Descent
from carryover.transfer.methods import METHODS
from carryover.transfer.settings import Method
from carryover.transfer.standard import standard

MODEL = sum(own.nbytes for own in start_of("deep", 1).values())


def recorded(num_steps=4):
    return Recorded([start_of("deep", 1), *(trained("deep", 1, steps) for steps in range(1, num_steps + 1))])


def test_every_method_that_a_study_may_name_is_there():
    assert tuple(METHODS) == get_args(Method)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_read_before_it_is_asked_for(method):
    trajectory = recorded()
    found = METHODS[method](problem("deep", source=trajectory))
    assert trajectory.read == []
    if method != "oracle":  # which is fitted to the end
        next(found)
        assert set(trajectory.read) == {0, 1}


@pytest.mark.parametrize("method", METHODS)
def test_a_problem_is_left_as_it_was(method):
    own = problem("resnet", num_steps=2)
    target = {name: tensor.clone() for name, tensor in own.target.items()}
    source = own.source.point(0)
    buffers = {name: tensor.clone() for name, tensor in own.network.buffers.items()}
    list(METHODS[method](own))
    assert same(own.target, target)
    assert same(own.source.point(0), source)
    assert same(own.network.buffers, buffers)


@pytest.mark.parametrize("method", METHODS)
def test_found_parameters_are_those_of_the_net_and_tell_their_step(method):
    own = problem("conv")
    for t, found in enumerate(METHODS[method](own), start=1):
        assert found.step == t
        assert {n: p.shape for n, p in found.parameters.items()} == {
            n: p.shape for n, p in own.target.items()
        }
        assert not any(tensor.requires_grad for tensor in found.parameters.values())
    assert t == own.source.num_steps


def test_two_searches_on_one_network_count_their_own_gradients():
    own = problem("deep")
    found = list(zip(METHODS["gmt"](own), METHODS["fgmt"](own), strict=True))
    assert [(one.num_gradients, other.num_gradients) for one, other in found] == [(2, 2), (5, 4), (9, 6)]
    assert own.network.num_gradients == 15


@pytest.mark.parametrize(("method", "models"), [("gmt", 2 * 4), ("fgmt", 2 * 4)])
def test_the_cache_grows_to_two_models_for_each_step_and_cost_matrices(method, models):
    own = problem("deep", num_steps=4)
    caches = [found.cache_bytes for found in METHODS[method](own)]
    matrices = 2 * 8 * (12**2 + 10**2)  # sums and contributions of two groups, in fp64
    assert caches == sorted(caches)
    assert MODEL < caches[-1] <= models * MODEL + matrices


@pytest.mark.parametrize("method", ["gmt", "fgmt"])
def test_spilled_gradients_change_no_bit(method, tmp_path):
    spilled = problem("conv", spill=tmp_path / "gradients")
    for found, expected in zip(METHODS[method](spilled), METHODS[method](problem("conv")), strict=True):
        assert same(found.parameters, expected.parameters)
        assert found.objective == expected.objective
        assert found.cache_bytes >= expected.cache_bytes
    assert (tmp_path / "gradients").stat().st_size > 0
    assert (tmp_path / "gradients-sources").exists() == (method == "gmt")


@pytest.mark.parametrize("method", ["oracle", "gmt", "fgmt"])
def test_settings_of_the_matching_reach_it(method):
    usual = [*METHODS[method](problem("deep"))][-1]
    scaled = problem("deep", matching=EXACT.model_copy(update={"normalise": True}))
    (*_, found) = METHODS[method](scaled)
    assert 0 < found.objective <= len(start_of("deep", 1)) * 3
    assert found.objective != usual.objective


@pytest.mark.parametrize("net", NETS)
def test_standard_training_is_sgd_from_the_targets_start(net):
    own, start = network(net), start_of(net, 2)
    expected = Descent(start, momentum=0.9)
    states = [expected.parameters]
    for step in range(5):
        expected.descend(own.gradient(expected.parameters, batches_at(step)), 0.1)
        states.append(expected.parameters)
    found = list(standard(own, Descent(start, momentum=0.9), batches_at, [0, 2, 5], lr=0.1))
    assert all(same(one, states[count]) for one, count in zip(found, [0, 2, 5], strict=True))
    assert own.num_gradients == 10


def test_standard_training_is_as_lazy_as_a_transfer():
    own = network("shallow")
    points = standard(own, Descent(start_of("shallow", 2), momentum=0.9), batches_at, [2, 4], lr=0.1)
    next(points)
    assert own.num_gradients == 2


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.0, 0.0), (0.9, 0.0), (0.9, 0.01)])
def test_descent_takes_the_steps_of_the_block_optimizer(momentum, weight_decay):
    own, start = network("deep"), start_of("deep", 1)
    images, labels = images_of(20, "descent")
    descent = Descent(start, momentum=momentum, weight_decay=weight_decay)
    block = {name: tensor[None].clone() for name, tensor in start.items()}
    optimizer = MomentumSgd(block, momentum=momentum, weight_decay=weight_decay)
    for lr in (0.2, 0.1, 0.1):
        descent.descend(own.gradient(descent.parameters, [(images, labels)]), lr)
        logits = own.logits({name: tensor[0] for name, tensor in block.items()}, images)
        optimizer.descend(lr, torch.nn.functional.cross_entropy(logits, labels)[None])
        assert near(descent.parameters, {name: tensor[0].detach() for name, tensor in block.items()}, 1e-12)
    assert not near(descent.parameters, start, 1e-3)
