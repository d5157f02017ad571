from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from carryover.core.config import canonical
from carryover.nets.settings import ConvSettings, MlpSettings, NetSettings, ResNetSettings

NET: TypeAdapter[Any] = TypeAdapter(NetSettings)


@pytest.mark.parametrize(
    "written",
    [
        {"kind": "mlp", "hidden": [32, 32]},
        {"kind": "conv", "depth": 6, "width": 0.25},
        {"kind": "resnet", "depth": 50, "stem": "imagenet"},
        {"kind": "mlp", "hidden": [32], "bias": True, "activation": "none"},
        {"kind": "conv", "depth": 8, "last_pool": 4},
        {"kind": "resnet", "depth": 18, "stem": "cifar", "norm": "none"},
    ],
)
def test_a_net_is_told_apart_by_its_kind_and_survives_its_canonical_text(written: dict[str, Any]):
    net = NET.validate_python(written)
    assert isinstance(
        net, {"mlp": MlpSettings, "conv": ConvSettings, "resnet": ResNetSettings}[written["kind"]]
    )
    assert NET.validate_json(canonical(net)) == net


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ({"kind": "mpl", "hidden": [32]}, "'mlp', 'conv', 'resnet'"),
        ({"kind": "mlp", "hidden": []}, "at least 1 item"),
        ({"kind": "mlp", "hidden": [0]}, "greater than 0"),
        ({"kind": "conv", "depth": 5}, "2, 4, 6 or 8"),
        ({"kind": "conv", "depth": 6, "width": 0.01}, "0.015625"),
        ({"kind": "conv", "depth": 8, "last_pool": 0}, "greater than 0"),
        ({"kind": "mlp", "hidden": [32], "activation": "tanh"}, "'relu' or 'none'"),
        ({"kind": "resnet", "depth": 18}, "stem"),
        ({"kind": "resnet", "depth": 18, "stem": "cifar", "norm": "layer"}, "'batch' or 'none'"),
        ({"kind": "resnet", "depth": 18, "stem": "cifar", "widht": 2}, "widht"),
    ],
)
def test_a_wrong_net_is_refused_at_the_door(written: dict[str, Any], complaint: str):
    with pytest.raises(ValidationError, match=complaint):
        NET.validate_python(written)


def test_the_smallest_width_leaves_one_channel():
    assert int(64 * ConvSettings(kind="conv", depth=2, width=1 / 64).width) == 1


def test_nets_are_the_ones_of_iterand_unless_asked_otherwise():
    assert MlpSettings(kind="mlp", hidden=(8,)).activation == "relu"
    assert ConvSettings(kind="conv", depth=8).last_pool == 2
    assert ResNetSettings(kind="resnet", depth=18, stem="cifar").norm == "batch"
