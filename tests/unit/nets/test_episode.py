from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from carryover.core.block import Tensors
from carryover.nets.episode import EPISODE_NETS, build_episode_net
from carryover.nets.episode_norm import EpisodeNorm, norms_with
from carryover.nets.episode_settings import EpisodeNetSettings
from carryover.nets.init import head_of

NETS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "episode-mlp": ({"hidden": [6, 5]}, (1, 3, 3)),
    "conv4": ({"channels": 3}, (1, 16, 16)),
    "resnet12": ({"channels": [2, 3, 3, 2]}, (3, 16, 16)),
    "wrn28": ({"width": 2}, (3, 6, 6)),
    "regressor": ({"hidden": 7}, (1,)),
}
"""A small net of each kind, with the shape of its examples."""
EVERY_KIND = pytest.mark.parametrize("kind", NETS)
EVERY_IMAGE_NET = pytest.mark.parametrize("kind", [kind for kind in NETS if kind != "regressor"])


def net_of(kind: str, *, norm: bool = True, num_outputs: int = 5) -> nn.Module:
    own, shape = NETS[kind]
    settings = TypeAdapter(EpisodeNetSettings).validate_python({"kind": kind, **own})
    return build_episode_net(settings, shape, num_outputs, norm=norm)


def drawn(net: nn.Module) -> Tensors:
    """Draw weights that keep the size of activations, biases, shifts around 0 and gains around 1."""
    draw = torch.Generator().manual_seed(0)
    own: Tensors = {}
    for name, parameter in net.named_parameters():
        spread = (2 / parameter[0].numel()) ** 0.5 if parameter.ndim > 1 else 0.1
        gain = float(parameter.ndim == 1 and name.endswith("weight"))
        own[name] = gain + spread * torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
    return own


def examples(kind: str, count: int, seed: int = 1) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(count, *NETS[kind][1], generator=draw, dtype=torch.float64)


def test_every_net_that_a_study_may_name_has_its_builder():
    kinds = {
        get_args(each.model_fields["kind"].annotation)[0]
        for each in get_args(get_args(EpisodeNetSettings)[0])
    }
    assert set(EPISODE_NETS) == kinds == set(NETS)


@EVERY_KIND
@pytest.mark.parametrize("norm", [True, False])
def test_a_net_gives_one_output_for_each_class(kind: str, norm: bool):
    net = net_of(kind, norm=norm, num_outputs=3).double()
    assert functional_call(net, drawn(net), (examples(kind, 4),)).shape == (4, 3)


@EVERY_KIND
def test_building_a_net_leaves_torchs_global_generator_alone(kind: str):
    before = torch.get_rng_state()
    net_of(kind)
    assert torch.equal(torch.get_rng_state(), before)


@EVERY_KIND
def test_a_built_net_holds_nothing_drawn_and_remembers_nothing(kind: str):
    net = net_of(kind)
    assert list(net.buffers()) == []
    for module in net.modules():
        for name, parameter in module.named_parameters(recurse=False):
            starts_at_one = isinstance(module, EpisodeNorm) and name == "weight"
            assert torch.equal(parameter, torch.full_like(parameter, float(starts_at_one)))


@EVERY_KIND
def test_without_norm_a_net_has_none(kind: str):
    names = {type(module).__name__ for module in net_of(kind, norm=False).modules()}
    assert not any("Norm" in name for name in names)
    assert any("Norm" in type(module).__name__ for module in net_of(kind).modules()) == (kind != "regressor")


@EVERY_KIND
def test_the_classifier_is_the_last_layer_and_ends_with_the_outputs(kind: str):
    net = net_of(kind)
    assert head_of(net) == ("fc3" if kind == "regressor" else "classifier")
    assert net.get_submodule(head_of(net)).out_features == 5


@pytest.mark.parametrize("kind", ["conv4", "resnet12", "wrn28"])
def test_a_convolutional_net_refuses_numbers(kind: str):
    settings = TypeAdapter(EpisodeNetSettings).validate_python({"kind": kind, **NETS[kind][0]})
    with pytest.raises(
        ValueError, match=rf"{kind} takes images, .* has the shape \(1,\).* 'regressor' for numbers"
    ):
        build_episode_net(settings, (1,), 5)


