from math import sqrt
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from carryover.core.block import Tensors
from carryover.core.rng import generator
from carryover.metaticket.methods import METHODS
from carryover.metaticket.roles import maskable, roles_of
from carryover.metaticket.settings import FewshotTraining
from carryover.metaticket.starts import draw_scores, draw_start, initial_threshold
from carryover.nets.episode import build_episode_net
from carryover.sparse.init import draw_weights
from carryover.sparse.masks import at_least
from carryover.sparse.prunable import prunable

MLP = {"kind": "episode-mlp", "hidden": [64, 32]}
NETS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "episode-mlp": (MLP, (1, 8, 8)),
    "conv4": ({"kind": "conv4", "channels": 16}, (3, 16, 16)),
    "resnet12": ({"kind": "resnet12", "channels": [8, 12, 16, 24]}, (3, 16, 16)),
    "wrn28": ({"kind": "wrn28", "width": 1}, (3, 8, 8)),
    "regressor": ({"kind": "regressor"}, (1,)),
}
EVERY_KIND = pytest.mark.parametrize("kind", NETS)


def made(kind: str, ways: int = 5, **more: Any) -> tuple[nn.Module, FewshotTraining]:
    net, shape = NETS[kind]
    base = {"dataset": "d", "net": net, "method": "metaticket", "outer_steps": 1}
    run = FewshotTraining.model_validate({**base, **more})
    return build_episode_net(run.net, shape, ways), run


def start_of(kind: str, seed: int = 1, **more: Any) -> Tensors:
    return draw_start(*made(kind, **more), seed)


def p_normal(values: Tensor, fan_in: int) -> float:
    return float(stats.kstest(values.flatten().numpy(), "norm", (0, sqrt(2 / fan_in))).pvalue)


def p_uniform(values: Tensor, bound: float) -> float:
    return float(stats.kstest(values.flatten().numpy(), "uniform", (-bound, 2 * bound)).pvalue)


@pytest.mark.parametrize("kind", ["episode-mlp", "conv4", "resnet12", "wrn28"])
def test_hidden_weights_are_kaiming_normal(kind: str):
    net, run = made(kind)
    start, roles, fan_in = draw_start(net, run, 1), roles_of(net), prunable(net)
    body = [name for name in fan_in if roles[name] == "body"]
    standard = torch.cat([start[name].flatten() * sqrt(fan_in[name]) for name in body])
    assert p_normal(standard, 1) > 1e-3
    assert all(p_normal(start[name], fan_in[name]) > 1e-4 for name in body)


@EVERY_KIND
def test_a_start_has_every_parameter_in_the_shape_of_the_net(kind: str):
    net, run = made(kind)
    start = draw_start(net, run, 1)
    assert {n: t.shape for n, t in start.items()} == {n: p.shape for n, p in net.named_parameters()}
    assert {tensor.dtype for tensor in start.values()} == {torch.float32}


@EVERY_KIND
def test_gains_start_at_one_and_shifts_at_zero(kind: str):
    net, run = made(kind)
    start = draw_start(net, run, 1)
    for name, role in roles_of(net).items():
        if role == "norm":
            assert torch.equal(start[name], torch.full_like(start[name], float(name.endswith("weight"))))


def test_the_perceptron_starts_without_biases_and_its_head_is_drawn_like_its_body():
    start = start_of("episode-mlp", ways=100)
    for name in ("fc1.bias", "fc2.bias", "classifier.bias"):
        assert not start[name].any()
    assert p_normal(start["classifier.weight"], 32) > 1e-3


@pytest.mark.parametrize(("kind", "fan_in"), [("conv4", 16), ("resnet12", 24), ("wrn28", 64)])
def test_heads_of_convolutional_nets_are_what_the_framework_draws(kind: str, fan_in: int):
    start = start_of(kind, ways=40)
    assert p_uniform(start["classifier.weight"], 1 / sqrt(fan_in)) > 1e-3
    assert p_uniform(start["classifier.bias"], 1 / sqrt(fan_in)) > 1e-3


