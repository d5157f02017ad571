"""Section 2.4: masks by magnitude, for Meta-LTH."""

import pytest
import torch

from carryover.core.rng import generator
from carryover.metaticket.pruning import magnitude_masks
from carryover.sparse.masks import num_kept


def test_the_largest_magnitudes_are_kept_whatever_their_sign():
    weights = {"a": torch.tensor([[0.1, -3.0], [2.0, -0.2]]), "b": torch.tensor([-1.0, 5.0, 4.0, 0.0])}
    masks = magnitude_masks(weights, 0.5)
    assert masks["a"].tolist() == [[0, 1], [1, 0]]
    assert masks["b"].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.7, 0.99, 1.0])
def test_each_tensor_loses_the_same_fraction(sparsity):
    draw = generator(0, "weights")
    weights = {"large": 100 * torch.randn(30, 20, generator=draw), "small": torch.randn(50, generator=draw)}
    for name, mask in magnitude_masks(weights, sparsity).items():
        assert mask.sum() == num_kept(mask.numel(), sparsity)
        assert mask.dtype == weights[name].dtype
        assert set(mask.unique().tolist()) <= {0.0, 1.0}
        if 0 < mask.sum() < mask.numel():
            assert weights[name][mask == 1].abs().min() > weights[name][mask == 0].abs().max()


def test_a_mask_of_weights_that_were_trained_can_not_be_derived():
    weights = {"a": torch.tensor([1.0, -2.0], requires_grad=True)}
    mask = magnitude_masks({name: weight.detach() for name, weight in weights.items()}, 0.5)["a"]
    assert not mask.requires_grad
    assert mask.tolist() == [0, 1]
