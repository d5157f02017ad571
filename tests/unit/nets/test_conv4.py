import pytest
import torch
from torch import nn
from torch.nn import functional as F

from carryover.nets.episode import build_episode_net
from carryover.nets.episode_settings import Conv4Settings

SMALL = Conv4Settings(kind="conv4", channels=4)


def filled(settings: Conv4Settings, shape: tuple[int, ...], *, norm: bool = True) -> nn.Module:
    net = build_episode_net(settings, shape, 5, norm=norm)
    draw = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3, generator=draw)
    return net


def test_layers_of_conv4_have_the_names_of_their_depth():
    names = [f"{part}{number}" for number in range(1, 5) for part in ("conv", "norm", "relu", "pool")]
    assert [name for name, _ in build_episode_net(SMALL, (1, 16, 16), 5).named_children()] == [
        *names,
        "flatten",
        "classifier",
    ]


def test_conv4_without_norm_keeps_the_names_of_its_other_layers():
    usual, plain = (
        dict(build_episode_net(SMALL, (1, 16, 16), 5, norm=n).named_children()) for n in (True, False)
    )
    assert list(plain) == [name for name in usual if "norm" not in name]


@pytest.mark.parametrize("norm", [True, False])
def test_conv4_is_four_times_convolution_norm_relu_and_pool(norm: bool):
    net = filled(SMALL, (3, 33, 20), norm=norm)
    own = dict(net.named_parameters())
    images = torch.rand(6, 3, 33, 20, generator=torch.Generator().manual_seed(1))
    x = images
    for number in range(1, 5):
        x = F.conv2d(x, own[f"conv{number}.weight"], own[f"conv{number}.bias"], padding=1)
        if norm:
            gain, shift = own[f"norm{number}.weight"], own[f"norm{number}.bias"]
            x = F.batch_norm(x, None, None, gain, shift, training=True, eps=1e-5)
        x = F.max_pool2d(F.relu(x), 2)
    assert x.shape == (6, 4, 2, 1)
    logits = F.linear(x.flatten(1), own["classifier.weight"], own["classifier.bias"])
    torch.testing.assert_close(net(images), logits)


@pytest.mark.parametrize(
    ("shape", "positions"), [((3, 84, 84), 25), ((3, 32, 32), 4), ((1, 28, 28), 1), ((3, 47, 16), 2)]
)
def test_conv4_takes_images_of_other_sizes(shape: tuple[int, ...], positions: int):
    net = build_episode_net(SMALL, shape, 5)
    assert net.classifier.in_features == 4 * positions
    assert net(torch.zeros(2, *shape)).shape == (2, 5)


@pytest.mark.parametrize("size", [(15, 16), (16, 14)])
def test_images_that_no_pool_would_leave_are_refused(size: tuple[int, int]):
    complaint = (
        rf"conv4 shrinks its images 16 times, .* 16x16 pixels: got {size[0]}x{size[1]}\. .* episode-mlp"
    )
    with pytest.raises(ValueError, match=complaint):
        build_episode_net(SMALL, (1, *size), 5)


def test_every_convolution_of_conv4_has_64_channels_unless_asked_otherwise():
    net = build_episode_net(Conv4Settings(kind="conv4"), (3, 32, 32), 5)
    shapes = [tuple(layer.weight.shape) for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    assert shapes == [(64, 3, 3, 3), *[(64, 64, 3, 3)] * 3]