@pytest.mark.parametrize("kind", ["conv4", "wrn28"])
def test_biases_of_convolutions_are_what_the_framework_draws(kind: str):
    net, run = made(kind)
    start, fan_in = draw_start(net, run, 1), prunable(net)
    biases = [name for name, role in roles_of(net).items() if role == "bias"]
    standard = [start[name] * sqrt(fan_in[name.removesuffix("bias") + "weight"]) for name in biases]
    assert p_uniform(torch.cat(standard), 1) > 1e-3


def test_the_sinusoids_net_is_the_frameworks_where_it_is_not_masked():
    start = start_of("regressor", ways=1, masked="inner")
    assert p_normal(start["fc2.weight"], 40) > 1e-3
    assert p_uniform(start["fc1.weight"], 1) > 1e-3
    assert p_uniform(start["fc1.bias"], 1) > 1e-3
    for name in ("fc2.bias", "fc3.weight", "fc3.bias"):
        assert p_uniform(start[name], 1 / sqrt(40)) > 1e-3


@EVERY_KIND
def test_every_method_starts_from_the_same_values(kind: str):
    starts = [
        start_of(kind, method=method, start="before" if method == "meta-lth" else None) for method in METHODS
    ]
    for other in starts[1:]:
        assert all(torch.equal(other[name], tensor) for name, tensor in starts[0].items())


@EVERY_KIND
def test_another_seed_draws_everything_anew_that_is_drawn(kind: str):
    net, run = made(kind)
    one, same, other = (draw_start(net, run, seed) for seed in (1, 1, 2))
    for name, role in roles_of(net).items():
        assert torch.equal(one[name], same[name])
        fixed = role == "norm" or (kind == "episode-mlp" and name.endswith("bias"))
        assert torch.equal(one[name], other[name]) == fixed


def test_a_start_does_not_depend_on_the_number_of_classes_but_for_the_head():
    few, many = start_of("conv4"), start_of("conv4", ways=20)
    assert {n for n in few if not torch.equal(few[n], many[n])} == {"classifier.weight", "classifier.bias"}


