import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from carryover.nets.episode import build_episode_net
from carryover.nets.episode_settings import ResNet12Settings

SMALL = ResNet12Settings(kind="resnet12", channels=(2, 3, 4, 5))


def filled(shape: tuple[int, ...], *, norm: bool = True) -> nn.Module:
    net = build_episode_net(SMALL, shape, 5, norm=norm).double()
    draw = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3, generator=draw)
    return net


def written_out(own: dict[str, Tensor], block: str, x: Tensor, *, norm: bool) -> Tensor:
    def convolve(conv: str, normed: str, x: Tensor, padding: int) -> Tensor:
        x = F.conv2d(x, own[f"{block}.{conv}.weight"], own.get(f"{block}.{conv}.bias"), padding=padding)
        if norm:
            gain, shift = own[f"{block}.{normed}.weight"], own[f"{block}.{normed}.bias"]
            x = F.batch_norm(x, None, None, gain, shift, training=True, eps=1e-5)
        return x

    y = F.leaky_relu(convolve("conv1", "norm1", x, 1), 0.1)
    y = F.leaky_relu(convolve("conv2", "norm2", y, 1), 0.1)
    y = convolve("conv3", "norm3", y, 1) + convolve("shortcut.conv", "shortcut.norm", x, 0)
    return F.max_pool2d(F.leaky_relu(y, 0.1), 2)


@pytest.mark.parametrize("norm", [True, False])
def test_resnet12_is_four_blocks_a_mean_and_a_classifier(norm: bool):
    net = filled((3, 20, 35), norm=norm)
    own = dict(net.named_parameters())
    images = torch.rand(6, 3, 20, 35, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = images
    for number in range(1, 5):
        x = written_out(own, f"block{number}", x, norm=norm)
    assert x.shape == (6, 5, 1, 2)
    logits = F.linear(x.mean((2, 3)), own["classifier.weight"], own["classifier.bias"])
    torch.testing.assert_close(net(images), logits)


def test_maps_of_84_pixels_shrink_as_in_the_paper():
    net, x = build_episode_net(SMALL, (3, 84, 84), 5), torch.zeros(1, 3, 84, 84)
    sizes = []
    for number in range(1, 5):
        x = net.get_submodule(f"block{number}")(x)
        sizes.append(tuple(x.shape[-2:]))
    assert sizes == [(42, 42), (21, 21), (10, 10), (5, 5)]


def test_resnet12_has_a_shortcut_with_weights_in_every_block():
    names = [name for name, _ in build_episode_net(SMALL, (3, 84, 84), 5).named_parameters()]
    assert [name for name in names if "shortcut.conv" in name] == [
        f"block{number}.shortcut.conv.weight" for number in range(1, 5)
    ]


def test_children_of_resnet12_are_its_blocks_and_its_classifier():
    names = [name for name, _ in build_episode_net(SMALL, (1, 28, 28), 5).named_children()]
    assert names == ["block1", "block2", "block3", "block4", "pool", "flatten", "classifier"]


def test_images_that_no_pool_would_leave_are_refused():
    assert build_episode_net(SMALL, (3, 16, 16), 5)(torch.zeros(2, 3, 16, 16)).shape == (2, 5)
    with pytest.raises(ValueError, match=r"resnet12 shrinks its images 16 times, .* got 16x15\. .* wrn28"):
        build_episode_net(SMALL, (3, 16, 15), 5)
