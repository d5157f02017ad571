import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from carryover.nets.episode import build_episode_net
from carryover.nets.episode_settings import WideResNetSettings


def filled(width: int, shape: tuple[int, ...], *, norm: bool = True) -> nn.Module:
    net = build_episode_net(WideResNetSettings(kind="wrn28", width=width), shape, 5, norm=norm).double()
    draw = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.1, generator=draw)
    return net


def images_of(count: int, *shape: int) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("norm", [True, False])
def test_a_wide_resnet_is_a_stem_twelve_blocks_a_mean_and_a_classifier(norm: bool):
    net = filled(2, (3, 9, 6), norm=norm)
    own = dict(net.named_parameters())

    def active(place: str, x: Tensor) -> Tensor:
        if norm:
            gain, shift = own[f"{place}.weight"], own[f"{place}.bias"]
            x = F.batch_norm(x, None, None, gain, shift, training=True, eps=1e-5)
        return F.relu(x)

    def convolve(place: str, x: Tensor, stride: int, padding: int) -> Tensor:
        return F.conv2d(x, own[f"{place}.weight"], own[f"{place}.bias"], stride, padding)

    images = images_of(6, 3, 9, 6)
    x = convolve("stem", images, 1, 1)
    for stage, first_stride in ((1, 1), (2, 2), (3, 2)):
        for number in range(1, 5):
            block, stride = f"stage{stage}.block{number}", first_stride if number == 1 else 1
            y = convolve(f"{block}.conv1", active(f"{block}.norm1", x), 1, 1)
            y = convolve(f"{block}.conv2", active(f"{block}.norm2", y), stride, 1)
            x = y + (convolve(f"{block}.shortcut", x, stride, 0) if number == 1 else x)
    assert x.shape == (6, 128, 3, 2)
    features = active("norm", x).mean((2, 3))
    logits = F.linear(features, own["classifier.weight"], own["classifier.bias"])
    torch.testing.assert_close(net(images), logits)


def test_the_mean_over_all_positions_is_the_papers_pool_at_84_pixels():
    net = filled(1, (3, 84, 84)).float()
    images = images_of(2, 3, 84, 84).float()
    maps = images
    for name in ("stem", "stage1", "stage2", "stage3", "norm", "relu"):
        maps = net.get_submodule(name)(maps)
    assert maps.shape == (2, 64, 21, 21)
    pooled = F.avg_pool2d(maps, 21).flatten(1)
    torch.testing.assert_close(net.flatten(net.pool(maps)), pooled)
    torch.testing.assert_close(net(images), net.classifier(pooled))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 1, 1), (3, 7, 30)])
def test_a_wide_resnet_takes_images_of_any_size(shape: tuple[int, ...]):
    assert filled(1, shape)(images_of(2, *shape)).shape == (2, 5)


def test_the_stride_is_that_of_the_second_convolution_and_of_the_shortcut():
    net = build_episode_net(WideResNetSettings(kind="wrn28", width=1), (3, 8, 8), 5)
    strided = {name for name, m in net.named_modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)}
    assert strided == {f"stage{n}.block1.{part}" for n in (2, 3) for part in ("conv2", "shortcut")}


def test_there_are_28_convolutions_with_three_shortcuts_once_stages_widen():
    net = build_episode_net(WideResNetSettings(kind="wrn28", width=2), (3, 8, 8), 5)
    convolutions = [name for name, module in net.named_modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 28
    assert [name for name in convolutions if "shortcut" in name] == [
        f"stage{number}.block1.shortcut" for number in (1, 2, 3)
    ]


def test_children_of_a_wide_resnet_are_its_stages_and_its_classifier():
    net = build_episode_net(WideResNetSettings(kind="wrn28", width=1), (3, 8, 8), 5)
    names = [name for name, _ in net.named_children()]
    assert names == ["stem", "stage1", "stage2", "stage3", "norm", "relu", "pool", "flatten", "classifier"]
