from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transfer_problems import NETS, images_of, near, network, same, start_of

from carryover.core.evaluate import evaluate
from carryover.core.rng import generator
from carryover.transfer.network import Network

BATCHES = [images_of(24, "a"), images_of(16, "b")]


def loaded(net, start):
    """The module itself, with parameters of its own."""
    module = deepcopy(network(net).net).train().requires_grad_(True)
    module.load_state_dict(start, strict=False)
    return module


def normed(dtype=torch.float64):
    """A network whose first layer is batch-norm, so that its statistics are those of the images."""
    net = nn.Sequential(nn.BatchNorm2d(3, momentum=0.3), nn.Flatten(), nn.Linear(12, 2)).to(dtype)
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator(0, "normed")).to(dtype)
    parameters = {name: own.detach() for name, own in net.named_parameters()}
    return Network(net, {n: b.clone() for n, b in net.named_buffers()}), parameters


def pixels(count, seed=0):
    images = 3 * torch.randn(count, 3, 2, 2, generator=generator(seed, "pixels"), dtype=torch.float64) + 1
    return images, torch.arange(count) % 2


@pytest.mark.parametrize("net", NETS)
def test_a_gradient_is_the_mean_of_those_that_autograd_gives_for_each_mini_batch(net):
    start, module = start_of(net, 1), loaded(net, start_of(net, 1))
    expected = {name: torch.zeros_like(own) for name, own in start.items()}
    for images, labels in BATCHES:
        module.zero_grad()
        F.cross_entropy(module(images), labels).backward()
        for name, parameter in module.named_parameters():
            expected[name] += parameter.grad / len(BATCHES)
    assert near(network(net).gradient(start, iter(BATCHES)), expected)


def test_several_nets_have_the_gradients_that_each_has_alone_and_read_the_mini_batches_once():
    shared = network("resnet")
    nets = [start_of("resnet", 1), start_of("resnet", 2)]
    together = shared.gradients(nets, iter(BATCHES))
    assert all(same(own, shared.gradient(net, BATCHES)) for own, net in zip(together, nets, strict=True))


def test_every_net_and_set_of_mini_batches_counts_as_one_evaluation():
    counting, start = network("shallow"), start_of("shallow", 1)
    counting.gradient(start, BATCHES)
    counting.gradients([start, start], BATCHES)
    counting.logits(start, BATCHES[0][0])
    assert counting.num_gradients == 3


def test_gradients_and_statistics_change_neither_buffers_nor_module():
    own, parameters = normed()
    buffers, state = deepcopy(own.buffers), deepcopy(own.net.state_dict())
    own.gradient(parameters, [pixels(6)])
    own.statistics(parameters, [pixels(6)])
    assert same(own.buffers, buffers)
    assert same(dict(own.net.state_dict()), dict(state))
    assert not any(module.training for module in own.net.modules())
    assert own.net[0].momentum == 0.3


def test_mode_and_momentum_come_back_after_a_failure():
    own, parameters = normed()
    for call in (own.gradient, own.statistics):
        with pytest.raises(RuntimeError):
            call(parameters, [(torch.zeros(2, 5, 2, 2, dtype=torch.float64), torch.tensor([0, 1]))])
    assert own.net[0].momentum == 0.3
    assert not own.net[0].training


def test_running_statistics_have_no_influence_on_gradients():
    own, parameters = normed()
    expected = own.gradient(parameters, [pixels(6)])
    own.buffers["0.running_mean"] = own.buffers["0.running_mean"] + 100
    own.buffers["0.running_var"] = own.buffers["0.running_var"] * 7
    assert same(own.gradient(parameters, [pixels(6)]), expected)


def test_dropout_is_off_in_gradients():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Dropout(0.5), nn.Linear(8, 2)).double()
    parameters = {name: own.detach() for name, own in net.named_parameters()}
    own = Network(net.train(), {})
    assert same(own.gradient(parameters, [pixels(6)]), own.gradient(parameters, [pixels(6)]))


def test_rebuilt_statistics_of_one_mini_batch_are_its_exact_mean_and_unbiased_variance():
    own, parameters = normed()
    images, labels = pixels(9)
    rebuilt = own.statistics(parameters, [(images, labels)])
    channels = images.transpose(0, 1).flatten(1)
    assert torch.allclose(rebuilt["0.running_mean"], channels.mean(1), rtol=1e-12)
    assert torch.allclose(rebuilt["0.running_var"], channels.var(1, unbiased=True), rtol=1e-12)
    assert rebuilt["0.num_batches_tracked"] == 1


def test_rebuilt_statistics_average_mini_batches_with_equal_weight_whatever_was_there_before():
    own, parameters = normed()
    own.buffers["0.running_mean"] += 5
    parts = [pixels(9, seed=1), pixels(4, seed=2), pixels(2, seed=3)]
    rebuilt = own.statistics(parameters, parts)
    channels = [images.transpose(0, 1).flatten(1) for images, _ in parts]
    mean = torch.stack([own.mean(1) for own in channels]).mean(0)
    variance = torch.stack([own.var(1) for own in channels]).mean(0)
    assert torch.allclose(rebuilt["0.running_mean"], mean, rtol=1e-12)
    assert torch.allclose(rebuilt["0.running_var"], variance, rtol=1e-12)
    assert rebuilt["0.num_batches_tracked"] == 3


def test_with_rebuilt_statistics_a_deep_net_answers_as_in_training_mode():
    own, start = network("resnet"), start_of("resnet", 1)
    images, labels = images_of(64, "statistics")
    expected = loaded("resnet", start)(images).detach()

    def departure(buffers):
        return ((own.logits(start, images, buffers) - expected).norm() / expected.norm()).item()

    # variances of the last layers, of 64 values each, differ by the factor 64 / 63 between the two modes
    assert departure(own.statistics(start, [(images, labels)])) < 0.03
    assert departure(None) > 0.3


def test_without_batch_norm_no_mini_batch_is_read_for_statistics():
    def unread():
        raise AssertionError
        yield

    own = network("conv")
    assert own.statistics(start_of("conv", 1), unread()) == own.buffers == {}


def test_a_predictor_is_a_block_of_one_for_the_evaluation():
    own, start = network("resnet"), start_of("resnet", 1)
    images, labels = images_of(40, "test")
    rebuilt = own.statistics(start, BATCHES)
    found = evaluate(own.predictor(start, rebuilt), [(images, labels)], num_nets=1)
    logits = own.logits(start, images, rebuilt)
    assert found["accuracy"] == [(logits.argmax(-1) == labels).double().mean().item()]
    assert found["loss"] == pytest.approx([F.cross_entropy(logits, labels).item()], rel=1e-12)


@pytest.mark.parametrize("net", ["deep", "conv"])
def test_bf16_rounds_products_and_gives_gradients_in_the_precision_of_the_parameters(net):
    images, labels = images_of(24, "a", dtype=torch.float32)
    start = {name: own.float() for name, own in start_of(net, 1).items()}
    exact = network(net, torch.float32).gradient(start, [(images, labels)])
    own = network(net, torch.float32)
    own.precision = "bf16"
    rounded = own.gradient(start, [(images, labels)])
    assert {gradient.dtype for gradient in rounded.values()} == {torch.float32}
    assert near(rounded, exact, tolerance=0.05)
    assert not near(rounded, exact, tolerance=1e-5)
