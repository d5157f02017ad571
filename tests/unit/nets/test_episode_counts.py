"""Meta-ticket, section 3: every parameter count of its tables (T20)."""

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from carryover.nets.episode import EPISODE_NETS
from carryover.nets.episode_norm import EpisodeNorm
from carryover.nets.episode_settings import EpisodeNetSettings

OMNIGLOT, CIFAR, MINI = (1, 28, 28), (3, 32, 32), (3, 84, 84)


def unallocated(shape: tuple[int, ...], ways: int = 5, *, norm: bool = True, **settings: Any) -> nn.Module:
    parsed = TypeAdapter(EpisodeNetSettings).validate_python(settings)
    with torch.device("meta"):
        return EPISODE_NETS[parsed.kind](parsed, shape, ways, norm=norm)


def mlp(shape: tuple[int, ...], hidden: list[int], width: int = 1, ways: int = 5) -> nn.Module:
    return unallocated(shape, ways, kind="episode-mlp", hidden=hidden, width=width)


def size(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def layers(net: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    """List convolutions and linear layers without the classifier."""
    return [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)][:-1]


def weights(net: nn.Module) -> int:
    return sum(layer.weight.numel() for layer in layers(net))


def biases(net: nn.Module) -> int:
    return sum(layer.bias.numel() for layer in layers(net) if layer.bias is not None)


def norms(net: nn.Module) -> int:
    return size(*(module for module in net.modules() if isinstance(module, EpisodeNorm)))


@pytest.mark.parametrize(
    ("shape", "hidden", "width", "masked", "biases_and_norms", "head", "total"),
    [
        (OMNIGLOT, [256, 128, 64, 64], 1, 245_760, 1_536, 325, 247_621),
        (OMNIGLOT, [256, 128, 64, 64], 2, 581_632, 3_072, 645, 585_349),
        (OMNIGLOT, [256, 128, 64, 64], 4, 1_523_712, 6_144, 1_285, 1_531_141),
        (OMNIGLOT, [256, 128, 64, 64], 8, 4_489_216, 12_288, 2_565, 4_504_069),
        (CIFAR, [1024, 512, 256, 128], 1, 3_833_856, 5_760, 645, 3_840_261),
        (CIFAR, [2048, 2048, 128], 1, 10_747_904, 12_672, 645, 10_761_221),
        (CIFAR, [8192, 64], 1, 25_690_112, 24_768, 325, 25_715_205),
        (CIFAR, [8192, 128], 1, 26_214_400, 24_960, 645, 26_240_005),
    ],
)
def test_multilayer_perceptrons_have_the_counts_of_section_3_1(
    shape: tuple[int, ...],
    hidden: list[int],
    width: int,
    masked: int,
    biases_and_norms: int,
    head: int,
    total: int,
):
    net = mlp(shape, hidden, width)
    assert weights(net) == masked
    assert biases(net) + norms(net) == biases_and_norms
    assert (size(net.classifier), size(net)) == (head, total)
    assert masked + biases_and_norms + head == total


def test_the_multilayer_perceptron_is_omniglots_unless_asked_otherwise():
    assert size(unallocated(OMNIGLOT, kind="episode-mlp")) == 247_621


@pytest.mark.parametrize(("width", "head"), [(1, 1_300), (2, 2_580), (4, 5_140), (8, 10_260)])
def test_heads_of_twenty_classes_have_the_counts_of_section_3_1(width: int, head: int):
    assert size(mlp(OMNIGLOT, [256, 128, 64, 64], width, ways=20).classifier) == head


def test_resnet12_has_the_counts_of_section_3_2():
    net = unallocated(MINI, kind="resnet12")
    blocks = [net.get_submodule(f"block{number}") for number in range(1, 5)]
    assert [size(block) - norms(block) for block in blocks] == [75_648, 376_832, 1_507_328, 6_029_312]
    assert [norms(block) for block in blocks] == [512, 1_024, 2_048, 4_096]
    assert biases(net) == 0
    assert (size(net.classifier), size(net)) == (2_565, 7_999_365)
    assert size(unallocated((3, 32, 32), kind="resnet12")) == 7_999_365


@pytest.mark.parametrize(
    ("width", "kernels", "conv_biases", "own_norms", "head", "total"),
    [
        (5, 9_120_432, 5_056, 8_992, 1_605, 9_136_085),
        (10, 36_454_832, 10_096, 17_952, 3_205, 36_486_085),
    ],
)
def test_wide_resnets_have_the_counts_of_section_3_3(
    width: int, kernels: int, conv_biases: int, own_norms: int, head: int, total: int
):
    net = unallocated(MINI, kind="wrn28", width=width)
    assert len(layers(net)) == 28
    assert (weights(net), biases(net), norms(net)) == (kernels, conv_biases, own_norms)
    assert (size(net.classifier), size(net)) == (head, total)


def test_the_sinusoids_net_has_the_counts_of_section_3_4():
    net = unallocated((1,), 1, kind="regressor")
    assert [size(net.fc1), size(net.fc2), size(net.fc3)] == [80, 1_640, 41]
    assert size(net) == 1_761
    assert size(unallocated((1,), 1, kind="regressor", hidden=80)) == 2 * 80 + 80 * 81 + 81


@pytest.mark.parametrize(
    ("shape", "features", "kernels", "total"),
    [
        (MINI, 1_600, 112_320, 121_093),
        (CIFAR, 256, 112_320, 114_373),
        (OMNIGLOT, 64, 111_168, 112_261),
    ],
)
def test_conv4_has_the_counts_of_section_3_5(shape: tuple[int, ...], features: int, kernels: int, total: int):
    net = unallocated(shape, kind="conv4")
    assert net.classifier.in_features == features
    assert (weights(net), size(net)) == (kernels, total)


@pytest.mark.parametrize("kind", ["episode-mlp", "conv4"])
def test_without_norm_gains_and_shifts_are_all_that_is_missing(kind: str):
    usual, plain = (unallocated(CIFAR, norm=norm, kind=kind) for norm in (True, False))
    assert size(usual) - size(plain) == norms(usual) > 0
    assert norms(plain) == 0


def test_a_resnet12_without_norm_has_one_bias_where_the_norm_has_gain_and_shift():
    usual, plain = (unallocated(MINI, norm=norm, kind="resnet12") for norm in (True, False))
    assert biases(plain) == norms(usual) // 2
    assert size(plain) == size(usual) - norms(usual) // 2
