import torch

from carryover.permute.spec import Axis, PermutationSpec, Tie

SPEC = PermutationSpec(
    {
        "conv.weight": (Axis("conv"), None, None, None),
        "norm.running_mean": (Axis("conv"),),
        "norm.num_batches_tracked": (),
        "fc.weight": (Axis("fc"), Axis("conv", 4)),
    }
)
TENSORS = {
    "conv.weight": torch.zeros(3, 1, 3, 3),
    "norm.running_mean": torch.zeros(3),
    "norm.num_batches_tracked": torch.tensor(0),
    "fc.weight": torch.zeros(5, 12),
}


def test_the_groups_of_a_spec_list_their_ties_in_the_order_of_the_tensors():
    assert SPEC.groups == {
        "conv": [Tie("conv.weight", 0, 1), Tie("norm.running_mean", 0, 1), Tie("fc.weight", 1, 4)],
        "fc": [Tie("fc.weight", 0, 1)],
    }


def test_a_group_has_as_many_units_as_its_axes_have_blocks():
    assert SPEC.sizes(TENSORS) == {"conv": 3, "fc": 5}


def test_any_tensor_of_a_group_tells_its_size_and_a_group_without_one_has_none():
    assert SPEC.sizes({"fc.weight": TENSORS["fc.weight"]}) == {"conv": 3, "fc": 5}
    assert SPEC.sizes({"norm.running_mean": TENSORS["norm.running_mean"]}) == {"conv": 3}
