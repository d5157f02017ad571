"""`masked(net)` makes a ticket of any module, and the engine's own."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from carryover.core.rng import generator
from carryover.sparse.init import draw_weights
from carryover.sparse.layers import masked, popup_scores
from carryover.sparse.masks import MaskRule, keep_top
from carryover.sparse.prunable import prunable

RULE = MaskRule(0.6)
LAYERS = {
    "linear": (lambda: nn.Linear(6, 5), (2, 6), 6),
    "bilinear in time": (lambda: nn.Linear(6, 5, bias=False), (2, 3, 6), 6),
    "conv1d": (lambda: nn.Conv1d(4, 5, 3), (2, 4, 7), 12),
    "conv2d": (lambda: nn.Conv2d(4, 5, (3, 2), padding=1), (2, 4, 6, 6), 24),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2), (2, 2, 3, 3, 3), 16),
    "grouped": (lambda: nn.Conv2d(4, 6, 3, groups=2), (2, 4, 5, 5), 18),
    "depthwise": (lambda: nn.Conv2d(4, 4, 3, groups=4, bias=False), (2, 4, 5, 5), 9),
    "transposed1d": (lambda: nn.ConvTranspose1d(4, 5, 3), (2, 4, 7), 12),
    "transposed2d": (lambda: nn.ConvTranspose2d(4, 6, 3), (2, 4, 5, 5), 36),
    "transposed3d": (lambda: nn.ConvTranspose3d(2, 3, 2), (2, 2, 3, 3, 3), 16),
    "transposed grouped": (lambda: nn.ConvTranspose2d(4, 6, 3, groups=2), (2, 4, 5, 5), 18),
}


class Nested(nn.Module):
    """A net with layers at several depths, a list, and parameters that no mask prunes."""

    def __init__(self):
        super().__init__()
        self.body = nn.ModuleList([nn.Sequential(nn.Conv1d(3, 4, 2), nn.ReLU()), nn.LayerNorm(5)])
        self.gain = nn.Parameter(torch.tensor(2.0))
        self.head = nn.Linear(20, 3)

    def forward(self, x):
        for part in self.body:
            x = part(x)
        return self.gain * self.head(x.flatten(1))


@pytest.mark.parametrize("layer", LAYERS)
def test_any_linear_or_convolution_layer_is_masked(layer):
    make, shape, fan_in = LAYERS[layer]
    net = make()
    assert prunable(net) == {"weight": fan_in}
    size, weight_shape = net.weight.numel(), net.weight.shape
    assert masked(net, RULE, seed=3) is net
    drawn = draw_weights("ku", weight_shape, fan_in, generator(3, "weights", "weight"))
    scores = draw_weights("ku", weight_shape, fan_in, generator(3, "scores", "weight"))
    assert torch.equal(net.weight, drawn * keep_top(scores, 0.6))
    assert (net.weight != 0).sum() == size - int(0.6 * size)
    plain = make().requires_grad_(False)
    plain.weight.copy_(net.weight)
    if plain.bias is not None:
        plain.bias.zero_()
    x = torch.randn(shape, generator=generator(0, "x"))
    out = net(x)
    assert torch.equal(out, plain(x))
    out.square().sum().backward()
    (popup,) = popup_scores(net).values()
    assert popup.grad[net.weight == 0].any()


def test_the_fan_in_counts_the_products_that_one_output_sums():
    """With stride 1, away from the border, an input of ones and weights of ones show it."""
    for make, shape, fan_in in LAYERS.values():
        net = make().requires_grad_(False)
        net.weight.fill_(1)
        if net.bias is not None:
            net.bias.zero_()
        shape = shape if isinstance(net, nn.Linear) else (*shape[:2], *[9] * (len(shape) - 2))
        assert net(torch.ones(shape)).max() == fan_in


def test_nested_layers_are_found_and_everything_else_is_frozen_as_it_is():
    net = masked(Nested(), RULE, seed=0)
    assert list(popup_scores(net)) == ["body.0.0.weight", "head.weight"]
    trainable = {id(p) for p in net.parameters() if p.requires_grad}
    assert trainable == {id(s) for s in popup_scores(net).values()}
    assert net.gain == 2
    assert (net.body[1].weight == 1).all()
    assert not net.head.bias.any()


def test_a_net_in_a_net_keeps_the_names_of_its_layers():
    assert list(prunable(nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(2, 2))))) == ["1.0.weight"]


def test_training_moves_the_scores_and_nothing_else():
    net = masked(Nested(), RULE, seed=0)
    before = deepcopy(net.state_dict())
    optimizer = torch.optim.SGD(popup_scores(net).values(), lr=10.0)
    x = torch.randn(4, 3, 6, generator=generator(0, "x"))
    loss = nn.functional.cross_entropy(net(x), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    optimizer.step()
    changed = {n for n, t in net.state_dict().items() if not torch.equal(t, before[n])}
    assert changed == {n for n in before if n.endswith("scores")}


def test_a_masked_net_is_copied_saved_and_loaded():
    net = masked(Nested(), RULE, seed=0)
    x = torch.randn(4, 3, 6, generator=generator(0, "x"))
    copy = deepcopy(net)
    with torch.no_grad():
        popup_scores(copy)["head.weight"].neg_()
    assert not torch.equal(copy(x), net(x))  # its scores are its own
    other = masked(Nested(), RULE, seed=1)
    assert not torch.equal(other(x), net(x))
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(x), net(x))


def test_removing_the_parametrizations_leaves_a_plain_net():
    net = masked(Nested(), RULE, seed=0)
    x = torch.randn(4, 3, 6, generator=generator(0, "x"))
    expected = net(x)
    for layer in (net.body[0][0], net.head):
        parametrize.remove_parametrizations(layer, "weight")
    assert type(net.head) is nn.Linear
    assert not popup_scores(net)
    assert net.state_dict().keys() == Nested().state_dict().keys()
    assert torch.equal(net(x), expected)


def test_other_distributions_and_absolute_ranks_are_a_choice():
    net = masked(nn.Linear(50, 20), MaskRule(0.5, rank="absolute"), 0, weights="sc", scores="hidden")
    (scores,) = popup_scores(net).values()
    kept = net.weight != 0
    assert scores[kept].abs().min() > scores[~kept].abs().max()
    assert len(net.weight[kept].abs().unique()) == 1
    assert scores.abs().max() <= 50**-0.5


def test_global_scope_is_refused_since_a_layer_cannot_know_its_mask_alone():
    with pytest.raises(ValueError, match="scope 'global' needs the training stages"):
        masked(nn.Linear(3, 3), MaskRule(0.5, scope="global"), seed=0)


def test_a_masked_net_keeps_its_device_and_its_type():
    net = masked(nn.Linear(6, 5).double(), RULE, seed=0)
    assert {t.dtype for t in net.state_dict().values()} == {torch.float64}
    assert torch.equal(net.weight, masked(nn.Linear(6, 5), RULE, seed=0).weight.double())