@EVERY_IMAGE_NET
def test_a_channels_statistics_are_those_of_the_batch(kind: str):
    net = net_of(kind).double()
    own, images = drawn(net), examples(kind, 6)
    alone = functional_call(net, own, (images[:4],))
    assert (functional_call(net, own, (images,))[:4] - alone).abs().max() > 1e-3


@EVERY_IMAGE_NET
def test_without_norm_every_example_is_on_its_own(kind: str):
    net = net_of(kind, norm=False).double()
    own, images = drawn(net), examples(kind, 6)
    torch.testing.assert_close(
        functional_call(net, own, (images,))[:1], functional_call(net, own, (images[:1],)), rtol=0, atol=1e-12
    )


def dead_biases(net: nn.Module) -> list[str]:
    """Name the biases that a norm follows, at once or after the residual stream has carried them there."""
    return [
        f"{name}.bias"
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None and name != "classifier"
    ]


@pytest.mark.parametrize(
    ("kind", "count"), [("episode-mlp", 2), ("conv4", 4), ("resnet12", 0), ("wrn28", 28)]
)
def test_a_bias_before_a_norm_has_no_gradient(kind: str, count: int):
    net = net_of(kind).double()
    names = dead_biases(net)
    assert len(names) == count
    own = {name: tensor.requires_grad_() for name, tensor in drawn(net).items()}
    loss = F.cross_entropy(functional_call(net, own, (examples(kind, 10),)), torch.arange(10) % 5)
    loss.backward()
    assert all(own[name].grad.abs().max() < 1e-15 for name in names)
    live = [name for name in own if name.endswith("weight")]
    assert all(own[name].grad.abs().max() > 1e-5 for name in live)


@pytest.mark.parametrize("kind", ["episode-mlp", "conv4", "resnet12", "wrn28"])
def test_without_norm_no_bias_is_dead(kind: str):
    net = net_of(kind, norm=False).double()
    own = {name: tensor.requires_grad_() for name, tensor in drawn(net).items()}
    loss = F.cross_entropy(functional_call(net, own, (examples(kind, 10),)), torch.arange(10) % 5)
    loss.backward()
    names = dead_biases(net)
    assert names
    assert all(own[name].grad.abs().max() > 1e-8 for name in names)


def meta_losses(
    net: nn.Module, kind: str, slopes: Callable[..., Tensors]
) -> Callable[[Tensors, Tensor], Tensor]:
    """Give the query loss after one inner step, of a task that is one tensor of images."""
    labels = torch.arange(5)

    def loss(own: Tensors, images: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(net, own, (images,)), labels)

    def after_a_step(own: Tensors, images: Tensor) -> Tensor:
        moved = slopes(lambda p: loss(p, images[:5]), own)
        return loss({name: tensor - 0.1 * moved[name] for name, tensor in own.items()}, images[5:])

    return after_a_step


def autograd_slopes(loss: Callable[[Tensors], Tensor], own: Tensors) -> Tensors:
    return dict(zip(own, torch.autograd.grad(loss(own), list(own.values()), create_graph=True), strict=True))


@EVERY_KIND
def test_second_derivatives_of_tasks_together_are_those_of_tasks_one_by_one(kind: str):
    net = net_of(kind).double()
    own = {name: tensor.requires_grad_() for name, tensor in drawn(net).items()}
    tasks = torch.stack([examples(kind, 10, seed) for seed in (1, 2)])
    alone = meta_losses(net, kind, autograd_slopes)
    one_by_one = torch.stack([alone(own, task) for task in tasks])
    with norms_with(net, fused=False):
        together = vmap(meta_losses(net, kind, lambda loss, p: grad(loss)(p)), in_dims=(None, 0))(own, tasks)
    torch.testing.assert_close(together, one_by_one, rtol=1e-10, atol=0)
    mine = torch.autograd.grad(together.sum(), list(own.values()))
    yours = torch.autograd.grad(one_by_one.sum(), list(own.values()))
    for name, one, other in zip(own, mine, yours, strict=True):
        torch.testing.assert_close(
            one, other, rtol=1e-8, atol=1e-11, msg=lambda text, name=name: f"{name}: {text}"
        )
