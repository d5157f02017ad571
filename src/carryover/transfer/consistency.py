"""How much the transferred points move while the permutation is refined."""

from collections.abc import Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

from carryover.core.block import Tensors
from carryover.permute.permutation import permute
from carryover.permute.spec import Permutation, PermutationSpec
from carryover.transfer.vectors import difference, norm


def distances(
    spec: PermutationSpec, permutations: Sequence[Permutation], displacement: Tensors
) -> Float64[Tensor, "steps steps"]:
    """Give the distance of theta2_{pi_s}^t from theta2_{pi_s'}^t for all s and s', at one t.

    `displacement` is theta1^t - theta1^0; the target's start cancels: the distance is that of pi_s and pi_s' of the
    displacement, between 0 and twice its norm. Two permuted copies of it are held at a time, and each pair of
    permutations costs one of them: pass the permutations of a few steps where nets are large.

    Source: learning transfer, section 1.2 (consistency lemma, there for t <= s < s') and section 5.
    """
    found = torch.zeros(len(permutations), len(permutations), dtype=torch.float64)
    for row, permutation in enumerate(permutations):
        moved = permute(spec, permutation, displacement)
        for column, other in enumerate(permutations[:row]):
            found[row, column] = norm(difference(moved, permute(spec, other, displacement)))
    return found + found.T
