"""IteRand, section 2, and learning transfer, section 2: every count of their tables that needs no mask."""

from typing import Any

import pytest
import torch
import torchvision
from pydantic import TypeAdapter
from torch import nn

from carryover.nets.build import NETS
from carryover.nets.settings import NetSettings

CIFAR, IMAGENET = ((3, 32, 32), 10), ((3, 224, 224), 1000)


def unallocated(shape: tuple[tuple[int, int, int], int], affine: bool = False, **settings: Any) -> nn.Module:
    parsed = TypeAdapter(NetSettings).validate_python(settings)
    with torch.device("meta"):
        return NETS[parsed.kind](parsed, *shape, affine=affine)


def prunable(net: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def num_weights(net: nn.Module) -> int:
    return sum(layer.weight.numel() for layer in prunable(net))


def num_biases(net: nn.Module) -> int:
    return sum(layer.bias.numel() for layer in prunable(net) if layer.bias is not None)


def num_parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("width", "conv2", "conv4", "conv6", "conv6_biases"),
    [
        (0.25, 269_616, 152_368, 142_128, 362),
        (0.5, 1_076_320, 607_328, 566_368, 714),
        (1, 4_300_992, 2_425_024, 2_261_184, 1_418),
        (2, 17_195_392, 9_691_520, 9_036_160, 2_826),
    ],
)
def test_conv_nets_have_the_counts_of_section_2_1(
    width: float, conv2: int, conv4: int, conv6: int, conv6_biases: int
):
    nets = [unallocated(CIFAR, kind="conv", depth=depth, width=width) for depth in (2, 4, 6)]
    assert [num_weights(net) for net in nets] == [conv2, conv4, conv6]
    assert num_biases(nets[2]) == conv6_biases
    assert [len(prunable(net)) for net in nets] == [5, 7, 9]
    assert [num_parameters(net) - num_weights(net) - num_biases(net) for net in nets] == [0, 0, 0]


def test_conv6_has_the_layers_of_section_2_1():
    net = unallocated(CIFAR, kind="conv", depth=6)
    counts = [layer.weight.numel() for layer in prunable(net)]
    assert counts == [1728, 36864, 73728, 147456, 294912, 589824, 1048576, 65536, 2560]


def test_conv8_goes_on_to_512_channels():
    net = unallocated(CIFAR, kind="conv", depth=8)
    outputs = [layer.weight.shape[0] for layer in prunable(net)]
    assert outputs == [64, 64, 128, 128, 256, 256, 512, 512, 256, 256, 10]
    assert prunable(net)[8].weight.shape == (256, 2 * 2 * 512)


@pytest.mark.parametrize(
    ("depth", "width", "weights", "sgd_total", "layers"),
    [
        (18, 0.25, 708_288, 710_826, 22),
        (18, 0.5, 2_804_928, 2_809_866, 22),
        (18, 1, 11_164_352, 11_173_962, 21),
        (18, 2, 44_576_448, 44_595_786, 22),
        (34, 0.25, 1_339_584, 1_343_978, 38),
        (34, 0.5, 5_330_112, 5_338_762, 38),
        (34, 1, 21_265_088, 21_282_122, 37),
        (34, 2, 84_979_392, 85_013_578, 38),
    ],
)
def test_cifar_resnets_have_the_counts_of_section_2_2(
    depth: int, width: float, weights: int, sgd_total: int, layers: int
):
    settings = {"kind": "resnet", "depth": depth, "width": width, "stem": "cifar"}
    frozen, trained = unallocated(CIFAR, **settings), unallocated(CIFAR, affine=True, **settings)
    assert num_weights(frozen) == weights
    assert num_biases(frozen) == 10
    assert num_parameters(frozen) == weights + 10
    assert num_parameters(trained) == sgd_total
    assert len(prunable(frozen)) == layers


@pytest.mark.parametrize(
    ("depth", "weights", "sgd_total", "layers"),
    [
        (18, 11_678_912, 11_689_512, 21),
        (34, 21_779_648, 21_797_672, 37),
        (50, 25_502_912, 25_557_032, 54),
        (101, 44_442_816, 44_549_160, 105),
    ],
)
def test_imagenet_resnets_have_the_counts_of_section_2_2_and_of_torchvision(
    depth: int, weights: int, sgd_total: int, layers: int
):
    net = unallocated(IMAGENET, affine=True, kind="resnet", depth=depth, stem="imagenet")
    assert num_weights(net) == weights
    assert num_parameters(net) == sgd_total
    assert len(prunable(net)) == layers
    with torch.device("meta"):
        theirs = getattr(torchvision.models, f"resnet{depth}")()
    shapes = sorted(tuple(parameter.shape) for parameter in net.parameters())
    assert shapes == sorted(tuple(parameter.shape) for parameter in theirs.parameters())


def test_learning_transfers_mlp_has_the_layers_of_its_section_2_1():
    net = unallocated(((1, 28, 28), 10), kind="mlp", hidden=[4096])
    assert [parameter.numel() for parameter in net.parameters()] == [3_211_264, 40_960]


@pytest.mark.parametrize(("num_classes", "total"), [(10, 4_885_066), (100, 4_908_196)])
def test_learning_transfers_conv8_has_the_counts_of_its_section_2_2(num_classes: int, total: int):
    net = unallocated(((3, 32, 32), num_classes), kind="conv", depth=8, last_pool=4)
    assert num_parameters(net) == total
    head = [layer.weight.shape for layer in prunable(net)[8:]]
    assert head == [(256, 512), (256, 256), (num_classes, 256)]


@pytest.mark.parametrize("num_classes", [1000, 196, 200])
def test_learning_transfers_resnet18_has_the_count_of_its_section_2_3_for_each_number_of_classes(
    num_classes: int,
):
    shape = ((3, 224, 224), num_classes)
    net = unallocated(shape, affine=True, kind="resnet", depth=18, stem="imagenet")
    assert num_parameters(net) == 11_689_512 - (1000 - num_classes) * 513


def test_a_resnet_without_norm_has_one_bias_where_batch_norm_has_gain_and_shift():
    counts = [
        num_parameters(
            unallocated(IMAGENET, affine=True, kind="resnet", depth=18, stem="imagenet", norm=norm)
        )
        for norm in ("batch", "none")
    ]
    num_channels = (11_689_512 - 11_678_912 - 1000) // 2
    assert counts[0] - counts[1] == num_channels
