import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from carryover.core import rng
from carryover.data.tasks import Tasks
from carryover.metaticket.batching import Batching, after_steps
from carryover.metaticket.network import Network
from carryover.metaticket.own import AT_ONCE, Options, TrainedNet, adapt
from carryover.metaticket.settings import FewshotTraining
from carryover.nets.episode import build_episode_net
from carryover.stages._fewshot import tensors_of
from carryover.stages.train_fewshot import draw_learner

FP64 = torch.zeros((), dtype=torch.float64)
MLP = {"kind": "episode-mlp", "hidden": [9, 7]}
SHAPE, WAYS = (1, 4, 4), 3
WORDS = ["ant", "bee", "cow"]


def trained(method="metaticket", **changes):
    """A net as a file keeps it, without any training."""
    values = {"dataset": "d", "method": method, "ways": WAYS, "outer_steps": 1, "inner_steps": 2, **changes}
    run = FewshotTraining.model_validate({"net": MLP, **values})
    shape, outputs = ((1,), 1) if run.net.kind == "regressor" else (SHAPE, WAYS)
    net = build_episode_net(run.net, shape, outputs, norm=run.norm != "none")
    learner = draw_learner(Network(net, run.norm), run, 5, None, FP64)
    return TrainedNet(run, 5, shape, tensors_of(learner)), Network(net, run.norm), learner


def drawn(*shape, stream="x"):
    return torch.randn(shape, generator=rng.generator(0, "test own", stream), dtype=torch.float64)


def examples(ways=WAYS, shots=4, queries=9):
    return (
        drawn(ways * shots, *SHAPE),
        torch.arange(ways).repeat_interleave(shots),
        drawn(queries, *SHAPE, stream="y"),
    )


def own_net(norm):
    """A module of one's own, with a norm of some kind."""
    layers = nn.Conv2d(1, 6, 3), norm, nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(24, WAYS)
    net = nn.Sequential(*layers).double()
    for name, own in net.state_dict().items():
        if own.is_floating_point():
            own.copy_(0.5 * torch.randn(own.shape, generator=rng.generator(1, "test own", name)).abs())
    return net


@pytest.mark.parametrize("method", ["metaticket", "metaticket-boil", "maml", "random"])
@pytest.mark.parametrize("transductive", [True, False])
def test_a_trained_net_predicts_as_a_test_of_its_study_does(method, transductive):
    model, network, learner = trained(method, norm="transductive" if transductive else "support")
    x, y, query = examples()
    labels = torch.arange(9) % WAYS
    start, rates = learner.parametrise()
    _, accuracy = after_steps(
        network, start, rates, Tasks(*(part[None] for part in (x, y, query, labels))), [2], Batching()
    )
    predictor = adapt(model, x, y, Options(transductive=transductive))
    assert predictor.accuracy(query, labels) == pytest.approx(accuracy.item(), abs=1e-15)
    assert (predictor.steps, predictor.norm) == (2, "transductive" if transductive else "support")


def test_adding_a_query_does_not_change_the_others():
    x, y, query = examples()
    for model in (
        trained()[0],
        own_net(nn.BatchNorm2d(6, track_running_stats=False)),
        own_net(nn.BatchNorm2d(6)),
    ):
        predictor = adapt(model, x, y, Options(steps=2, lr=0.1))
        every = predictor.outputs(query)
        each = torch.cat([predictor.outputs(one[None]) for one in query])
        torch.testing.assert_close(each, every, rtol=0, atol=1e-12)
        many = predictor.outputs(query[:1].repeat(AT_ONCE + 1, 1, 1, 1))
        torch.testing.assert_close(many, every[:1].expand_as(many), rtol=0, atol=1e-12)


def test_transductive_predictions_depend_on_what_else_is_asked_and_say_so():
    x, y, query = examples()
    for model in (trained()[0], own_net(nn.BatchNorm2d(6, track_running_stats=False))):
        predictor = adapt(model, x, y, Options(steps=2, lr=0.1, transductive=True))
        assert predictor.norm == "transductive"
        assert (predictor.outputs(query)[:5] - predictor.outputs(query[:5])).abs().max() > 1e-3


