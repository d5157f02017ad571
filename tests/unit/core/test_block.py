import pytest
import torch
from torch import nn
from torch.nn import functional as F

from carryover.core.block import call, cross_entropy, stack
from carryover.core.rng import generator

DRAW = generator(0, "test")
BLOCK = 3


def block_of(make, shape):
    """Nets of one architecture, their stacked tensors, and images for each."""
    nets = [make() for _ in range(BLOCK)]
    for net in nets:
        for parameter in net.parameters():
            parameter.data = torch.randn(parameter.shape, generator=DRAW, dtype=torch.float64)
        net.double()
    tensors = stack({**dict(net.named_parameters()), **dict(net.named_buffers())} for net in nets)
    return (
        nets,
        {n: t.detach() for n, t in tensors.items()},
        torch.randn(BLOCK, 5, *shape, generator=DRAW).double(),
    )


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 3))


def convolutional():
    return nn.Sequential(nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3))


def test_tensors_of_a_block_are_stacked_by_name():
    stacked = stack({"a": torch.full((2,), float(i)), "n": torch.tensor(i)} for i in range(3))
    assert stacked["a"].tolist() == [[0, 0], [1, 1], [2, 2]]
    assert stacked["n"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("make", [mlp, convolutional])
@pytest.mark.parametrize("chosen", [[0, 1, 2], [2]])
def test_every_net_of_a_block_answers_its_own_batch(make, chosen):
    nets, tensors, images = block_of(make, (3, 2, 2))
    logits = call(nets[0], {n: t[chosen] for n, t in tensors.items()}, images[chosen])
    for place, index in enumerate(chosen):
        assert torch.allclose(logits[place], nets[index](images[index]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("chosen", [[0, 1, 2], [1]])
def test_batch_norm_statistics_are_updated_in_place_for_each_net(chosen):
    nets, tensors, images = block_of(convolutional, (3, 2, 2))
    own = {n: t[chosen] for n, t in tensors.items()}
    mean = own["1.running_mean"]
    call(nets[0], own, images[chosen])
    for place, index in enumerate(chosen):
        nets[index](images[index])
        assert torch.allclose(mean[place], nets[index][1].running_mean, rtol=1e-12, atol=1e-12)
        assert own["1.num_batches_tracked"][place] == 1


def test_a_net_of_a_block_has_the_gradients_that_it_has_alone():
    nets, tensors, images = block_of(convolutional, (3, 2, 2))
    leaves = {
        n: t.clone().requires_grad_(t.is_floating_point() and "running" not in n) for n, t in tensors.items()
    }
    labels = torch.tensor([[0, 1, 2, 0, 1]]).expand(BLOCK, -1)
    cross_entropy(call(nets[0], leaves, images), labels).sum().backward()
    for index, net in enumerate(nets):
        F.cross_entropy(net(images[index]), labels[index]).backward()
        for name, parameter in net.named_parameters():
            assert torch.allclose(leaves[name].grad[index], parameter.grad, rtol=1e-9, atol=1e-12)


def test_a_net_without_convolutions_gives_the_same_bits_in_every_block():
    nets, tensors, images = block_of(mlp, (3, 2, 2))
    single = {n: t.float() for n, t in tensors.items()}
    together = call(nets[0], single, images.float())
    alone = call(nets[0], {n: t[1:2] for n, t in single.items()}, images[1:2].float())
    assert torch.equal(alone[0], together[1])


@pytest.mark.parametrize(("make", "chosen"), [(mlp, [0, 1, 2]), (mlp, [0]), (convolutional, [0])])
def test_bf16_rounds_the_products_and_ends_with_the_call(make, chosen):
    nets, tensors, images = block_of(make, (3, 2, 2))
    single = {n: t[chosen].float() if t.is_floating_point() else t[chosen] for n, t in tensors.items()}
    nets[0].eval()
    exact = call(nets[0], single, images[chosen].float())
    rounded = call(nets[0], single, images[chosen].float(), "bf16").float()
    assert torch.allclose(rounded, exact, rtol=0.05, atol=0.3)
    assert not torch.allclose(rounded, exact, rtol=1e-4, atol=1e-4)
    assert torch.equal(call(nets[0], single, images[chosen].float()), exact)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_cross_entropy_is_averaged_over_each_nets_batch(dtype):
    logits = torch.randn(2, 5, 4, generator=DRAW, dtype=torch.float64).to(dtype)
    labels = torch.tensor([[0, 1, 2, 3, 0], [3, 3, 3, 3, 3]])
    losses = cross_entropy(logits, labels)
    assert losses.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    for index in (0, 1):
        expected = F.cross_entropy(logits[index].double(), labels[index])
        tolerance = 1e-12 if dtype == torch.float64 else 1e-6
        assert losses[index].item() == pytest.approx(expected.item(), rel=tolerance)
