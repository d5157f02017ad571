import torch

from carryover.core.rng import generator
from carryover.sparse.init import draw_weights
from carryover.sparse.masks import keep_top
from carryover.sparse.randomize import redraw_pruned_, redraw_stream

SHAPE, FAN_IN = (30, 20), 20


def layer(sparsity: float = 0.6):
    weight = draw_weights("ku", SHAPE, FAN_IN, generator(0, "weights", "a"))
    return weight, keep_top(draw_weights("ku", SHAPE, FAN_IN, generator(0, "scores", "a")), sparsity)


def test_only_pruned_weights_are_redrawn():
    weight, mask = layer()
    before = weight.clone()
    who = redraw_pruned_(weight, mask, FAN_IN, "ku", 0.5, redraw_stream(0, "a", 1))
    assert torch.equal(weight[mask == 1], before[mask == 1])
    assert not who[mask == 1].any()
    assert torch.equal(weight != before, who)
    assert 0 < who.sum() < (mask == 0).sum()


def test_all_pruned_weights_are_redrawn_at_one_and_none_at_zero():
    weight, mask = layer()
    before = weight.clone()
    assert not redraw_pruned_(weight, mask, FAN_IN, "ku", 0.0, redraw_stream(0, "a", 1)).any()
    assert torch.equal(weight, before)
    assert torch.equal(redraw_pruned_(weight, mask, FAN_IN, "ku", 1.0, redraw_stream(0, "a", 1)), mask == 0)


def test_what_a_weight_becomes_depends_on_its_place_and_the_event_alone():
    first, few = layer(0.3)
    second, many = layer(0.8)
    third, _ = layer()
    for weight, mask, event in ((first, few, 2), (second, many, 2), (third, many, 3)):
        redraw_pruned_(weight, mask, FAN_IN, "ku", 0.5, redraw_stream(0, "a", event))
    both = (few == 0) & (many == 0)
    assert torch.equal(first[both], second[both])
    assert not torch.equal(second[many == 0], third[many == 0])


def test_a_weight_of_another_type_gets_the_same_values():
    single, mask = layer()
    double = single.double()
    for weight, own in ((single, mask), (double, mask.double())):
        redraw_pruned_(weight, own, FAN_IN, "ku", 0.5, redraw_stream(0, "a", 1))
    assert torch.equal(double, single.double())


def test_a_redraw_is_in_place_and_needs_no_gradient():
    weight, mask = layer()
    parameter = torch.nn.Parameter(weight)
    redraw_pruned_(parameter, mask, FAN_IN, "ku", 1.0, redraw_stream(0, "a", 1))
    assert parameter.grad_fn is None
    assert torch.equal(parameter, weight)


def test_every_event_of_every_layer_and_seed_has_its_own_stream():
    names = [(0, "a", 1), (1, "a", 1), (0, "b", 1), (0, "a", 2)]
    seeds = {redraw_stream(*name).initial_seed() for name in names}
    assert len(seeds) == len(names)
