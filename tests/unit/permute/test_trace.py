import re
from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import ROOT, blocks
from permuted_nets import NETS, NUM_CLASSES, any_batch, batch, made, renamed
from torch import nn
from torch.nn import functional as F

from carryover.nets.build import build_net
from carryover.nets.settings import ConvSettings, ResNetSettings
from carryover.nets.specs import spec_of
from carryover.permute.spec import Axes, Axis, PermutationSpec
from carryover.permute.trace import trace_spec
from carryover.permute.verify import verify_spec

MORE_NETS = {
    **NETS,
    "resnet18, width 1": (ResNetSettings(kind="resnet", depth=18, stem="cifar"), (3, 4, 4)),
    "resnet50, width 1/4": (
        ResNetSettings(kind="resnet", depth=50, width=1 / 4, stem="cifar"),
        (3, 4, 4),
    ),
    "resnet18, one channel": (
        ResNetSettings(kind="resnet", depth=18, width=1 / 64, stem="cifar"),
        (1, 8, 8),
    ),
    "conv2, one channel": (ConvSettings(kind="conv", depth=2, width=1 / 64), (1, 9, 9)),
}


def traced(net, *shape):
    """Trace a net and verify what comes out."""
    images, labels = any_batch(*shape, dtype=torch.float32)
    spec = trace_spec(net, images)
    verify_spec(net, spec, images, labels)
    return spec


def groups(spec):
    return {group: [(tie.tensor, tie.axis) for tie in ties] for group, ties in spec.groups.items()}


def ending(*layers, features):
    return nn.Sequential(*layers, nn.Linear(features, NUM_CLASSES))


