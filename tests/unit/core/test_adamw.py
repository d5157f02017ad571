import torch

from carryover.core.adamw import AdamW
from carryover.core.loop import MomentumSgd


def losses_of(weights):
    return (weights - torch.arange(3.0)).pow(2).sum(1) + weights.sin().sum(1)


def test_a_block_descends_as_torch_s_own_adamw_does_for_each_net():
    start = torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.1, -0.7]])
    block = {"w": start.clone()}
    ours = AdamW(block, momentum=0.9, weight_decay=0.1)
    for _ in range(7):
        ours.descend(0.05, losses_of(block["w"]))
    for net in range(2):
        alone = start[net].clone().requires_grad_()
        reference = torch.optim.AdamW([alone], lr=0.05, betas=(0.9, 0.999), weight_decay=0.1)
        for _ in range(7):
            reference.zero_grad()
            losses_of(alone[None]).sum().backward()
            reference.step()
        assert torch.allclose(block["w"][net], alone, rtol=0, atol=1e-6)


def test_a_restored_state_goes_on_to_the_same_bits():
    def steps(optimizer, block, number):
        for _ in range(number):
            optimizer.descend(0.05, losses_of(block["w"]))

    whole, first, second = ({"w": torch.ones(2, 3)} for _ in range(3))
    steps(AdamW(whole, momentum=0.9, weight_decay=0.1), whole, 6)
    before = AdamW(first, momentum=0.9, weight_decay=0.1)
    steps(before, first, 4)
    after = AdamW(second, momentum=0.9, weight_decay=0.1)
    with torch.no_grad():
        for name, tensor in {**second, **after.state()}.items():
            tensor.copy_({**first, **before.state()}[name])
    steps(after, second, 2)
    assert torch.equal(second["w"], whole["w"])


def test_its_state_has_the_block_as_first_axis_as_that_of_sgd_has():
    block = {"w": torch.ones(2, 3)}
    for optimizer in (AdamW, MomentumSgd):
        assert all(len(t) == 2 for t in optimizer(block, momentum=0.9, weight_decay=0.0).state().values())


def test_steps_along_given_gradients_are_those_of_torchs_own_adam():
    shapes = {"a": (3, 2), "b": (5,)}
    ours = {name: torch.ones(shape) for name, shape in shapes.items()}
    theirs = [torch.ones(shape, requires_grad=True) for shape in shapes.values()]
    optimizer = AdamW(ours, momentum=0.9, weight_decay=0.0)
    reference = torch.optim.Adam(theirs, lr=0.05, betas=(0.9, 0.999))
    draw = torch.Generator().manual_seed(0)
    for _ in range(7):
        gradients = [torch.randn(shape, generator=draw) for shape in shapes.values()]
        for tensor, gradient in zip(theirs, gradients, strict=True):
            tensor.grad = gradient.clone()
        optimizer.step(0.05, gradients)
        reference.step()
        for tensor, other in zip(ours.values(), theirs, strict=True):
            assert torch.allclose(tensor, other, rtol=0, atol=1e-6)
    assert all(tensor.is_leaf and tensor.requires_grad for tensor in ours.values())


def test_tensors_of_different_first_axes_share_the_count_of_steps():
    """A meta-training has tensors of many shapes, and every one has taken every step."""
    tensors = {"a": torch.zeros(1), "b": torch.zeros(4, 2)}
    optimizer = AdamW(tensors, momentum=0.9, weight_decay=0.0)
    for _ in range(3):
        optimizer.step(0.1, [torch.ones(1), -torch.ones(4, 2)])
    # of a constant gradient, Adam's steps are the rate
    assert torch.allclose(tensors["a"], torch.tensor([-0.3]))
    assert torch.allclose(tensors["b"], torch.full((4, 2), 0.3))
    assert optimizer.state()["count"].tolist() == [3]
