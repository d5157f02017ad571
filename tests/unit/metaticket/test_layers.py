import pytest
from torch import nn

from carryover.metaticket.layers import hidden_layers
from carryover.nets.episode import build_episode_net
from carryover.nets.episode_settings import EpisodeMlpSettings, ResNet12Settings, WideResNetSettings


def test_a_layer_begins_with_weights_and_has_all_that_follows_them():
    mlp = EpisodeMlpSettings(kind="episode-mlp", hidden=(7, 6))
    assert hidden_layers(build_episode_net(mlp, (1, 4, 4), 3)) == [
        ("fc1", "norm1", "relu1"),
        ("fc2", "norm2", "relu2"),
    ]
    assert hidden_layers(build_episode_net(mlp, (1, 4, 4), 3, norm=False)) == [
        ("fc1", "relu1"),
        ("fc2", "relu2"),
    ]


def test_blocks_and_stages_are_layers():
    resnet = ResNet12Settings(kind="resnet12", channels=(2, 2, 2, 2))
    assert hidden_layers(build_episode_net(resnet, (1, 16, 16), 3)) == [
        *(("block1",), ("block2",), ("block3",)),
        ("block4", "pool", "flatten"),
    ]
    wide = WideResNetSettings(kind="wrn28", width=1)
    assert hidden_layers(build_episode_net(wide, (1, 8, 8), 3)) == [
        *(("stem",), ("stage1",), ("stage2",)),
        ("stage3", "norm", "relu", "pool", "flatten"),
    ]


def test_layers_of_a_net_with_its_classifier_deep_inside_are_refused():
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.all = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))

    with pytest.raises(ValueError, match=r"the layers of Deep are not its children.*all\.2"):
        hidden_layers(Deep())
