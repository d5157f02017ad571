from typing import Any

import pytest
import torch
from torch import nn

from carryover.metaticket.roles import maskable, roles_of
from carryover.metaticket.settings import FewshotTraining
from carryover.nets.episode import EPISODE_NETS

OMNIGLOT, MINI, NUMBER = (1, 28, 28), (3, 84, 84), (1,)
RESNET12 = {"kind": "resnet12"}
MLP4 = {"kind": "episode-mlp", "width": 4}
SINE = {"kind": "regressor"}


def run_of(net: dict[str, Any], **more: Any) -> FewshotTraining:
    base = {"dataset": "d", "net": net, "method": "metaticket", "outer_steps": 1}
    return FewshotTraining.model_validate({**base, **more})


def unallocated(
    run: FewshotTraining, shape: tuple[int, ...], ways: int = 5, *, norm: bool = True
) -> nn.Module:
    with torch.device("meta"):
        return EPISODE_NETS[run.net.kind](run.net, shape, ways, norm=norm)


def masked_size(net: nn.Module, run: FewshotTraining) -> int:
    return sum(net.get_parameter(name).numel() for name in maskable(net, run))


def total(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("net", "shape", "masked", "tensors", "weights", "parameters"),
    [
        (RESNET12, MINI, "body", 16, 7_989_120, 7_999_365),
        ({"kind": "wrn28", "width": 5}, MINI, "body", 28, 9_120_432, 9_136_085),
        ({"kind": "wrn28", "width": 10}, MINI, "body", 28, 36_454_832, 36_486_085),
        (SINE, NUMBER, "inner", 1, 1_600, 1_761),
        (RESNET12, MINI, "body+head", 17, 7_989_120 + 2_560, 7_999_365),
        ({"kind": "wrn28", "width": 10}, MINI, "body+head", 29, 36_454_832 + 3_200, 36_486_085),
        (MLP4, OMNIGLOT, "body+head", 5, 1_524_992, 1_531_141),
        (MLP4, OMNIGLOT, "body", 4, 1_523_712, 1_531_141),
        ({"kind": "conv4"}, OMNIGLOT, "body", 4, 111_168, 112_261),
        ({"kind": "conv4"}, MINI, "body", 4, 112_320, 121_093),
    ],
)
def test_as_many_weights_are_masked_as_section_1_7_says(
    net: dict[str, Any], shape: tuple[int, ...], masked: str, tensors: int, weights: int, parameters: int
):
    run = run_of(net, masked=masked)
    built = unallocated(run, shape, ways=1 if net is SINE else 5)
    assert len(maskable(built, run)) == tensors
    assert (masked_size(built, run), total(built)) == (weights, parameters)


def test_resnet12s_masks_are_those_of_its_convolutions_and_of_its_shortcuts():
    run = run_of(RESNET12)
    net = unallocated(run, MINI)
    kernels = [tuple(net.get_parameter(name).shape[-2:]) for name in maskable(net, run)]
    assert (kernels.count((3, 3)), kernels.count((1, 1))) == (12, 4)


def test_a_wide_resnets_masks_are_those_of_its_stem_its_blocks_and_three_shortcuts():
    run = run_of({"kind": "wrn28", "width": 2})
    net = unallocated(run, MINI)
    names = list(maskable(net, run))
    assert names[0] == "stem.weight"
    assert sum("shortcut" in name for name in names) == 3
    assert sum(".conv" in name for name in names) == 24


def test_the_fan_in_counts_the_products_that_one_output_sums():
    run = run_of(RESNET12, masked="body+head")
    fan_in = maskable(unallocated(run, MINI), run)
    assert fan_in["block1.conv1.weight"] == 3 * 9
    assert fan_in["block4.conv2.weight"] == 512 * 9
    assert fan_in["block4.shortcut.conv.weight"] == 256
    assert fan_in["classifier.weight"] == 512


def test_every_parameter_of_the_perceptron_has_its_role():
    net = unallocated(run_of({"kind": "episode-mlp", "hidden": [6, 5]}), (1, 3, 3))
    assert roles_of(net) == {
        "fc1.weight": "body",
        "fc1.bias": "bias",
        "norm1.weight": "norm",
        "norm1.bias": "norm",
        "fc2.weight": "body",
        "fc2.bias": "bias",
        "norm2.weight": "norm",
        "norm2.bias": "norm",
        "classifier.weight": "head",
        "classifier.bias": "head",
    }


@pytest.mark.parametrize(
    ("net", "body", "bias", "norm"),
    [
        ({"kind": "conv4"}, 112_320, 256, 512),
        (RESNET12, 7_989_120, 0, 7_680),
        ({"kind": "wrn28", "width": 5}, 9_120_432, 5_056, 8_992),
    ],
)
def test_roles_divide_the_parameters_as_section_3_counts_them(
    net: dict[str, Any], body: int, bias: int, norm: int
):
    built = unallocated(run_of(net), MINI)
    sizes = dict.fromkeys(("body", "bias", "norm", "head"), 0)
    for name, role in roles_of(built).items():
        sizes[role] += built.get_parameter(name).numel()
    head = total(built) - body - bias - norm
    assert sizes == {"body": body, "bias": bias, "norm": norm, "head": head}
    assert list(roles_of(built)) == [name for name, _ in built.named_parameters()]


def test_a_role_is_told_by_the_module_and_not_by_its_name():
    net = nn.Sequential()
    net.add_module("classifier", nn.Linear(3, 4))
    net.add_module("norm_bias", nn.Linear(4, 2))
    assert roles_of(net) == {
        "classifier.weight": "body",
        "classifier.bias": "bias",
        "norm_bias.weight": "head",
        "norm_bias.bias": "head",
    }


def test_what_is_masked_does_not_depend_on_the_norm():
    run = run_of({"kind": "wrn28", "width": 2})
    usual, plain = (maskable(unallocated(run, MINI, norm=norm), run) for norm in (True, False))
    assert usual == plain
    assert "norm" not in roles_of(unallocated(run, MINI, norm=False)).values()


def test_the_sinusoids_middle_layer_is_what_is_masked_of_it():
    run = run_of(SINE, masked="inner")
    assert maskable(unallocated(run, NUMBER, 1), run) == {"fc2.weight": 40}
