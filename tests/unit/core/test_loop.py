import pytest
import torch

from carryover.core.loop import MomentumSgd, steps
from carryover.core.rng import generator


class Counted:
    """Batches whose images say where they come from."""

    num_steps = 3

    def __init__(self):
        self.asked = []

    def epoch(self, epoch, start=0):
        self.asked.append((epoch, start))
        for position in range(start, self.num_steps):
            yield torch.full((1, 2, 1, 1, 1), 10.0 * epoch + position), torch.zeros((1, 2), dtype=torch.int64)


def walk(num_epochs=3, start=0):
    batches = Counted()
    found = [
        (step.index, step.epoch, step.lr, step.images[0, 0].item(), step.closes_epoch)
        for step in steps(batches, lambda epoch: 0.5**epoch, num_epochs, start)
    ]
    return found, batches.asked


def test_steps_are_counted_over_the_whole_training_and_the_rate_changes_by_epoch():
    found, asked = walk()
    assert [step[0] for step in found] == list(range(9))
    assert [step[1] for step in found] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [step[2] for step in found] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert [step[3] for step in found] == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert [step[4] for step in found] == [False, False, True] * 3
    assert asked == [(0, 0), (1, 0), (2, 0)]


@pytest.mark.parametrize("start", range(10))
def test_a_training_goes_on_from_any_step(start):
    found, asked = walk(start=start)
    assert found == walk()[0][start:]
    assert asked[:1] == ([(start // 3, start % 3)] if start < 9 else [])


def test_a_step_is_yielded_before_the_next_batch_is_made():
    made = []

    class Recorded(Counted):
        def epoch(self, epoch, start=0):
            for batch in super().epoch(epoch, start):
                made.append(epoch)
                yield batch

    walking = steps(Recorded(), lambda epoch: 1.0, 2)
    next(walking)
    assert len(made) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_update_is_that_of_torchs_fused_optimizer_bit_for_bit(dtype):
    draw = generator(0, "sgd")
    start = {
        n: torch.randn(2, *shape, generator=draw, dtype=dtype) for n, shape in (("a", (5, 4)), ("b", (7,)))
    }
    ours = {n: t.clone() for n, t in start.items()}
    theirs = [t.clone().requires_grad_(True) for t in start.values()]
    optimizer = MomentumSgd(ours, momentum=0.9, weight_decay=0.01)
    expected = torch.optim.SGD(theirs, lr=1.0, momentum=0.9, weight_decay=0.01, fused=True)
    for lr in (0.1, 0.05, 0.2):
        losses = torch.stack([sum((t[i] ** 4).sum() for t in ours.values()) for i in (0, 1)])
        assert torch.equal(optimizer.descend(lr, losses), losses.detach())
        expected.param_groups[0]["lr"] = lr
        expected.zero_grad()
        sum((t**4).sum() for t in theirs).backward()
        expected.step()
        for one, other in zip(ours.values(), theirs, strict=True):
            assert torch.equal(one, other)


def test_momenta_are_there_from_the_start_and_named_after_their_tensors():
    optimizer = MomentumSgd({"a": torch.ones(2, 3)}, momentum=0.9, weight_decay=0.0)
    momentum = optimizer.state()["momentum/a"]
    assert not momentum.any()
    assert not momentum.requires_grad
    optimizer.descend(0.1, (optimizer.tensors[0] ** 2).sum(-1))
    assert momentum.tolist() == [[2, 2, 2]] * 2
    assert torch.allclose(optimizer.tensors[0], torch.full((2, 3), 0.8))


def test_gradients_in_another_memory_format_are_taken_as_numbers():
    """Convolutions in channels-last give such gradients."""
    tensor = torch.randn(1, 4, 3, 2, 2, generator=generator(0, "sgd"))
    optimizer = MomentumSgd({"a": tensor}, momentum=0.0, weight_decay=0.0)
    before = tensor.detach().clone()
    images = torch.randn(2, 3, 2, 2, generator=generator(1, "sgd")).to(memory_format=torch.channels_last)
    out = torch.nn.functional.conv2d(images, tensor[0])
    expected = torch.autograd.grad(out.square().sum(), tensor, retain_graph=True)[0].contiguous()
    optimizer.descend(1.0, out.square().sum()[None])
    assert torch.equal(tensor.detach(), before - expected)


def test_a_step_along_given_gradients_is_a_descent_of_the_loss_that_has_them():
    start = {"a": torch.tensor([1.0, -2.0]), "b": torch.tensor([[3.0], [0.5]])}
    first, second = ({name: tensor.clone() for name, tensor in start.items()} for _ in range(2))
    along = MomentumSgd(first, momentum=0.9, weight_decay=0.01)
    down = MomentumSgd(second, momentum=0.9, weight_decay=0.01)
    for lr in (0.01, 0.005, 0.02):
        along.step(lr, [4 * tensor.detach() ** 3 for tensor in first.values()])
        down.descend(lr, sum((tensor**4).sum() for tensor in second.values())[None])
    for name, tensor in first.items():
        assert torch.allclose(tensor, second[name], rtol=1e-6)
        assert not torch.equal(tensor, start[name])


def test_gradients_are_in_the_order_of_the_tensors_and_are_left_as_they_are():
    tensors = {"a": torch.zeros(2), "b": torch.zeros(2)}
    optimizer = MomentumSgd(tensors, momentum=0.5, weight_decay=0.0)
    gradients = [torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])]
    optimizer.step(1.0, gradients)
    optimizer.step(1.0, gradients)
    # the second step has the velocity g + g / 2
    assert tensors["a"].tolist() == [-2.5, -5]
    assert tensors["b"].tolist() == [-25, -50]
    assert [gradient.tolist() for gradient in gradients] == [[1, 2], [10, 20]]
    assert all(tensor.is_leaf and tensor.requires_grad for tensor in tensors.values())
