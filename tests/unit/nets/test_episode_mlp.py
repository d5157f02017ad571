import pytest
import torch
from torch import nn
from torch.nn import functional as F

from carryover.nets.episode import build_episode_net
from carryover.nets.episode_settings import EpisodeMlpSettings, RegressorSettings

SMALL = EpisodeMlpSettings(kind="episode-mlp", hidden=(6, 5))


def fill(net: nn.Module) -> dict[str, nn.Parameter]:
    draw = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.5, generator=draw)
    return dict(net.named_parameters())


def test_layers_of_the_perceptron_have_the_names_of_their_depth():
    names = "flatten fc1 norm1 relu1 fc2 norm2 relu2 classifier"
    assert [name for name, _ in build_episode_net(SMALL, (1, 3, 3), 5).named_children()] == names.split()


@pytest.mark.parametrize("norm", [True, False])
def test_the_perceptron_is_linear_norm_and_relu_for_every_hidden_layer(norm: bool):
    net = build_episode_net(SMALL, (2, 3, 3), 4, norm=norm)
    own = fill(net)
    images = torch.rand(7, 2, 3, 3, generator=torch.Generator().manual_seed(1))
    x = images.flatten(1)
    for number in (1, 2):
        x = F.linear(x, own[f"fc{number}.weight"], own[f"fc{number}.bias"])
        if norm:
            gain, shift = own[f"norm{number}.weight"], own[f"norm{number}.bias"]
            x = F.batch_norm(x, None, None, gain, shift, training=True, eps=1e-3)
        x = F.relu(x)
    logits = F.linear(x, own["classifier.weight"], own["classifier.bias"])
    torch.testing.assert_close(net(images), logits)


def test_width_scales_every_hidden_layer_and_not_the_classifiers_outputs():
    net = build_episode_net(SMALL.model_copy(update={"width": 3}), (1, 3, 3), 5)
    sizes = [tuple(m.weight.shape) for m in net.modules() if isinstance(m, nn.Linear)]
    assert sizes == [(18, 9), (15, 18), (5, 15)]


def test_the_sinusoids_net_is_linear_relu_linear_relu_linear():
    net = build_episode_net(RegressorSettings(kind="regressor", hidden=3), (1,), 1)
    own = fill(net)
    x = torch.linspace(-5, 5, 4)[:, None]
    y = F.relu(F.linear(x, own["fc1.weight"], own["fc1.bias"]))
    y = F.relu(F.linear(y, own["fc2.weight"], own["fc2.bias"]))
    torch.testing.assert_close(net(x), F.linear(y, own["fc3.weight"], own["fc3.bias"]))
