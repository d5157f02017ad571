import pytest
import torch

from carryover.core import rng
from carryover.permute.permutation import compose, draw, identity, permute
from carryover.permute.spec import Axis, PermutationSpec

SPEC = PermutationSpec({"w": (Axis("g"), Axis("h")), "b": (Axis("g"),)})
TENSORS = {"w": torch.arange(6.0).view(3, 2), "b": torch.arange(3.0)}
SWAP = {"g": torch.tensor([2, 0, 1]), "h": torch.tensor([0, 1])}


def test_permuting_reads_new_entries_from_the_old_places():
    moved = permute(SPEC, SWAP, TENSORS)
    assert moved["b"].tolist() == [2, 0, 1]
    assert moved["w"].tolist() == [[4, 5], [0, 1], [2, 3]]
    assert TENSORS["b"].tolist() == [0, 1, 2]


def test_any_subset_of_the_tensors_can_be_permuted():
    assert permute(SPEC, SWAP, {"b": TENSORS["b"]})["b"].tolist() == [2, 0, 1]
    assert permute(SPEC, SWAP, {}) == {}


def test_where_nothing_moves_no_tensor_is_copied():
    still = permute(SPEC, identity({"g": 3, "h": 2}), TENSORS)
    assert all(still[name] is TENSORS[name] for name in TENSORS)


def test_gradients_flow_through_a_permutation():
    b = TENSORS["b"].clone().requires_grad_()
    permute(SPEC, SWAP, {"b": b})["b"][0].backward()
    assert b.grad.tolist() == [0, 0, 1]


def test_a_drawn_permutation_comes_from_its_generator_alone():
    sizes = {"g": 50, "h": 20}
    one, same = (draw(sizes, rng.generator(1, "permutation")) for _ in range(2))
    other = draw(sizes, rng.generator(2, "permutation"))
    for group, size in sizes.items():
        assert torch.equal(one[group], same[group])
        assert not torch.equal(one[group], other[group])
        assert torch.equal(one[group].sort().values, torch.arange(size))


def test_permutations_of_other_groups_do_not_compose():
    with pytest.raises(AssertionError, match="different groups"):
        compose(SWAP, {"g": SWAP["g"]})


@pytest.mark.parametrize(
    ("permutation", "tensors", "complaint"),
    [
        (SWAP, {"v": torch.zeros(3)}, "does not list 'v' with 1 axes"),
        (SWAP, {"b": torch.zeros(4, 3)}, "does not list 'b' with 2 axes"),
        ({"h": SWAP["h"]}, TENSORS, "'w' has 3 entries on axis 0, .* group 'g', and .* has 0 units"),
        (
            {**SWAP, "h": torch.arange(1)},
            TENSORS,
            "'w' has 2 entries on axis 1, .* group 'h', .* has 1 units",
        ),
    ],
    ids=["unknown tensor", "further axis", "no such group", "other size"],
)
def test_what_does_not_fit_is_refused_by_name(permutation, tensors, complaint):
    with pytest.raises(ValueError, match=complaint):
        permute(SPEC, permutation, tensors)