def test_classes_are_words_or_numbers_in_their_order():
    model = trained()[0]
    x, y, query = examples()
    order = torch.randperm(len(y), generator=rng.generator(0, "test own", "order"))
    numbers = adapt(model, x, 10 * y + 3)
    words = adapt(model, x[order], [WORDS[label] for label in y[order]])
    assert (numbers.classes, words.classes) == ((3, 13, 23), tuple(WORDS))
    torch.testing.assert_close(numbers.outputs(query), words.outputs(query), rtol=0, atol=1e-12)
    named = [WORDS[(label - 3) // 10] for label in numbers.classify(query)]
    assert words.classify(query) == named
    assert words.accuracy(query, named) == 1
    probabilities = words.probabilities(query)
    assert [WORDS[label] for label in probabilities.argmax(-1).tolist()] == named
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(9).double())


@pytest.mark.parametrize("method", ["metaticket", "metaticket-boil", "random"])
@pytest.mark.parametrize("ways", [2, 5])
@pytest.mark.parametrize("masked", ["body", "inner"])
def test_a_random_classifier_is_drawn_anew_for_other_ways(method, masked, ways):
    model, _, learner = trained(method, masked=masked)
    _, other = model.opened(ways, FP64)
    assert other.weights["classifier.weight"].shape == (ways, 7)
    assert torch.equal(other.weights["fc2.weight"], learner.weights["fc2.weight"])
    x, y, query = examples(ways)
    assert adapt(model, x, y).outputs(query).shape == (9, ways)
    assert torch.equal(
        model.opened(ways, FP64)[1].weights["classifier.weight"], other.weights["classifier.weight"]
    )


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("maml", {}),
        ("boil", {}),
        ("metaticket", {"masked": "body+head"}),
        ("metaticket", {"auxiliary_lr": 0.1}),
    ],
)
def test_a_learned_classifier_has_the_ways_of_its_training(method, more):
    x, y, query = examples(4)
    model = trained(method, **more)[0]
    with pytest.raises(
        ValueError, match=rf"{method} has learned a classifier of 3 ways, and the support has 4"
    ):
        adapt(model, x, y)
    assert adapt(model, *examples()[:2]).outputs(query).shape == (9, WAYS)


@pytest.mark.parametrize("more", [{"masked": "body+head"}, {"auxiliary_lr": 0.1}])
def test_a_random_network_learns_no_classifier_whatever_it_is_set_to(more):
    model, _, _ = trained("random", **more)
    x, y, query = examples(4)
    assert adapt(model, x, y).outputs(query).shape == (9, 4)


def test_classes_may_have_different_numbers_of_examples():
    x, y, query = examples()
    kept = torch.tensor([0, 4, 5, 8, 9, 10])
    predictor = adapt(trained()[0], x[kept], y[kept])
    assert predictor.outputs(query).isfinite().all()


def test_steps_rate_and_roles_are_those_of_the_training_or_those_that_are_given():
    model, _, learner = trained(inner_steps=2, val_steps=4, inner_lr=0.2, inner_lrs={"head": 0.1})
    x, y, _ = examples()
    assert adapt(model, x, y).steps == 4
    start, rates = learner.parametrise()

    def after_one(options):
        parameters = adapt(model, x, y, options).parameters
        return {name: parameters[name] - start[name] for name in start}

    default, double = after_one(Options(steps=1)), after_one(Options(steps=1, lr=0.4))
    for name in rates:
        torch.testing.assert_close(double[name], 2 * default[name], rtol=0, atol=1e-14)
    head = after_one(Options(steps=1, roles=("head",)))
    for name, role in learner.roles.items():
        assert torch.equal(head[name], default[name] if role == "head" else torch.zeros_like(head[name]))


def test_pruned_weights_stay_pruned():
    model, _, learner = trained(initial_sparsity=0.5)
    parameters = adapt(model, *examples()[:2]).parameters
    for name, mask in learner.masks().items():
        assert (mask == 0).any()
        assert not parameters[name][mask == 0].any()


def test_one_step_on_a_module_of_ones_own_is_gradient_descent():
    net = own_net(nn.GroupNorm(2, 6))
    x, y, query = examples()
    before = copy.deepcopy(net.state_dict())
    predictor = adapt(net, x, y, Options(lr=0.1))
    assert (predictor.norm, predictor.steps, predictor.classes) == ("none", 1, (0, 1, 2))
    assert net.training
    assert all(torch.equal(own, before[name]) for name, own in net.state_dict().items())
    assert all(parameter.requires_grad for parameter in net.parameters())
    net.eval()
    F.cross_entropy(net(x), y).backward()
    for parameter in net.parameters():
        parameter.data -= 0.1 * parameter.grad
    torch.testing.assert_close(predictor.outputs(query), net(query).detach(), rtol=0, atol=1e-13)


