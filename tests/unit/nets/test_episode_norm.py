from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, vmap
from torch.nn import functional as F

from carryover.nets.episode_norm import EpisodeNorm, norms_with

SHAPES = pytest.mark.parametrize("shape", [(6, 3), (6, 3, 2, 4)], ids=["vectors", "maps"])
MENDED = (
    "torch's batch_norm has right second derivatives inside vmap now: measure benchmarks/metaticket_step.py with it, "
    "and if it is faster drop `fused=False` from metaticket/batching.py and `fused` from nets/episode_norm.py"
)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def norm_of(num_channels: int, eps: float = 1e-3, **attributes: object) -> EpisodeNorm:
    norm = EpisodeNorm(num_channels, eps).double().requires_grad_(False)
    norm.weight.copy_(drawn(num_channels, seed=1))
    norm.bias.copy_(drawn(num_channels, seed=2))
    vars(norm).update(attributes)
    return norm


@SHAPES
@pytest.mark.parametrize("fused", [True, False])
def test_a_batch_is_normalised_by_its_own_statistics(shape: tuple[int, ...], fused: bool):
    x = drawn(*shape)
    theirs = (nn.BatchNorm1d if x.ndim == 2 else nn.BatchNorm2d)(
        3, eps=1e-3, track_running_stats=False
    ).double()
    ours = norm_of(3, fused=fused)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-14)


@SHAPES
@pytest.mark.parametrize("fused", [True, False])
def test_statistics_of_a_reference_are_constants_to_what_follows_it(shape: tuple[int, ...], fused: bool):
    x, axes = drawn(*shape), (0, *range(2, len(shape)))
    ours = norm_of(3, fused=fused, num_reference=4)
    frozen = (x[:4].mean(axes), x[:4].var(axes, unbiased=False))
    expected = F.batch_norm(x, *frozen, ours.weight, ours.bias, training=False, eps=1e-3)
    torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-14)


@SHAPES
def test_an_example_after_the_reference_changes_no_other_to_the_last_bit(shape: tuple[int, ...]):
    x = drawn(*shape)
    ours = norm_of(3, num_reference=4)
    assert torch.equal(ours(x)[:5], ours(x[:5]))
    assert torch.equal(ours(torch.cat([x[:4], x[5:]]))[4], ours(x)[5])


def test_nothing_is_remembered_from_batch_to_batch():
    norm = norm_of(3)
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    first = norm(drawn(6, 3))
    norm(100 + drawn(6, 3, seed=5))
    assert torch.equal(norm(drawn(6, 3)), first)
    assert norm.state_dict().keys() == before.keys() == {"weight", "bias"}
    assert all(torch.equal(norm.state_dict()[name], before[name]) for name in before)


def test_training_and_evaluation_are_the_same():
    norm, x = norm_of(3), drawn(6, 3)
    assert torch.equal(norm.train()(x), norm.eval()(x))


def test_gain_and_shift_start_at_one_and_zero():
    norm = EpisodeNorm(4)
    assert norm.weight.tolist() == [1.0] * 4
    assert norm.bias.tolist() == [0.0] * 4
    assert norm.eps == 1e-5


def test_settings_of_norms_hold_for_a_while_and_then_each_norm_has_its_own_again():
    net = nn.Sequential(EpisodeNorm(3), nn.ReLU(), nn.Sequential(EpisodeNorm(3)))
    first, second = net[0], net[2][0]
    second.num_reference = 7
    with norms_with(net, num_reference=2, fused=False):
        assert (first.num_reference, second.num_reference, first.fused) == (2, 2, False)
        with norms_with(net, num_reference=5):
            assert (first.num_reference, second.num_reference, second.fused) == (5, 5, False)
        assert (first.num_reference, second.num_reference) == (2, 2)
    assert (first.num_reference, second.num_reference, first.fused, second.fused) == (None, 7, True, True)
    with pytest.raises(KeyError, match="stop"), norms_with(net, fused=False):
        raise KeyError("stop")
    assert first.fused is second.fused is True


