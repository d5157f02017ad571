import pytest
import torch
from torch import nn
from torch.nn import functional as F

from carryover.core.block import cross_entropy
from carryover.core.rng import generator
from carryover.iterand.tickets import mask_rule
from carryover.sparse.init import draw_weights
from carryover.sparse.layers import masked, popup_scores
from carryover.sparse.masks import MaskRule

BN = {"kind": "resnet", "depth": 18, "width": 1 / 64, "stem": "cifar"}
CONV = {"kind": "conv", "depth": 2, "width": 1 / 32}


def test_a_net_has_its_weights_and_scores_whatever_its_block_method_and_sparsity(lab):
    drawn = [
        (lab.draw(lab.run(net=CONV), (0, 1, 2, 3, 4)), 3),
        (lab.draw(lab.run(net=CONV, sparsity=0.9, randomize_every=7), (3,)), 0),
        (lab.draw(lab.run("popup", net=CONV), (5, 3)), 1),
    ]
    first, index = drawn[0]
    for other, place in drawn[1:]:
        for name in first.weights:
            assert torch.equal(first.weights[name][index], other.weights[name][place])
            assert torch.equal(first.scores[name][index], other.scores[name][place])


def test_weight_training_starts_from_the_weights_of_the_tickets(lab):
    dense, tickets = lab.draw(lab.run("dense", net=CONV), (2,)), lab.draw(lab.run(net=CONV), (1, 2))
    for name, weight in tickets.weights.items():
        assert torch.equal(dense.parameters[name][0], weight[1])


def test_every_layer_of_every_seed_has_a_stream_of_its_own(lab):
    tickets = lab.draw(lab.run(net={"kind": "mlp", "hidden": [8, 8, 8]}), (0, 1))
    everything = [*tickets.weights["fc2.weight"], *tickets.weights["fc3.weight"]]
    everything += [*tickets.scores["fc2.weight"], *tickets.scores["fc3.weight"]]
    for index, one in enumerate(everything):
        assert not any(torch.equal(one, other) for other in everything[:index])


def test_weights_and_scores_have_the_distributions_of_the_run(lab):
    tickets = lab.draw(lab.run(weights="sc", scores="hidden"), (0,))
    name, fan_in = "fc1.weight", 36
    assert tickets.fan_in[name] == fan_in
    shape = tickets.weights[name][0].shape
    expected = draw_weights("sc", shape, fan_in, generator(0, "weights", name))
    assert torch.equal(tickets.weights[name][0], expected)
    expected = draw_weights("hidden", shape, fan_in, generator(0, "scores", name))
    assert torch.equal(tickets.scores[name][0], expected)


def test_a_double_net_has_the_values_of_the_single_one(lab):
    double = lab.draw(lab.run(), (0,), torch.zeros((), dtype=torch.float64))
    for name, weight in lab.draw(lab.run(), (0,)).weights.items():
        assert torch.equal(double.weights[name], weight.double())


def test_parameters_that_would_stay_untrained_are_refused(lab):
    run = lab.run("dense", net=BN)
    with pytest.raises(ValueError, match=r"norm\.weight.*affine=False"):
        lab.draw(lab.run(net=BN), (0,), net=lab.net(run))


def test_any_net_can_be_drawn(lab):
    net = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.Tanh(), nn.Flatten(), nn.Linear(32, 3, bias=False))
    trained = lab.train(lab.run(), net=net)
    assert set(trained.block.weights) == {"0.weight", "3.weight"}
    assert trained.rows(0)[-1][1] == "num_kept"


@pytest.mark.parametrize("settings", [{}, {"net": CONV, "weights": "sc"}, {"net": BN, "rank": "absolute"}])
def test_a_masked_net_of_the_same_seed_is_that_ticket(lab, settings):
    run = lab.run(**settings)
    tickets = lab.draw(run, (5,))
    net = masked(lab.net(run), mask_rule(run), 5, weights=run.weights, scores=run.scores)
    for scores in tickets.scores.values():
        scores.requires_grad_(True)
    images = torch.randn(4, *lab.image_shape, generator=generator(0, "x"))
    labels = torch.tensor([0, 1, 2, 0])
    for name, weight in tickets.subnetworks().items():
        assert torch.equal(weight[0], net.get_submodule(name.removesuffix(".weight")).weight)
    ours, theirs = tickets.logits(images[None]), net.train()(images)
    assert torch.allclose(ours[0], theirs, rtol=1e-5, atol=1e-5)
    cross_entropy(ours, labels[None]).sum().backward()
    F.cross_entropy(theirs, labels).backward()
    popup = popup_scores(net)
    assert list(popup) == list(tickets.scores)
    for name, scores in tickets.scores.items():
        assert torch.allclose(scores.grad[0], popup[name].grad, rtol=1e-4, atol=1e-5)
        assert torch.equal(scores[0], popup[name])


def test_predictions_hold_the_masks_of_the_moment(lab):
    tickets = lab.draw(lab.run(net=BN), (0, 1))
    images = torch.randn(2, 4, *lab.image_shape, generator=generator(0, "x"))
    predict = tickets.predictor()
    logits = predict(images)
    tickets.scores["head.weight"].neg_()
    assert torch.equal(predict(images), logits)
    assert not torch.equal(tickets.predictor()(images), logits)


def test_evaluation_leaves_batch_norm_statistics_alone(lab):
    tickets = lab.draw(lab.run(net=BN), (0,))
    images = torch.randn(1, 4, *lab.image_shape, generator=generator(0, "x"))
    before = {name: tensor.clone() for name, tensor in tickets.others.items()}
    tickets.predictor()(images)
    assert all(torch.equal(before[name], tensor) for name, tensor in tickets.others.items())
    tickets.logits(images)
    assert not torch.equal(before["stem.norm.running_mean"], tickets.others["stem.norm.running_mean"])


@pytest.mark.parametrize(("settings", "kept"), [({}, 0.5), ({"sparsity": 0.7, "scope": "global"}, 0.3)])
def test_the_numbers_of_weights_and_of_kept_weights_are_recorded_at_the_end(lab, settings, kept):
    trained = lab.train(lab.run("popup", **settings))
    num_weights = 36 * 9 + 9 * 8 + 8 * 3
    assert trained.rows(1)[-2:] == [
        ("none", "num_weights", 20, float(num_weights)),
        ("none", "num_kept", 20, float(num_weights * kept)),
    ]


def test_the_mask_rule_is_that_of_the_run(lab):
    run = lab.run(sparsity=0.3, rank="absolute", scope="global", keep_rule="authors")
    assert mask_rule(run) == MaskRule(0.3, "absolute", "global", "authors")


def test_a_global_mask_too_small_for_its_layers_is_refused_by_name(lab):
    with pytest.raises(
        ValueError, match=r"sparsity 0\.999 with scope 'global' keeps 1 weights, fewer than the 3"
    ):
        lab.train(lab.run("popup", sparsity=0.999, scope="global"))