@EVERY_KIND
def test_drawing_leaves_torchs_global_generator_alone(kind: str):
    net, run = made(kind)
    before = torch.get_rng_state()
    draw_start(net, run, 1)
    draw_scores(net, run, 1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", ["episode-mlp", "resnet12", "wrn28"])
def test_constant_weights_are_one_positive_number_for_each_layer(kind: str):
    net, run = made(kind, weights="constant", masked="body+head")
    start = draw_start(net, run, 1)
    for name, fan_in in prunable(net).items():
        assert torch.equal(start[name], torch.full_like(start[name], sqrt(2 / fan_in)))


def test_only_masked_weights_have_the_runs_distribution():
    usual, other = start_of("resnet12"), start_of("resnet12", weights="sc")
    size = sqrt(2 / 27)
    assert set(other["block1.conv1.weight"].unique().tolist()) == {
        torch.tensor(s * size).item() for s in (-1, 1)
    }
    assert torch.equal(usual["classifier.weight"], other["classifier.weight"])
    assert torch.equal(usual["classifier.bias"], other["classifier.bias"])


@pytest.mark.parametrize("kind", ["resnet12", "wrn28", "conv4"])
def test_a_masked_head_is_drawn_like_the_other_masked_weights(kind: str):
    usual, pruned_out = (start_of(kind, ways=40, masked=masked) for masked in ("body", "body+head"))
    net, _ = made(kind, ways=40)
    assert p_normal(pruned_out["classifier.weight"], prunable(net)["classifier.weight"]) > 1e-3
    changed = {name for name in usual if not torch.equal(usual[name], pruned_out[name])}
    assert changed == {"classifier.weight"}


@EVERY_KIND
def test_scores_are_kaiming_uniform_whatever_the_weights_are(kind: str):
    net, run = made(kind, masked="inner" if kind == "regressor" else "body")
    fan_in = maskable(net, run)
    scores, thresholds = draw_scores(net, run, 1)
    assert scores.keys() == thresholds.keys() == fan_in.keys()
    assert all(scores[name].shape == net.get_parameter(name).shape for name in scores)
    standard = torch.cat([scores[name].flatten() * sqrt(fan_in[name] / 6) for name in scores])
    assert p_uniform(standard, 1) > 1e-3
    others, _ = draw_scores(*made(kind, masked=run.masked, weights="sc", method="metaticket-boil"), 1)
    assert all(torch.equal(others[name], scores[name]) for name in scores)


def test_scores_are_independent_of_weights():
    net, run = made("resnet12")
    start, (scores, _) = draw_start(net, run, 1), draw_scores(net, run, 1)
    name = "block4.conv3.weight"
    both = torch.stack([start[name].flatten(), scores[name].flatten()])
    assert torch.corrcoef(both)[0, 1].abs() < 4 / sqrt(both.shape[1])


@EVERY_KIND
def test_a_net_starts_dense_when_the_initial_sparsity_is_zero(kind: str):
    scores, thresholds = draw_scores(*made(kind), 1)
    for name, own in scores.items():
        assert thresholds[name] == own.min()
        assert at_least(own, thresholds[name]).all()


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.75, 0.9])
def test_every_layer_starts_at_the_initial_sparsity(sparsity: float):
    scores, thresholds = draw_scores(*made("resnet12", initial_sparsity=sparsity), 1)
    for name, own in scores.items():
        pruned = int((at_least(own, thresholds[name]) == 0).sum())
        tied = int((own == thresholds[name]).sum()) - 1
        assert 0 <= round(sparsity * (own.numel() - 1)) - pruned <= tied


@pytest.mark.parametrize(("sparsity", "pruned"), [(0.0, 0.0), (0.25, 0.25), (0.5, 0.5), (1.0, 0.75)])
def test_the_threshold_is_a_score_of_the_tensor_and_keeps_itself(sparsity: float, pruned: float):
    for scores in (torch.arange(1.0, 5.0), torch.tensor([[3.0, 1.0], [4.0, 2.0]])):
        threshold = initial_threshold(scores, sparsity)
        assert threshold in scores
        assert threshold.shape == ()
        assert 1 - at_least(scores, threshold).mean() == pruned


def test_the_rank_of_the_threshold_goes_to_the_even_neighbour():
    scores = torch.arange(6.0)
    assert [float(initial_threshold(scores, p)) for p in (0.1, 0.3, 0.5, 0.7)] == [0, 2, 2, 4]


def test_the_threshold_is_not_a_part_of_the_scores():
    scores = torch.arange(4.0)
    threshold = initial_threshold(scores, 0.0)
    scores += 1
    assert threshold == 0


def test_a_net_without_layers_to_mask_is_refused():
    net, run = made("episode-mlp", net={"kind": "episode-mlp", "hidden": [8]}, masked="inner")
    net = build_episode_net(run.net, (1, 8, 8), 5)
    with pytest.raises(ValueError, match="masked: inner leaves no weight of episode-mlp to mask"):
        draw_scores(net, run, 1)
    dense = run.model_copy(update={"method": "maml"})
    assert draw_start(net, dense, 1)["fc1.weight"].std().item() == pytest.approx(sqrt(2 / 64), rel=0.1)


def test_weights_come_from_the_stream_of_their_own_name():
    """A redraw of pruned weights and a change of another layer leave the draw of a layer as it is."""
    start = start_of("episode-mlp")
    own = draw_weights("kn", (64, 64), 64, generator(1, "weights", "fc1.weight"))
    assert torch.equal(start["fc1.weight"], own)
