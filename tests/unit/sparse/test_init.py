import pytest
import torch

from carryover.core.rng import generator
from carryover.sparse.init import DISTRIBUTIONS, draw_weights


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_draw_is_fp32_of_its_shape_and_the_same_for_the_same_stream(distribution):
    first, second = (draw_weights(distribution, (3, 4, 5), 20, generator(0, "a")) for _ in range(2))
    assert first.dtype == torch.float32
    assert first.shape == (3, 4, 5)
    assert torch.equal(first, second)
    assert not torch.equal(first, draw_weights(distribution, (3, 4, 5), 20, generator(1, "a")))


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_value_depends_on_its_flat_index_not_on_the_shape_around_it(distribution):
    square = draw_weights(distribution, (6, 8), 20, generator(0, "a"))
    assert torch.equal(square.flatten(), draw_weights(distribution, (48,), 20, generator(0, "a")))


def test_an_unknown_distribution_is_a_mistake_of_the_programmer():
    with pytest.raises(Exception, match="normal"):
        draw_weights("normal", (2,), 2, generator(0, "a"))