def test_a_module_keeps_running_statistics_and_others_have_those_of_the_support():
    x, y, query = examples()
    running = own_net(nn.BatchNorm2d(6))
    assert adapt(running, x, y, Options(lr=0.1)).norm == "none"
    affine, plain = (
        own_net(nn.BatchNorm2d(6, affine=own, track_running_stats=False)) for own in (True, False)
    )
    for net in (affine, plain):
        predictor = adapt(net, x, y, Options(lr=1e-9))
        assert predictor.norm == "support"
        net.eval()
        torch.testing.assert_close(predictor.outputs(x[:2]), net(x)[:2].detach(), rtol=0, atol=1e-6)
        assert predictor.outputs(query).isfinite().all()
    assert torch.equal(
        predictor.parameters["1.weight"], torch.ones(6).double()
    )  # a norm without gain gets none


def test_a_regression_net_predicts_numbers():
    run = {"net": {"kind": "regressor", "hidden": 5}, "ways": 1, "inner_steps": 5, "inner_lr": 0.01}
    model = trained("maml", **run)[0]
    x, query = drawn(8, 1), drawn(3, 1, stream="y")
    predictor = adapt(model, x, x.sin())
    assert (predictor.classes, predictor.norm, predictor.steps) == ((), "none", 5)
    assert predictor.outputs(query).shape == (3, 1)
    losses = [F.mse_loss(adapt(model, x, x.sin(), Options(steps=n)).outputs(x), x.sin()) for n in (1, 20)]
    assert losses[1] < losses[0]


@pytest.mark.parametrize("target", [(), (2,)])
def test_numbers_to_predict_have_the_shape_of_what_the_net_predicts(target):
    run = {"net": {"kind": "regressor", "hidden": 5}, "ways": 1, "inner_lr": 0.01}
    model, x = trained("maml", **run)[0], drawn(8, 1)
    with pytest.raises(
        ValueError, match=r"predicts numbers of shape \(8, 1\), and the labels have the shape \(8,"
    ):
        adapt(model, x, torch.zeros(8, *target).double())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_pixels_that_are_not_prepared_are_refused(dtype):
    x, y, query = examples()
    for model, options in ((trained()[0], Options()), (own_net(nn.BatchNorm2d(6)), Options(lr=0.1))):
        with pytest.raises(
            ValueError, match=r"the support has whole numbers .*: prepare images as the net takes"
        ):
            adapt(model, x.to(dtype), y, options)
        with pytest.raises(
            ValueError, match=r"the query has whole numbers .*: prepare images as the net takes"
        ):
            adapt(model, x, y, options).classify(query.to(dtype))


def test_nothing_that_was_derived_is_kept():
    predictor = adapt(trained()[0], *examples()[:2])
    assert not any(t.requires_grad or t.grad_fn for t in predictor.parameters.values())
    assert not predictor.outputs(examples()[2]).requires_grad


def test_what_does_not_fit_is_refused():
    model, net = trained()[0], own_net(nn.GroupNorm(2, 6))
    x, y, _ = examples()
    options = Options(lr=0.1)
    for words, call in {
        r"the support has 12 examples and 11 labels": lambda: adapt(model, x, y[1:]),
        r"the support has one class": lambda: adapt(model, x, [1] * 12),
        r"labels are words or whole numbers": lambda: adapt(model, x, y.double()),
        r"labels are words or whole numbers, all of one kind": lambda: adapt(model, x, ["a", 1] * 6),
        r"the net takes examples of shape \(1, 4, 4\): got \(1, 5, 4\)": lambda: adapt(
            model, drawn(12, 1, 5, 4), y
        ),
        r"lr: a module of your own": lambda: adapt(net, x, y),
        r"4 classes and the net gives an output of shape \(3,\)": lambda: adapt(
            net, x, torch.arange(12) % 4, options
        ),
        r"transductive: nothing in this net": lambda: adapt(net, x, y, Options(lr=0.1, transductive=True)),
        r"a classifier is a linear layer": lambda: adapt(nn.Flatten(), x, y, options),
    }.items():
        with pytest.raises(ValueError, match=words):
            call()
