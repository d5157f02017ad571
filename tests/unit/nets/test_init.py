from math import sqrt

import pytest
import torch
from torch import nn

from carryover.nets.build import build_net
from carryover.nets.init import draw_default, draw_head, head_of
from carryover.nets.settings import ConvSettings, MlpSettings, NetSettings, ResNetSettings

MLP = MlpSettings(kind="mlp", hidden=(64, 32), bias=True)
CONV = ConvSettings(kind="conv", depth=4, width=0.25)
RESNET = ResNetSettings(kind="resnet", depth=18, width=0.125, stem="cifar")
EVERY_KIND = pytest.mark.parametrize("settings", [MLP, CONV, RESNET], ids=lambda settings: settings.kind)


def net_of(settings: NetSettings, num_classes: int = 10) -> nn.Module:
    return build_net(settings, (3, 16, 16), num_classes, affine=True)


@EVERY_KIND
def test_every_weight_and_bias_is_uniform_within_one_over_the_root_of_the_fan_in(settings: NetSettings):
    net = net_of(settings)
    drawn = draw_default(net, 1)
    for name, module in net.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            bound = 1 / sqrt(module.weight[0].numel())
            for own, _ in module.named_parameters():
                values = drawn[f"{name}.{own}"]
                assert values.abs().max() <= bound
                if values.numel() > 1000:
                    assert values.abs().max() > 0.99 * bound
                    assert values.std().item() == pytest.approx(bound / sqrt(3), rel=0.05)
                    assert values.mean().item() == pytest.approx(0, abs=0.06 * bound)


def test_the_bounds_are_those_of_the_framework():
    layers = [
        nn.Linear(300, 200),
        nn.Conv2d(12, 300, 5),
        nn.Conv1d(8, 300, 3, groups=4),
        nn.ConvTranspose2d(300, 12, 3),
    ]
    for layer in layers:
        drawn = draw_default(layer, 1)
        assert drawn.keys() == dict(layer.named_parameters()).keys()
        for name, parameter in layer.named_parameters():
            if parameter.numel() > 200:
                assert drawn[name].abs().max().item() == pytest.approx(parameter.abs().max().item(), rel=0.05)


def test_what_no_layer_draws_keeps_the_values_of_the_net_and_shares_no_memory_with_it():
    net = net_of(RESNET)
    drawn = draw_default(net, 1)
    assert drawn.keys() == dict(net.named_parameters()).keys()
    for name, parameter in net.named_parameters():
        if "norm" in name:
            assert torch.equal(drawn[name], parameter)
            assert not drawn[name].requires_grad
    drawn["stem.norm.weight"].zero_()
    assert net.stem.norm.weight.eq(1).all()


@EVERY_KIND
def test_a_start_depends_on_its_seed_and_on_no_other_layer(settings: NetSettings):
    net = net_of(settings)
    state = torch.get_rng_state()
    one, same, other = draw_default(net, 1), draw_default(net, 1), draw_default(net, 2)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[name], same[name]) for name in one)
    moved = [name for name in one if "norm" not in name]
    assert not any(torch.equal(one[name], other[name]) for name in moved)


def test_layers_draw_from_streams_of_their_names():
    shallow = draw_default(net_of(ConvSettings(kind="conv", depth=2, width=0.25)), 1)
    deep = draw_default(net_of(CONV), 1)
    assert torch.equal(shallow["conv2.weight"], deep["conv2.weight"])
    assert torch.equal(shallow["fc3.bias"], deep["fc3.bias"])
    assert not torch.equal(deep["fc2.bias"], deep["fc1.bias"])


@pytest.mark.parametrize(("settings", "head"), [(MLP, "fc3"), (CONV, "fc3"), (RESNET, "head")])
def test_the_classifier_is_the_last_linear_layer(settings: NetSettings, head: str):
    assert head_of(net_of(settings)) == head


def test_a_net_without_a_linear_layer_has_no_classifier():
    with pytest.raises(ValueError, match="Conv2d has none"):
        head_of(nn.Conv2d(1, 1, 1))


@EVERY_KIND
def test_a_new_head_fits_the_new_classes_and_is_not_the_one_of_the_start(settings: NetSettings):
    net = net_of(settings, num_classes=7)
    head = head_of(net)
    drawn = draw_head(net, 1)
    assert {name: tensor.shape for name, tensor in drawn.items()} == {
        name: parameter.shape for name, parameter in net.named_parameters() if name.startswith(f"{head}.")
    }
    start = draw_default(net, 1)
    for name, values in drawn.items():
        assert not torch.equal(values, start[name])
        assert 0 < values.abs().max() <= 1 / sqrt(net.get_submodule(head).in_features)
        assert torch.equal(values, draw_head(net, 1)[name])
        assert not torch.equal(values, draw_head(net, 2)[name])


def test_a_head_without_bias_is_drawn_without_one():
    assert set(draw_head(net_of(MlpSettings(kind="mlp", hidden=(8,))), 1)) == {"fc2.weight"}
