import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from permuted_nets import NETS, NUM_CLASSES, any_batch, batch, made
from torch import nn

from carryover.nets.build import build_net
from carryover.nets.settings import MlpSettings
from carryover.nets.specs import spec_of
from carryover.permute.spec import Axis, PermutationSpec
from carryover.permute.trace import trace_spec
from carryover.permute.verify import check_spec, verify_spec

MLP = build_net(MlpSettings(kind="mlp", hidden=(6, 6), bias=True), (1, 3, 3), NUM_CLASSES, affine=False)
AXES = {
    "fc1.weight": (Axis("a"), None),
    "fc1.bias": (Axis("a"),),
    "fc2.weight": (Axis("b"), Axis("a")),
    "fc2.bias": (Axis("b"),),
    "fc3.weight": (None, Axis("b")),
    "fc3.bias": (None,),
}


def spec_for(name):
    own, shape = NETS[name]
    return spec_of(own, shape, NUM_CLASSES)


def check(**changes):
    changed = {name.replace("_", "."): axes for name, axes in changes.items()}
    check_spec(PermutationSpec({**AXES, **changed}), dict(MLP.named_parameters()))


def verify(**changes):
    changed = {name.replace("_", "."): axes for name, axes in changes.items()}
    verify_spec(MLP, PermutationSpec({**AXES, **changed}), *any_batch(1, 3, 3))


@pytest.mark.parametrize("name", NETS)
def test_the_spec_of_every_net_is_right(name):
    verify_spec(made(name), spec_for(name), *batch(name, torch.float32))


def test_a_spec_that_moves_less_than_it_could_is_right_too():
    verify(fc1_weight=(None, None), fc1_bias=(None,), fc2_weight=(Axis("b"), None))
    verify_spec(
        MLP, PermutationSpec({n: (None,) * len(axes) for n, axes in AXES.items()}), *any_batch(1, 3, 3)
    )


def test_verifying_changes_neither_the_net_nor_its_mode():
    net = made("resnet18").train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = torch.get_rng_state()
    verify_spec(net, spec_for("resnet18"), *batch("resnet18"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(module.training for module in net.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_is_no_reason_to_refuse_a_spec():
    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 6), nn.Dropout(0.5), nn.Linear(6, NUM_CLASSES)).train()
    axes = {
        "1.weight": (Axis("a"), None),
        "1.bias": (Axis("a"),),
        "3.weight": (None, Axis("a")),
        "3.bias": (None,),
    }
    verify_spec(net, PermutationSpec(axes), *any_batch(1, 3, 3))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"fc2_bias": (None,)}, "'fc2.bias': Axis(group='b', repeat=1) belongs on axis 0"),
        ({"fc2_weight": (Axis("b"), None)}, "'fc2.weight': Axis(group='a', repeat=1) belongs on axis 1"),
        (
            {"fc3_bias": (Axis("c"),)},
            "the function changes with group 'c', and no change to one tensor mends it",
        ),
        (
            {"fc2_weight": (None, Axis("b")), "fc3_weight": (None, None)},
            "the function changes with group 'b', and no change to one tensor mends it; it has axis 1 of "
            "'fc2.weight', axis 0 of 'fc2.bias'",
        ),
    ],
    ids=["forgotten bias", "forgotten input", "classes", "two mistakes"],
)
def test_a_wrong_axis_is_named_with_what_belongs_there(changes, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        verify(**changes)


def test_a_group_on_an_axis_too_many_is_named():
    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 6), nn.Linear(6, 6), nn.Linear(6, NUM_CLASSES))
    axes = {
        "1.weight": (Axis("a"), None),
        "1.bias": (Axis("a"),),
        "2.weight": (None, Axis("a")),
        "2.bias": (Axis("a"),),
        "3.weight": (None, None),
        "3.bias": (None,),
    }
    with pytest.raises(ValueError, match=r"'2.bias': group 'a' does not belong on axis 0"):
        verify_spec(net, PermutationSpec(axes), *any_batch(1, 3, 3))


def test_a_group_on_the_wrong_axis_of_a_square_tensor_is_told_the_right_one():
    changed = {"fc2_weight": (Axis("a"), None), "fc2_bias": (None,), "fc3_weight": (None, None)}
    complaint = "'fc2.weight': Axis(group='a', repeat=1) belongs on axis 1, not on axis 0"
    with pytest.raises(ValueError, match=re.escape(complaint)):
        verify(**changed)


def test_two_groups_that_are_mixed_up_are_both_named():
    with pytest.raises(ValueError, match="'a' does not belong on axis 1") as told:
        verify(fc3_weight=(None, Axis("a")))
    assert "'fc3.weight': Axis(group='b', repeat=1) belongs on axis 1" in str(told.value)


def test_two_groups_of_two_units_are_told_apart_though_they_have_one_permutation():
    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 2), nn.Linear(2, 2), nn.Linear(2, NUM_CLASSES)).double()
    axes = {
        "1.weight": (Axis("a"), None),
        "1.bias": (Axis("a"),),
        "2.weight": (Axis("b"), Axis("a")),
        "2.bias": (Axis("a"),),
        "3.weight": (None, Axis("b")),
        "3.bias": (None,),
    }
    with pytest.raises(ValueError, match=r"2\.bias"):
        verify_spec(net, PermutationSpec(axes), *any_batch(1, 3, 3))
    verify_spec(net, PermutationSpec({**axes, "2.bias": (Axis("b"),)}), *any_batch(1, 3, 3))


