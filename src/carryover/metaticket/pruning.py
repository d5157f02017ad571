"""Masks by magnitude: which weights of a trained net are the largest."""

from carryover.core.block import Tensors
from carryover.sparse.masks import keep_top


def magnitude_masks(weights: Tensors, sparsity: float) -> Tensors:
    """Mark with 1 the weights of largest magnitude in each tensor, and with 0 the fraction `sparsity` below them.

    Source: Meta-ticket, section 2.4 (Meta-LTH).
    """
    return {name: keep_top(weight.abs(), sparsity) for name, weight in weights.items()}