def test_batch_norm_with_running_statistics_is_refused_inside_vmap_and_ours_runs():
    """The reason for a norm of our own (T15): running statistics would be written to by all tasks at once."""
    tasks = drawn(2, 4, 3, 5, 5)
    with pytest.raises(RuntimeError, match="running_mean or running_var"):
        vmap(nn.BatchNorm2d(3).double())(tasks)
    for attributes in ({}, {"fused": False}, {"num_reference": 2}):
        ours = norm_of(3, **attributes)
        one_by_one = torch.stack([ours(task) for task in tasks])
        torch.testing.assert_close(vmap(ours)(tasks), one_by_one, rtol=0, atol=1e-14)


def test_gradients_of_batch_norm_with_running_statistics_are_refused_under_transforms():
    theirs = nn.BatchNorm1d(3).double()
    own, buffers = dict(theirs.named_parameters()), dict(theirs.named_buffers())
    x = drawn(4, 3)
    with pytest.raises(RuntimeError, match="in-place"):
        grad(lambda p: functional_call(theirs, {**p, **buffers}, (x,)).square().sum())(own)


def curved(norm: EpisodeNorm, target: Tensor) -> Callable[..., Tensor]:
    """Give a loss of what is normalised and of gain and shift, with third derivatives that are not zero."""

    def loss(x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
        return (functional_call(norm, {"weight": gain, "bias": shift}, (x,)) - target).pow(3).mean()

    return loss


VARIANTS = [
    pytest.param({"fused": True}, id="fused"),
    pytest.param({"fused": False}, id="plain"),
    pytest.param({"num_reference": 4}, id="reference"),
]


@SHAPES
@pytest.mark.parametrize("attributes", VARIANTS)
def test_first_and_second_derivatives_are_those_of_finite_differences(
    shape: tuple[int, ...], attributes: dict[str, object]
):
    norm = norm_of(3, **attributes)
    loss = curved(norm, drawn(*shape, seed=3))
    inputs = [t.clone().requires_grad_() for t in (drawn(*shape), norm.weight, norm.bias)]
    assert torch.autograd.gradcheck(loss, inputs)
    assert torch.autograd.gradgradcheck(loss, inputs)


@SHAPES
@pytest.mark.parametrize("attributes", VARIANTS[1:])
def test_second_derivatives_inside_vmap_are_those_outside(
    shape: tuple[int, ...], attributes: dict[str, object]
):
    norm = norm_of(3, **attributes)
    loss = curved(norm, drawn(*shape, seed=3))
    tasks = drawn(2, *shape, seed=4)
    second = jacrev(jacrev(loss, argnums=(0, 1, 2)), argnums=(0, 1, 2))
    alone = [second(task, norm.weight, norm.bias) for task in tasks]
    with torch.no_grad():
        together = vmap(second, in_dims=(0, None, None))(tasks, norm.weight, norm.bias)
    for number, expected in enumerate(alone):
        for mine, yours in zip(together, expected, strict=True):
            for one, other in zip(mine, yours, strict=True):
                torch.testing.assert_close(one[number], other, rtol=1e-9, atol=1e-12)


def mixed(norm: EpisodeNorm, tasks: Tensor, target: Tensor) -> Tensor:
    """Derive the slope with respect to the gain, taken inside `vmap`, with respect to what is normalised."""
    loss = curved(norm, target)
    x = tasks.clone().requires_grad_()
    slopes = vmap(lambda own: grad(loss, argnums=1)(own, norm.weight, norm.bias))(x)
    return torch.autograd.grad(slopes.square().sum(), x)[0]


@SHAPES
def test_torchs_own_kernel_still_has_wrong_second_derivatives_inside_vmap(shape: tuple[int, ...]):
    """Inside `vmap` torch takes the statistics for constants when the gain's slope is derived again."""
    tasks, target = drawn(2, *shape, seed=4), drawn(*shape, seed=3)
    fused, plain = (mixed(norm_of(3, fused=fused), tasks, target) for fused in (True, False))
    one_by_one = torch.zeros_like(plain)
    for number, task in enumerate(tasks):
        norm = norm_of(3)
        own = [t.clone().requires_grad_() for t in (task, norm.weight)]
        (slope,) = torch.autograd.grad(curved(norm, target)(*own, norm.bias), own[1], create_graph=True)
        (one_by_one[number],) = torch.autograd.grad(slope.square().sum(), own[0])
    torch.testing.assert_close(plain, one_by_one, rtol=1e-10, atol=1e-13)
    assert (fused - plain).norm() > 0.1 * plain.norm(), MENDED
