"""Features of a net and how they change: activations by layer, linear CKA, similarity within and between classes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from carryover.metaticket.layers import hidden_layers

ROUNDING = 1e-12
TINY = torch.finfo(torch.float64).tiny


@contextmanager
def recorded(net: nn.Module) -> Iterator[dict[int, Tensor]]:
    """Record the output of every hidden layer while `net` runs: what the next layer sees, the first layer is 0.

    Also works for `functional_call`, and inside `vmap`.
    """
    found: dict[int, Tensor] = {}

    def record(number: int, output: Tensor) -> None:
        found[number] = output

    handles = [
        net.get_submodule(names[-1]).register_forward_hook(
            lambda module, inputs, output, number=number: record(number, output)
        )
        for number, names in enumerate(hidden_layers(net))
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def linear_cka(before: Float[Tensor, "n *shape"], after: Float[Tensor, "n *shape2"]) -> Float[Tensor, ""]:
    """Compare two representations of the same examples by linear centred kernel alignment, in [0, 1].

    With the centred features X and Y it is |X^T Y|^2 / (|X^T X| |Y^T Y|) in Frobenius norms, computed in fp64 from
    the kernels of the examples, K = X X^T and L = Y Y^T, as <K, L> / sqrt(<K, K> <L, L>). Equal representations give
    exactly 1. Features that are the same for all examples hold nothing: they give 1 with others like that, else 0.
    Source: Meta-ticket, section 5.3.
    """
    own, other = _kernel(before), _kernel(after)
    joint = (own * own).sum() * (other * other).sum()
    both_constant = ((own == 0).all() & (other == 0).all()).to(own.dtype)
    return torch.where(joint > 0, (own * other).sum() / joint.clamp(min=TINY).sqrt(), both_constant)


def _kernel(features: Float[Tensor, "n *shape"]) -> Float[Tensor, "n n"]:
    """Multiply the centred features of every two examples, scaled so that the largest of all features is 1.

    It is 0 where the features differ by no more than what rounding leaves of equal ones.
    """
    flat = features.flatten(1).double()
    centred = flat - flat.mean(0)
    spread = centred.abs().amax()
    centred = torch.where(spread > ROUNDING * flat.abs().amax(), centred / spread.clamp(min=TINY), 0.0)
    return centred @ centred.T


def class_cosines(
    features: Float[Tensor, "n *shape"], labels: Int[Tensor, " n"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Give the mean cosine similarity of two examples of one class, and of two examples of different classes.

    It is nan where there are no such two examples: none of one class in a query of 1 shot. Features that are all 0
    have the similarity 0 with all others.
    Source: Meta-ticket, section 5.3 (as BOIL's analysis has them).
    """
    unit = F.normalize(features.flatten(1).double())
    cosines = unit @ unit.T
    same = (labels[:, None] == labels).to(cosines.dtype)
    within, between = same - torch.eye(len(labels), dtype=same.dtype, device=same.device), 1 - same
    return (cosines * within).sum() / within.sum(), (cosines * between).sum() / between.sum()
