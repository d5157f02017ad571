"""Section 1.6 and oracles 4 to 8: IteRand's redraws and nothing else."""

from math import sqrt

import pytest
import torch

from carryover.core.resume import OutOfTime
from carryover.core.rng import generator
from carryover.iterand.search import redraw
from carryover.sparse.masks import MaskRule, masks_of
from carryover.sparse.randomize import redraw_pruned_, redraw_stream

BN = {"kind": "resnet", "depth": 18, "width": 1 / 64, "stem": "cifar"}
CONV = {"kind": "conv", "depth": 2, "width": 1 / 32}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    assert left.keys() == right.keys()
    return all(torch.equal(left[name], right[name]) for name in left)


def never(tickets) -> dict[str, torch.Tensor]:
    return {name: torch.zeros_like(weight, dtype=torch.int32) for name, weight in tickets.weights.items()}


@pytest.mark.parametrize("net", [BN, CONV])
def test_an_event_changes_neither_a_kept_weight_nor_anything_else(lab, net):
    run = lab.run(net=net, randomize_prob=1.0)
    tickets = lab.draw(run, (0, 1))
    images = torch.randn(2, 4, *lab.image_shape, generator=generator(0, "x"))
    tickets.logits(images)  # batch-norm statistics have moved
    before = {name: tensor.clone() for name, tensor in tickets.state().items()}
    logits = tickets.predictor()(images)
    redraw(tickets, run, 1, never(tickets))
    assert torch.equal(tickets.predictor()(images), logits)
    for name, tensor in tickets.state().items():
        if name.startswith("weights/"):
            kept = tickets.masks[name.removeprefix("weights/")] == 1
            assert torch.equal(tensor[kept], before[name][kept])
            assert (tensor[~kept] != before[name][~kept]).all()
        else:
            assert torch.equal(tensor, before[name])


def test_training_logits_are_the_same_before_and_after_an_event(lab):
    run = lab.run(net=BN, randomize_prob=1.0)
    tickets, other = lab.draw(run, (0,)), lab.draw(run, (0,))
    images = torch.randn(1, 4, *lab.image_shape, generator=generator(0, "x"))
    redraw(tickets, run, 1, never(tickets))
    assert torch.equal(tickets.logits(images), other.logits(images))
    assert not same(tickets.weights, other.weights)


@pytest.mark.parametrize(
    ("what", "settings"),
    [
        ("no redraw ever happens (r = 0)", {"randomize_prob": 0.0, "randomize_every": 2}),
        ("the first event is after the last step (K > T)", {"randomize_every": 21, "randomize_prob": 1.0}),
        ("nothing is pruned (p = 0)", {"sparsity": 0.0, "randomize_every": 2, "randomize_prob": 1.0}),
    ],
)
@pytest.mark.parametrize("net", ["mlp", "conv"])
def test_iterand_is_edge_popup_bit_for_bit_when(lab, what, settings, net):
    chosen = {"net": CONV} if net == "conv" else {}
    popup = lab.train(lab.run("popup", sparsity=settings.get("sparsity", 0.5), **chosen))
    iterand = lab.train(lab.run(**settings, **chosen))
    for seed in (0, 1):
        assert iterand.rows(seed) == popup.rows(seed)
        found = {n: t for n, t in iterand.tensors(seed).items() if not n.startswith("redrawn/")}
        assert same(found, popup.tensors(seed))


def test_iterand_is_not_edge_popup_otherwise(lab):
    popup, iterand = lab.train(lab.run("popup")), lab.train(lab.run())
    assert not same(iterand.block.weights, popup.block.weights)
    assert iterand.rows(0) != popup.rows(0)


@pytest.mark.parametrize(("every", "epochs"), [(1, 1), (4, 4), (5, 4), (7, 4), (20, 4), (21, 4)])
def test_there_are_as_many_events_as_periods_in_the_training(lab, every, epochs):
    trained = lab.train(lab.run(randomize_every=every, epochs=epochs, randomize_prob=1.0))
    # at r = 1 every event leaves its number somewhere that the next one does not reach
    assert max(int(index.max()) for index in trained.redrawn.values()) == epochs * lab.num_steps // every


