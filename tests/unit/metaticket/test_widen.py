import pytest
import torch
from torch.func import functional_call

from carryover.core import rng
from carryover.core.block import placed
from carryover.data.tasks import Tasks, one_by_one
from carryover.metaticket.adapt import adapt, graph_gradient
from carryover.metaticket.batching import Batching, after_steps
from carryover.metaticket.network import Network
from carryover.metaticket.settings import FewshotTraining, WidenSettings
from carryover.metaticket.widen import widened
from carryover.nets.episode import build_episode_net
from carryover.stages.train_fewshot import draw_learner

FP64 = torch.zeros((), dtype=torch.float64)
MLP = {"kind": "episode-mlp", "hidden": [9, 8, 7]}
CONV4 = {"kind": "conv4", "channels": 4}
SHAPES = {"episode-mlp": (1, 4, 4), "conv4": (2, 32, 32)}
WAYS = 3
every_net = pytest.mark.parametrize("net", [MLP, CONV4], ids=["mlp", "conv4"])


def base_of(net, **changes):
    """Draw a net of ANIL in double precision, with gains and shifts that are not 1 and 0."""
    values = {"dataset": "d", "method": "anil", "ways": WAYS, "outer_steps": 1, **changes}
    run = FewshotTraining.model_validate({"net": net, **values})
    built = build_episode_net(run.net, SHAPES[run.net.kind], WAYS, norm=run.norm != "none")
    network = Network(built.requires_grad_(False), run.norm)
    learner = draw_learner(network, run, 5, None, FP64)
    for name, tensor in learner.weights.items():
        if not name.endswith("weight") or tensor.ndim == 1:
            tensor += 0.1 * torch.rand(tensor.shape, generator=rng.generator(0, "test widen", name))
    return network, learner


def tasks_for(net, num=2):
    draw = rng.generator(0, "test widen", "tasks")
    labels = torch.arange(WAYS).repeat_interleave(2).expand(num, -1)
    x, y = (
        torch.randn(num, 2 * WAYS, *SHAPES[net["kind"]], generator=draw, dtype=FP64.dtype) for _ in range(2)
    )
    return Tasks(x, labels, y, labels)


def path(network, start, rates, task, num_steps):
    gradient = graph_gradient(second=False)
    return list(
        adapt(
            lambda own: network.support_loss(own, task),
            start,
            rates,
            num_steps,
            derivatives="none",
            gradient=gradient,
        )
    )


@every_net
@pytest.mark.parametrize("layers", [None, (0,), (1, 2), (2,), ()])
@pytest.mark.parametrize("norm", ["transductive", "support", "none"])
def test_a_widened_net_begins_as_its_base_exactly(net, layers, norm):
    network, learner = base_of(net, norm=norm)
    wide, start, _ = widened(network, learner, WidenSettings(units=6, layers=layers), 1)
    for task in one_by_one(tasks_for(net)):
        assert torch.equal(wide.query_outputs(start, task), network.query_outputs(learner.weights, task))


@every_net
@pytest.mark.parametrize("train_head", [True, False])
def test_the_base_is_bit_identical_after_adaptation(net, train_head):
    network, learner = base_of(net)
    wide, start, rates = widened(network, learner, WidenSettings(units=6, train_head=train_head), 1)
    moving = {"base.classifier.bias", *(["base.classifier.weight"] if train_head else [])}
    assert {name for name in rates if name.startswith("base.")} == moving
    for task in one_by_one(tasks_for(net)):
        *_, adapted = path(wide, start, rates, task, 3)
        for name, before in learner.weights.items():
            assert torch.equal(adapted[f"base.{name}"], before) == (f"base.{name}" not in moving), name
        assert not any(torch.equal(adapted[name], start[name]) for name in rates)


@every_net
def test_the_first_step_moves_no_features_and_the_second_does(net):
    network, learner = base_of(net)
    wide, start, rates = widened(network, learner, WidenSettings(units=6), 1)
    before, first, second = path(wide, start, rates, next(one_by_one(tasks_for(net))), 2)
    inside = [name for name in rates if name.startswith("added.")]
    assert inside
    assert all(torch.equal(before[name], first[name]) for name in inside)
    assert not any(torch.equal(first[name], second[name]) for name in inside)
    assert not first["outgoing.weight"].eq(before["outgoing.weight"]).any()


@every_net
def test_no_units_are_anil_testing(net):
    network, learner = base_of(net)
    head = {name: 0.3 for name, role in learner.roles.items() if role == "head"}
    own = widened(network, learner, WidenSettings(layers=(), lr=0.3), 1)
    for ours, anil in zip(
        after_steps(*own, tasks_for(net), [0, 1, 4], Batching()),
        after_steps(network, learner.weights, head, tasks_for(net), [0, 1, 4], Batching()),
        strict=True,
    ):
        assert torch.equal(ours, anil)