def test_statistics_that_are_not_permuted_are_named():
    spec = spec_for("resnet18")
    wrong = PermutationSpec({**spec.axes, "stages.stage2.block1.norm1.running_var": (None,)})
    complaint = (
        "'stages.stage2.block1.norm1.running_var': "
        "Axis(group='stages.stage2.block1.conv1', repeat=1) belongs on axis 0"
    )
    with pytest.raises(ValueError, match=re.escape(complaint)):
        verify_spec(made("resnet18"), wrong, *batch("resnet18"))


def test_images_on_which_rounding_decides_the_gradient_are_refused():
    norm = nn.BatchNorm1d(4, eps=1e-30)
    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 4), norm, nn.Tanh(), nn.Linear(4, NUM_CLASSES))
    images, labels = any_batch(1, 3, 3)
    spec = trace_spec(net, images.float())
    verify_spec(net, spec, images, labels)
    with pytest.raises(
        ValueError, match=r"on 6 images of \(1, 3, 3\): verify its spec on more or larger ones"
    ):
        verify_spec(net, spec, images[:1] + 1e-9 * images, labels)


class Leaning(nn.Module):
    """Gives what it takes; backwards, it favours the first unit."""

    def forward(self, x):
        lean = torch.zeros_like(x).index_fill_(1, torch.tensor(0), 2.0) * x
        return x + lean - lean.detach()


def test_a_net_with_the_function_but_without_the_gradient_of_its_spec_is_refused():
    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 6), Leaning(), nn.Linear(6, NUM_CLASSES))
    axes = {
        "1.weight": (Axis("a"), None),
        "1.bias": (Axis("a"),),
        "3.weight": (None, Axis("a")),
        "3.bias": (None,),
    }
    with pytest.raises(
        ValueError, match=r"the function stays but the gradient of '1\.weight' changes with group 'a'"
    ):
        verify_spec(net, PermutationSpec(axes), *any_batch(1, 3, 3))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_single_axis_that_is_forgotten_or_tied_to_another_group_is_named(data):
    name = data.draw(st.sampled_from(["mlp deep, biases", "conv4, not square", "resnet18, no norm"]))
    spec = spec_for(name)
    sizes = spec.sizes(dict(made(name).named_parameters()))
    tie = data.draw(st.sampled_from([tie for ties in spec.groups.values() for tie in ties]))
    axes = list(spec.axes[tie.tensor])
    group = axes[tie.axis].group
    used = [axis.group for axis in axes if axis]
    others = [g for g in sizes if sizes[g] == sizes[group] > 1 and g not in used]
    axes[tie.axis] = data.draw(st.sampled_from([None, *(Axis(other, tie.repeat) for other in others)]))
    wrong = PermutationSpec({**spec.axes, tie.tensor: tuple(axes)})
    with pytest.raises(ValueError, match=re.escape(f"{tie.tensor!r}")):
        verify_spec(made(name), wrong, *batch(name))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"fc1_weigth": (None, None)}, "'fc1.weigth' is no tensor of the net: .* mean 'fc1.weight'"),
        ({"fc1_weight": (Axis("a"),)}, "'fc1.weight' has 2 axes and its entry has 1"),
        (
            {"fc1_weight": (Axis("a"), Axis("c", 2))},
            "'fc1.weight', axis 1, has 9 entries, which do not go into 2",
        ),
        (
            {"fc1_weight": (Axis("a"), Axis("b"))},
            "'fc1.weight', axis 1, has 9 units of group 'b', which has 6",
        ),
        ({"fc2_weight": (Axis("a"), Axis("a"))}, "'fc2.weight' has group 'a' on 2 axes"),
        ({"fc1_bias": (Axis("a", 0),)}, "'fc1.bias', axis 0, has 6 entries, which do not go into 0"),
    ],
    ids=["typo", "rank", "blocks", "size", "self-tied", "no entries"],
)
def test_a_spec_that_does_not_fit_the_tensors_is_refused(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        check(**changes)


def test_a_spec_that_fits_passes():
    check()


def test_every_misfit_is_told_at_once_with_the_nearest_name():
    wrong = {name: axes for name, axes in AXES.items() if name != "fc2.bias"}
    wrong |= {"fc2.bais": (Axis("b"),), "fc3.weight": (None, None, None)}
    with pytest.raises(ValueError, match="does not fit the net") as told:
        check_spec(PermutationSpec(wrong), dict(MLP.named_parameters()))
    lines = str(told.value).splitlines()
    assert len(lines) == 4
    assert "'fc2.bias' has no entry" in lines[1]
    assert "did you mean 'fc2.bais'?" in lines[1]
    assert "'fc2.bais' is no tensor of the net" in lines[2]
    assert "'fc3.weight' has 2 axes and its entry has 3" in lines[3]