def test_the_first_event_is_after_k_minus_1_updates_and_redraws_what_is_pruned_then(lab, interrupted):
    resume = interrupted(4)
    with pytest.raises(OutOfTime):
        lab.train(lab.run("popup", epochs=1), resume=resume)
    scores = {n.removeprefix("scores/"): t for n, t in resume.saved.items() if n.startswith("scores/")}
    masks = masks_of(scores, MaskRule(0.5))
    redrawn = lab.train(lab.run(epochs=1, randomize_every=5, randomize_prob=1.0)).redrawn
    for name, mask in masks.items():
        assert torch.equal(redrawn[name], 1 - mask.int())


@pytest.mark.parametrize("weights", ["ku", "sc"])
def test_weights_stay_in_their_support(lab, weights):
    trained = lab.train(lab.run(weights=weights, randomize_every=1, randomize_prob=1.0))
    for name, tensor in trained.block.weights.items():
        fan_in = trained.block.fan_in[name]
        if weights == "ku":
            assert tensor.abs().max() <= sqrt(6 / fan_in)
        else:
            assert torch.equal(tensor.abs(), torch.full_like(tensor, sqrt(2 / fan_in)))


@pytest.mark.parametrize("method", ["popup", "iterand"])
def test_only_scores_are_trained(lab, method):
    run = lab.run(method, net=BN)
    net = lab.net(run)
    trained = lab.train(run, net=net)
    tickets = trained.block
    assert all(p.grad is None and not p.requires_grad for p in net.parameters())
    assert all(not w.requires_grad for w in tickets.weights.values())
    biases = {n: t for n, t in tickets.others.items() if n.endswith("bias")}
    assert set(biases) == {"head.bias"}
    assert not any(b.any() for b in biases.values())
    assert {n for n, _ in net.named_parameters()} == {*tickets.weights, *biases}  # batch-norm has none
    start = lab.draw(run, (0, 1))
    assert all(not torch.equal(tickets.scores[n], start.scores[n]) for n in tickets.scores)
    if method == "popup":
        assert same(tickets.weights, start.weights)


def test_the_last_redraw_of_every_weight_is_remembered(lab):
    run = lab.run(randomize_every=2, randomize_prob=0.5)
    trained = lab.train(run)
    tickets, drawn = trained.block, lab.draw(run, (0, 1))
    seen = set()
    for name, weight in tickets.weights.items():
        untouched = trained.redrawn[name] == 0
        assert torch.equal(weight[untouched], drawn.weights[name][untouched])
        for index, seed in enumerate((0, 1)):
            for event in range(1, 11):
                fresh, nothing_kept = drawn.weights[name][index].clone(), torch.zeros_like(weight[index])
                stream = redraw_stream(seed, name, event)
                redraw_pruned_(fresh, nothing_kept, tickets.fan_in[name], "ku", 1.0, stream)
                own = trained.redrawn[name][index] == event
                assert torch.equal(weight[index][own], fresh[own])
                seen |= {event} if own.any() else set()
    assert seen == set(range(1, 11))


def test_a_redraw_does_not_depend_on_the_mask_or_on_other_events(lab):
    left, right = lab.run(sparsity=0.3, randomize_prob=1.0), lab.run(sparsity=0.7, randomize_prob=1.0)
    nets = [lab.draw(left, (0,)), lab.draw(right, (5, 0))]
    for tickets, run, first in zip(nets, (left, right), ((4,), (1, 2, 4)), strict=True):
        for event in first:
            redraw(tickets, run, event, never(tickets))
    for name in nets[0].weights:
        both = (nets[0].masks[name][0] == 0) & (nets[1].masks[name][1] == 0)
        assert both.any()
        assert torch.equal(nets[0].weights[name][0][both], nets[1].weights[name][1][both])


def test_the_number_of_threads_does_not_change_what_an_event_draws(lab):
    run = lab.run(net={"kind": "mlp", "hidden": [400, 200]})  # large enough for torch to share out
    usual = torch.get_num_threads()
    found = []
    try:
        for num_threads in (1, 2):
            torch.set_num_threads(num_threads)
            tickets = lab.draw(run, (0, 1))
            redraw(tickets, run, 3, never(tickets))
            found.append(tickets.weights)
    finally:
        torch.set_num_threads(usual)
    assert same(*found)
