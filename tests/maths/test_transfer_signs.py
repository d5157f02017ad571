"""Gradient-sign masking: section 1.13."""

import pytest
import torch
from transfer_problems import NETS, problem, same

from carryover.permute.permutation import identity
from carryover.transfer.methods import METHODS
from carryover.transfer.signs import descending
from carryover.transfer.vectors import difference, inner


@pytest.mark.parametrize("net", NETS)
def test_coordinates_are_kept_where_they_descend_and_zero_elsewhere(net):
    own = problem(net)
    gradient = own.network.gradient(own.target, own.batches(0))
    for found in METHODS["signs"](own):
        way = difference(own.source.point(found.step), own.source.point(0))
        for name, start in own.target.items():
            expected = [
                s + (d if d * g < 0 else 0.0)
                for s, d, g in zip(
                    start.flatten().tolist(),
                    way[name].flatten().tolist(),
                    gradient[name].flatten().tolist(),
                    strict=True,
                )
            ]
            assert found.parameters[name].flatten().tolist() == expected


def test_what_is_kept_never_ascends():
    own = problem("deep")
    gradient = own.network.gradient(own.target, own.batches(0))
    way = difference(own.source.point(3), own.source.point(0))
    kept = inner(descending(way, gradient), gradient)
    assert kept < 0
    assert kept <= inner(way, gradient)


def test_the_mask_sees_signs_of_numbers_whose_product_vanishes():
    tiny = torch.tensor([1e-30, 1e-30, -1e-30, 0.0, 1.0])
    kept = descending({"w": tiny}, {"w": torch.tensor([-1e-30, 1e-30, 1e-30, 1.0, 0.0])})
    assert torch.equal(kept["w"], torch.tensor([1e-30, 0.0, -1e-30, 0.0, 0.0]))


def test_masking_takes_one_gradient_and_the_identity():
    own = problem("shallow")
    for found in METHODS["signs"](own):
        assert found.num_gradients == 1
        assert same(found.permutations[0], identity(own.spec.sizes(own.target)))
    assert own.network.num_gradients == 1