def test_new_units_compute_what_the_paper_says():
    network, learner = base_of(MLP)
    wide, start, _ = widened(network, learner, WidenSettings(units=5), 1)
    draw = rng.generator(0, "test widen", "all")
    own = {name: torch.randn(t.shape, generator=draw, dtype=t.dtype) for name, t in start.items()}
    x = tasks_for(MLP).query_x[0]

    def layer(inputs, weight, norm, bias=0.0):
        before = inputs @ own[weight].T + bias
        centred = before - before.mean(0)
        unit = centred / (centred.square().mean(0) + 1e-3).sqrt()
        return torch.relu(unit * own[f"{norm}.weight"] + own[f"{norm}.bias"])

    h, a = x.flatten(1), torch.zeros(len(x), 0, dtype=x.dtype)
    for number in (1, 2, 3):
        new = layer(
            torch.cat([h, a], 1), f"added.{number - 1}.fc{number}.weight", f"added.{number - 1}.norm{number}"
        )
        h = layer(h, f"base.fc{number}.weight", f"base.norm{number}", own[f"base.fc{number}.bias"])
        a = new
    logits = h @ own["base.classifier.weight"].T + own["base.classifier.bias"] + a @ own["outgoing.weight"].T
    torch.testing.assert_close(functional_call(wide.net, own, (x,)), logits, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("layers", "new"), [((0, 1, 2, 3), (2, 7, 7, 7)), ((0, 2), (2, 7)), ((1,), (4,))])
def test_new_convolutions_see_the_old_channels_and_the_new_ones_before_them(layers, new):
    network, learner = base_of(CONV4)
    _, start, rates = widened(network, learner, WidenSettings(units=3, layers=layers), 1)
    shapes = {name: tuple(t.shape) for name, t in start.items() if name.startswith("added.") and t.ndim > 1}
    assert list(shapes.values()) == [(3, channels, 3, 3) for channels in new]
    assert start["outgoing.weight"].shape == (WAYS, 3 * 2 * 2)
    assert "outgoing.weight" in rates


def test_units_of_the_first_layer_alone_still_reach_the_classifier():
    for net in (MLP, CONV4):
        network, learner = base_of(net)
        wide, start, rates = widened(network, learner, WidenSettings(units=3, layers=(0,)), 1)
        task = next(one_by_one(tasks_for(net)))
        *_, adapted = path(wide, start, rates, task, 2)
        weight = next(name for name in start if name.startswith("added.0.") and start[name].ndim > 1)
        assert not torch.equal(adapted[weight], start[weight])


def test_biases_are_added_only_where_nothing_normalises():
    for norm, has_bias in (("transductive", False), ("none", True)):
        network, learner = base_of(MLP, norm=norm)
        _, start, _ = widened(network, learner, WidenSettings(units=3), 1)
        assert ("added.0.fc1.bias" in start) == has_bias


def test_new_weights_are_those_of_their_stream_and_kaiming_normal():
    network, learner = base_of(MLP)
    before = torch.random.get_rng_state()
    first, again, other = (
        widened(network, learner, WidenSettings(units=4000), seed)[1] for seed in (1, 1, 2)
    )
    assert torch.equal(before, torch.random.get_rng_state())
    for layer, fan_in in (("added.0.fc1", 16), ("added.2.fc3", 8 + 4000)):
        name = f"{layer}.weight"
        assert torch.equal(first[name], again[name])
        assert not torch.equal(first[name], other[name])
        assert first[name].square().mean().item() == pytest.approx(2 / fan_in, rel=0.03)


def test_a_masked_classifier_stays_masked():
    network, learner = base_of(
        MLP, method="metaticket", masked="body+head", initial_sparsity=0.5, outer_steps=1
    )
    wide, start, rates = widened(network, learner, WidenSettings(units=4), 1)
    pruned = learner.masks()["classifier.weight"] == 0
    *_, adapted = path(wide, start, rates, next(one_by_one(tasks_for(MLP))), 3)
    assert pruned.any()
    assert not adapted["base.classifier.weight"][pruned].any()
    assert torch.equal(
        adapted["base.fc1.weight"], learner.masks()["fc1.weight"] * learner.weights["fc1.weight"]
    )


@every_net
def test_the_loop_and_vmap_agree_on_a_widened_net(net):
    network, learner = base_of(net)
    own = widened(network, learner, WidenSettings(units=6), 1)
    tasks = tasks_for(net, num=3)
    for loop, together in zip(
        after_steps(*own, tasks, [0, 1, 3], Batching("loop")),
        after_steps(*own, tasks, [0, 1, 3], Batching("vmap")),
        strict=True,
    ):
        torch.testing.assert_close(loop, together, rtol=0, atol=1e-10)


def test_residual_nets_and_layers_that_are_not_there_are_refused():
    network, learner = base_of(MLP)
    with pytest.raises(ValueError, match=r"widen\.layers: the net has 3 hidden layers, 0 to 2: got 3"):
        widened(network, learner, WidenSettings(layers=(1, 3)), 1)
    run = FewshotTraining(
        dataset="d", net={"kind": "resnet12", "channels": [2, 2, 2, 2]}, method="anil", outer_steps=1
    )
    residual = Network(build_episode_net(run.net, (1, 16, 16), 5))
    learner = draw_learner(residual, run, 0, None, torch.zeros(()))
    with pytest.raises(ValueError, match=r"plain sequences of layers \(episode-mlp, conv4\)"):
        widened(residual, learner, WidenSettings(), 1)


def test_a_widened_net_is_on_the_device_and_in_the_precision_of_its_base():
    network, learner = base_of(MLP)
    learner.weights = placed(learner.weights, torch.zeros((), dtype=torch.float32))
    _, start, _ = widened(network, learner, WidenSettings(), 1)
    assert {tensor.dtype for tensor in start.values()} == {torch.float32}
