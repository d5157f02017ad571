"""Section 1.3: the gradient of a score is that of a free real mask, at the 0/1 mask."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from carryover.core.block import cross_entropy
from carryover.core.rng import generator
from carryover.iterand.settings import PopupRun
from carryover.iterand.tickets import Tickets, draw_tickets
from carryover.sparse.masks import at_least

DOUBLE = torch.zeros((), dtype=torch.float64)
# smooth: a ReLU whose inputs are all pruned sits on its kink, where differences say one half
NETS = {
    "mlp": lambda: nn.Sequential(nn.Flatten(), nn.Linear(18, 7), nn.Tanh(), nn.Linear(7, 3, bias=False)),
    "conv": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 2), nn.Tanh(), nn.Conv2d(4, 4, 2, groups=2), nn.Flatten(), nn.Linear(4, 3)
    ),
}


def tickets_of(net: str, seeds: tuple[int, ...], rank: str) -> tuple[Tickets, Tensor, Tensor]:
    run = PopupRun(
        dataset="none",
        net={"kind": "mlp", "hidden": [1]},  # not read: the net is given
        epochs=1,
        method="popup",
        score_lr=1.0,
        sparsity=0.5,
        rank=rank,
    )
    plain = NETS[net]()
    for parameter in plain.parameters():
        nn.init.zeros_(parameter)
    draw = generator(0, "images")
    images = torch.randn(len(seeds), 6, 2, 3, 3, generator=draw, dtype=torch.float64)
    labels = torch.randint(0, 3, (len(seeds), 6), generator=draw)
    return draw_tickets(plain, seeds, run, DOUBLE), images, labels


def score_gradients(tickets: Tickets, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    for scores in tickets.scores.values():
        scores.requires_grad_(True)
    loss = cross_entropy(tickets.logits(images), labels).sum()
    return dict(zip(tickets.scores, torch.autograd.grad(loss, list(tickets.scores.values())), strict=True))


def mask_differences(tickets: Tickets, index: int, images: Tensor, labels: Tensor, name: str) -> Tensor:
    """Central differences of one net's loss in each entry of one mask, by a plain forward pass."""
    masks = {n: m[index].clone() for n, m in tickets.masks.items()}
    others = {n: t[index] for n, t in tickets.others.items()}

    def loss(step: float, entry: int) -> float:
        moved = {**masks, name: masks[name].clone()}
        moved[name].view(-1)[entry] += step
        weights = {n: tickets.weights[n][index] * m for n, m in moved.items()}
        logits = functional_call(tickets.net, {**weights, **others}, (images[index],))
        return F.cross_entropy(logits, labels[index]).item()

    size = masks[name].numel()
    found = [(loss(1e-6, e) - loss(-1e-6, e)) / 2e-6 for e in range(size)]
    return torch.tensor(found, dtype=torch.float64).view_as(masks[name])


@pytest.mark.parametrize("rank", ["raw", "absolute"])
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("seeds", [(0,), (3, 4)])
def test_a_score_has_the_gradient_of_a_free_mask_on_kept_and_pruned_weights(net, rank, seeds):
    tickets, images, labels = tickets_of(net, seeds, rank)
    gradients = score_gradients(tickets, images, labels)
    for index in range(len(seeds)):
        for name in tickets.scores:
            expected = mask_differences(tickets, index, images, labels, name)
            if rank == "absolute":
                expected = expected * tickets.scores[name][index].sign()
            assert torch.allclose(gradients[name][index], expected, rtol=0, atol=1e-6)
            assert gradients[name][index][tickets.masks[name][index] == 0].any()


def test_the_gradient_of_a_score_is_that_of_its_weight_times_the_random_weight():
    tickets, images, labels = tickets_of("mlp", (1,), "raw")
    gradients = score_gradients(tickets, images, labels)
    effective = {n: (w * tickets.masks[n]).requires_grad_(True) for n, w in tickets.weights.items()}
    tensors = {n: t[0] for n, t in (*effective.items(), *tickets.others.items())}
    logits = functional_call(tickets.net, tensors, (images[0],))
    losses = torch.autograd.grad(F.cross_entropy(logits, labels[0]), list(effective.values()))
    for (name, weights), gradient in zip(tickets.weights.items(), losses, strict=True):
        assert torch.allclose(gradients[name], gradient * weights, rtol=1e-12, atol=1e-15)


def test_no_gradient_reaches_a_weight_or_a_bias():
    tickets, images, labels = tickets_of("conv", (0, 1), "raw")
    for scores in tickets.scores.values():
        scores.requires_grad_(True)
    cross_entropy(tickets.logits(images), labels).sum().backward()
    frozen = [*tickets.weights.values(), *tickets.others.values(), *tickets.net.parameters()]
    assert all(tensor.grad is None and not tensor.requires_grad for tensor in frozen)
    assert all(scores.grad is not None for scores in tickets.scores.values())


def test_a_fixed_threshold_hands_its_gradient_through_as_well():
    scores = torch.tensor([-1.0, 0.5, 2.0], requires_grad=True)
    mask = at_least(scores, 0.5)
    (mask * torch.tensor([3.0, 5.0, 7.0])).sum().backward()
    assert mask.tolist() == [0, 1, 1]
    assert scores.grad.tolist() == [3, 5, 7]


def test_scores_have_second_derivatives_through_the_weights():
    scores = torch.randn(6, dtype=torch.float64, generator=generator(0, "s"), requires_grad=True)
    layer = nn.Linear(6, 1, bias=False, dtype=torch.float64)
    masked = layer.weight[0].detach() * at_least(scores, 0.0)
    (first,) = torch.autograd.grad((masked**2).sum(), scores, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), scores)
    assert torch.allclose(second, 2 * layer.weight[0].detach() ** 2)