class Made(nn.Module):
    """A net of some layers and a forward of its own."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.run = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.run(self, x)


# equal to the specs written by hand


@pytest.mark.parametrize("name", MORE_NETS)
def test_the_traced_spec_of_every_net_is_the_one_written_by_hand_up_to_names(name):
    own, shape = MORE_NETS[name]
    net = build_net(own, shape, NUM_CLASSES, affine=True)
    spec = trace_spec(net, torch.rand(2, *shape))
    assert renamed(spec) == renamed(spec_of(own, shape, NUM_CLASSES))


def test_groups_are_named_after_the_first_layer_that_makes_their_units():
    own, shape = NETS["resnet50"]
    spec = trace_spec(build_net(own, shape, NUM_CLASSES, affine=True), torch.rand(2, *shape))
    block = "stages.stage1.block1."
    assert list(spec.groups)[:4] == ["stem.conv", f"{block}conv1", f"{block}conv2", f"{block}conv3"]


def test_batch_norm_without_gain_and_shift_is_traced_too():
    own, shape = NETS["resnet18"]
    net = build_net(own, shape, NUM_CLASSES, affine=False)
    spec = trace_spec(net, torch.rand(2, *shape))
    by_hand = renamed(spec_of(own, shape, NUM_CLASSES))
    assert renamed(spec) == {name: by_hand[name] for name in spec.axes}


def test_tracing_leaves_the_net_as_it_was():
    net = made("resnet18").train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    trace_spec(net, batch("resnet18", torch.float32)[0])
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(module.training for module in net.modules())


@pytest.mark.parametrize(("depth", "num_groups"), [(18, 12), (50, 37)])
def test_torchvisions_resnets_have_the_groups_of_ours(depth, num_groups):
    net = getattr(torchvision.models, f"resnet{depth}")(num_classes=NUM_CLASSES)
    spec = trace_spec(net, torch.rand(2, 3, 32, 32))
    assert len(spec.groups) == num_groups
    # both list their tensors in the order of the forward pass
    own = ResNetSettings(kind="resnet", depth=depth, stem="imagenet")
    theirs = [spec.axes[name] for name in net.state_dict()]
    by_hand = spec_of(own, (3, 32, 32), NUM_CLASSES)
    ours = [by_hand.axes[name] for name in build_net(own, (3, 32, 32), NUM_CLASSES, affine=True).state_dict()]
    pairs = {
        (a, b) for axes, others in zip(theirs, ours, strict=True) for a, b in zip(axes, others, strict=True)
    }
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) == num_groups + 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5"])
def test_specs_traced_from_torchvision_are_right(name):
    net = getattr(torchvision.models, name)(num_classes=NUM_CLASSES)
    assert len(traced(net, 3, 64, 64).groups) > 6


# layer by layer


def test_a_flattened_feature_map_has_a_block_of_entries_for_each_channel():
    net = ending(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), features=3 * 2 * 3)
    spec = traced(net, 2, 6, 8)
    assert spec.axes["4.weight"] == (None, Axis("0", 6))


@pytest.mark.parametrize(
    "flat",
    [
        lambda x: x.view(x.size(0), -1),
        lambda x: x.reshape(x.shape[0], 12),
        lambda x: torch.flatten(x, 1),
        lambda x: x.flatten(2).flatten(1),
        lambda x: x.view(-1, 3, 1, 4).view(-1, 12),
    ],
    ids=["view", "reshape", "flatten", "twice", "through 4 axes"],
)
def test_every_way_to_flatten_is_followed(flat):
    net = Made(lambda s, x: s.fc(flat(s.conv(x))), conv=nn.Conv2d(1, 3, 2), fc=nn.Linear(12, NUM_CLASSES))
    assert traced(net, 1, 3, 3).axes["fc.weight"] == (None, Axis("conv", 4))


def test_blocks_can_be_unfolded_again():
    net = Made(
        lambda s, x: s.fc(
            torch.relu(s.conv2(torch.relu(s.conv(x)).flatten(1).view(-1, 3, 4, 1))).mean((2, 3))
        ),
        conv=nn.Conv2d(1, 3, 2),
        conv2=nn.Conv2d(3, 4, 1),
        fc=nn.Linear(4, NUM_CLASSES),
    )
    assert traced(net, 1, 3, 3).axes["conv2.weight"] == (Axis("conv2"), Axis("conv"), None, None)


@pytest.mark.parametrize(
    "mean",
    [
        lambda x: x.mean((2, 3)),
        lambda x: x.mean(dim=[-1, -2], keepdim=True).flatten(1),
        lambda x: torch.mean(x, dim=3).sum(-1),
        lambda x: F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1),
        lambda x: F.max_pool2d(x, 2).flatten(1),
        lambda x: F.avg_pool2d(x, 2).amax((2, 3)),
    ],
)
def test_means_and_pools_over_positions_keep_the_channels(mean):
    net = Made(lambda s, x: s.fc(mean(s.conv(x))), conv=nn.Conv2d(1, 3, 2), fc=nn.Linear(3, NUM_CLASSES))
    assert traced(net, 1, 3, 3).axes["fc.weight"] == (None, Axis("conv"))


@pytest.mark.parametrize(
    "norm",
    [
        nn.BatchNorm2d(4),
        nn.GroupNorm(1, 4),
        nn.GroupNorm(4, 4),
        nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
        nn.PReLU(4),
    ],
    ids=lambda norm: type(norm).__name__,
)
def test_norms_and_slopes_of_channels_move_with_them(norm):
    net = ending(nn.Conv2d(2, 4, 3), norm, nn.Tanh(), nn.Flatten(), features=4 * 4)
    spec = traced(net, 2, 4, 4)
    vectors = [name for name, tensor in norm.state_dict().items() if tensor.ndim == 1]
    assert vectors
    assert all(spec.axes[f"1.{name}"] == (Axis("0"),) for name in vectors)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(6), nn.LayerNorm(6), nn.RMSNorm(6), nn.PReLU()])
def test_norms_of_units_move_with_them(norm):
    net = ending(nn.Flatten(), nn.Linear(8, 6), norm, nn.GELU(), features=6)
    spec = traced(net, 2, 2, 2)
    assert spec.axes["2.weight"] == ((None,) if isinstance(norm, nn.PReLU) else (Axis("1"),))


def test_batch_norm_after_flattening_moves_whole_blocks():
    net = ending(nn.Conv2d(1, 3, 2), nn.Flatten(), nn.BatchNorm1d(12), nn.ReLU(), features=12)
    assert traced(net, 1, 3, 3).axes["2.running_var"] == (Axis("0", 4),)


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_convolutions_keep_the_units_that_come_in(multiplier):
    depthwise = nn.Conv2d(4, 4 * multiplier, 3, groups=4)
    net = ending(
        nn.Conv2d(2, 4, 3), depthwise, nn.ReLU(), nn.Conv2d(4 * multiplier, 3, 1), nn.Flatten(), features=12
    )
    spec = traced(net, 2, 6, 6)
    assert spec.axes["1.weight"] == (Axis("0", multiplier), None, None, None)
    assert spec.axes["1.bias"] == (Axis("0", multiplier),)
    assert spec.axes["3.weight"] == (Axis("3"), Axis("0", multiplier), None, None)


def test_convolutions_along_one_axis_are_followed():
    net = ending(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), features=12)
    assert traced(net, 2, 8).axes["5.weight"] == (None, Axis("0", 3))


def test_a_residual_sum_makes_one_group_of_two():
    net = Made(
        lambda s, x: s.fc((y := torch.relu(s.a(x.flatten(1)))) + s.c(torch.relu(s.b(y)))),
        a=nn.Linear(4, 6),
        b=nn.Linear(6, 3),
        c=nn.Linear(3, 6),
        fc=nn.Linear(6, NUM_CLASSES),
    )
    assert groups(traced(net, 1, 2, 2)) == {
        "a": [
            ("a.weight", 0),
            ("a.bias", 0),
            ("b.weight", 1),
            ("c.weight", 0),
            ("c.bias", 0),
            ("fc.weight", 1),
        ],
        "b": [("b.weight", 0), ("b.bias", 0), ("c.weight", 1)],
    }


def test_channel_gates_and_scales_move_with_the_channels():
    net = Made(
        lambda s, x: s.fc(
            ((y := s.conv(x)) * torch.sigmoid(s.gate(y.mean((2, 3), keepdim=True))) * s.scale).flatten(1)
        ),
        conv=nn.Conv2d(1, 4, 2),
        gate=nn.Sequential(nn.Conv2d(4, 2, 1), nn.ReLU(), nn.Conv2d(2, 4, 1)),
        scale=nn.Parameter(torch.rand(4, 1, 1)),
        fc=nn.Linear(16, NUM_CLASSES),
    )
    spec = traced(net, 1, 3, 3)
    assert spec.axes["scale"] == (Axis("conv"), None, None)
    assert spec.axes["gate.2.weight"] == (Axis("conv"), Axis("gate.0"), None, None)


def test_centring_by_the_mean_over_units_is_followed():
    net = Made(
        lambda s, x: s.b((y := torch.relu(s.a(x.flatten(1)))) - y.mean(1, keepdim=True)),
        a=nn.Linear(4, 6),
        b=nn.Linear(6, NUM_CLASSES),
    )
    assert set(traced(net, 1, 2, 2).groups) == {"a"}


def test_a_layer_that_is_used_twice_has_one_entry():
    net = Made(
        lambda s, x: s.fc(torch.relu(s.b(torch.relu(s.a(x.flatten(1))))) + s.b(s.c(x.flatten(1)))),
        a=nn.Linear(4, 6),
        b=nn.Linear(6, 3),
        c=nn.Linear(4, 6),
        fc=nn.Linear(3, NUM_CLASSES),
    )
    assert groups(traced(net, 1, 2, 2))["a"] == [
        *(("a.weight", 0), ("a.bias", 0), ("b.weight", 1)),
        *(("c.weight", 0), ("c.bias", 0)),
    ]


def test_units_that_meet_pixels_stay():
    net = Made(
        lambda s, x: s.fc(torch.relu(s.b(torch.relu(s.a(x.flatten(1))) + x.flatten(1)))),
        a=nn.Linear(4, 4),
        b=nn.Linear(4, 3),
        fc=nn.Linear(3, NUM_CLASSES),
    )
    assert groups(traced(net, 1, 2, 2)) == {"b": [("b.weight", 0), ("b.bias", 0), ("fc.weight", 1)]}


def test_images_may_be_normalised_by_the_net_in_any_way():
    net = Made(
        lambda s, x: s.net((x.permute(0, 1, 3, 2) - s.mean) / 2),
        net=ending(nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), features=4),
    )
    net.register_buffer("mean", torch.rand(3, 1, 1))
    spec = traced(net, 3, 2, 2)
    assert spec.axes["mean"] == (None, None, None)
    assert set(spec.groups) == {"net.1"}


def test_dropout_by_mode_and_softmax_at_the_end_are_followed():
    net = Made(
        lambda s, x: F.log_softmax(s.b(F.dropout(F.relu(s.a(x.flatten(1))), 0.5, s.training)), dim=1),
        a=nn.Linear(4, 6),
        b=nn.Linear(6, NUM_CLASSES),
    )
    assert set(traced(net.train(), 1, 2, 2).groups) == {"a"}


# whatever cannot be followed


@pytest.mark.parametrize(
    ("net", "complaint"),
    [
        (
            Made(
                lambda s, x: s.fc(torch.cat([s.a(x.flatten(1)), s.b(x.flatten(1))], 1)),
                a=nn.Linear(8, 2),
                b=nn.Linear(8, 2),
                fc=nn.Linear(4, NUM_CLASSES),
            ),
            "stops at 'cat' (cat)",
        ),
        (
            ending(
                nn.Conv2d(2, 2, 1),
                nn.Sequential(OrderedDict(inner=Made(lambda s, x: x.transpose(1, 2)))),
                nn.Flatten(),
                features=8,
            ),
            "stops at 'transpose' (transpose in '1.inner')",
        ),
        (
            Made(
                lambda s, x: s.fc(s.a(x).chunk(2, 1)[0].flatten(1)),
                a=nn.Conv2d(2, 4, 2),
                fc=nn.Linear(2, NUM_CLASSES),
            ),
            "stops at 'chunk' (chunk): it makes several tensors",
        ),
        (
            Made(
                lambda s, x: s.fc(s.a(x)[:, 0].flatten(1)), a=nn.Conv2d(2, 4, 1), fc=nn.Linear(4, NUM_CLASSES)
            ),
            "stops at 'getitem' (getitem)",
        ),
        (
            Made(
                lambda s, x: F.linear(torch.relu(s.a(x.flatten(1))), s.w),
                a=nn.Linear(8, 3),
                w=nn.Parameter(torch.rand(5, 3)),
            ),
            "stops at 'linear' (linear)",
        ),
        (
            ending(nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 1, groups=2), nn.Flatten(), features=16),
            "'1' (Conv2d): a convolution in 2 groups",
        ),
        (
            ending(nn.Conv2d(2, 4, 1), nn.GroupNorm(2, 4), nn.Flatten(), features=16),
            "'1' (GroupNorm): 2 groups",
        ),
        (
            ending(nn.ConvTranspose2d(2, 4, 1), nn.Flatten(), features=16),
            "'0' (ConvTranspose2d): what it does to units is not known",
        ),
        (
            ending(nn.Conv2d(2, 4, 1), nn.Flatten(), nn.Unflatten(1, (2, 8)), nn.Flatten(), features=16),
            "'2' (Unflatten): the entries of a unit of '0' do not stay next to one another",
        ),
        (
            Made(
                lambda s, x: s.fc(s.conv(x).flatten(1) + s.a(x.flatten(1))),
                conv=nn.Conv2d(2, 4, 1),
                a=nn.Linear(8, 16),
                fc=nn.Linear(16, NUM_CLASSES),
            ),
            "'add' (add): 4 entries for each unit of 'conv' meet 1 for each of 'a'",
        ),
        (
            Made(lambda s, x: {"logits": s.fc(x.flatten(1))}, fc=nn.Linear(8, NUM_CLASSES)),
            "the output of a net is one tensor of logits",
        ),
        (
            ending(nn.Flatten(), nn.utils.spectral_norm(nn.Linear(8, 4)), features=4),
            "'1' (Linear): its weight is computed from other tensors",
        ),
    ],
    ids=[
        "cat",
        "transpose",
        "chunk",
        "slice",
        "function",
        "groups",
        "norm groups",
        "transposed",
        "heads",
        "blocks",
        "dict",
        "weight",
    ],
)
def test_what_cannot_be_followed_is_refused_by_name_with_a_way_out(net, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)) as told:
        trace_spec(net, torch.rand(2, 2, 2, 2))
    assert "by hand (docs/how-to/add-a-net.md)" in str(told.value)


def test_a_net_that_looks_at_values_is_refused():
    net = Made(lambda s, x: s.a(x) if x.sum() > 0 else x, a=nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"cannot run Made on stand-ins .* by hand"):
        trace_spec(net, torch.rand(2, 2))


def test_parameters_that_nothing_uses_are_refused_by_name():
    net = Made(lambda s, x: s.a(x), a=nn.Linear(2, 3), b=nn.Linear(2, 3))
    with pytest.raises(ValueError, match=r"saw no layer use 'b\.weight', 'b\.bias'"):
        trace_spec(net, torch.rand(2, 2))


def test_a_group_on_two_axes_of_one_tensor_is_refused():
    net = Made(
        lambda s, x: s.fc((y := s.a(x)) + s.b(torch.relu(y))),
        a=nn.Linear(2, 4),
        b=nn.Linear(4, 4),
        fc=nn.Linear(4, 3),
    )
    with pytest.raises(ValueError, match=r"'b\.weight' has group 'a' on 2 axes") as told:
        trace_spec(net, torch.rand(2, 2))
    assert "by hand" in str(told.value)


# any net of some layers


@st.composite
def feature_nets(draw):
    """Draw a net of convolutions with norms, activations, pools and residual branches, then linear layers."""
    layers: list[nn.Module] = []
    channels, size = 2, 8
    for _ in range(draw(st.integers(1, 3))):
        outputs = draw(st.integers(1, 4))
        layers.append(nn.Conv2d(channels, outputs, 3, padding=1, bias=draw(st.booleans())))
        channels = outputs
        norms = [
            nn.BatchNorm2d,
            lambda n: nn.GroupNorm(1, n),
            lambda n: nn.BatchNorm2d(n, affine=False),
            None,
        ]
        if norm := draw(st.sampled_from(norms)):
            layers.append(norm(channels))
        layers.append(draw(st.sampled_from([nn.ReLU, nn.Tanh, nn.Identity, nn.SiLU]))())
        if size > 2 and draw(st.booleans()):
            layers.append(draw(st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]))(2))
            size //= 2
        if draw(st.booleans()):
            inner = draw(st.integers(1, 3))
            branch = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.ReLU(), nn.Conv2d(inner, channels, 1))
            layers.append(Made(lambda s, x: s.branch(x) + x, branch=branch))
    features = channels * size * size
    if draw(st.booleans()):
        layers.append(nn.AdaptiveAvgPool2d(1))
        features = channels
    layers.append(nn.Flatten())
    for _ in range(draw(st.integers(0, 2))):
        outputs = draw(st.integers(1, 5))
        layers += [nn.Linear(features, outputs), nn.ReLU()]
        features = outputs
    return nn.Sequential(*layers, nn.Linear(features, NUM_CLASSES))


@settings(max_examples=40, deadline=None)
@given(feature_nets())
def test_the_traced_spec_of_any_such_net_is_right_and_moves_all_hidden_units(net):
    spec = traced(net, 2, 8, 8)
    made_units = [n for n, m in net.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)][:-1]
    assert all(spec.axes[f"{layer}.weight"][0] is not None for layer in made_units)


def test_the_spec_that_the_how_to_page_writes_by_hand_is_the_traced_one():
    code = {
        block.text
        for block in blocks(ROOT / "docs" / "how-to" / "add-a-net.md")
        if block.language == "python"
    }
    [net_code] = [text for text in code if "nn.Module" in text]
    [spec_code] = [text for text in code if "PermutationSpec" in text]
    page = {
        "ResidualMlpSettings": SimpleNamespace,
        "Axes": Axes,
        "Axis": Axis,
        "PermutationSpec": PermutationSpec,
    }
    exec(net_code.replace("from carryover.nets.settings import ResidualMlpSettings\n", ""), page)
    exec(spec_code, page)
    own = SimpleNamespace(depth=3, width=4)
    net = page["residual_mlp"](own, (1, 3, 3), NUM_CLASSES, affine=True)
    assert renamed(traced(net, 1, 3, 3)) == renamed(page["residual_mlp_spec"](own, (1, 3, 3), NUM_CLASSES))
