"""Gradient-sign masking: a baseline without permutation that keeps what agrees with descent at the target."""

from collections.abc import Iterator

from carryover.core.block import Tensors
from carryover.permute.permutation import identity
from carryover.transfer.problem import TransferProblem, Transferred
from carryover.transfer.vectors import difference, moved


def signs(problem: TransferProblem) -> Iterator[Transferred]:
    """Yield theta2^0 + m * (theta1^t - theta1^0), the mask m from one gradient at theta2^0.

    Source: learning transfer, section 1.13 (GradFix, with alpha = 1 and the identity as permutation).
    """
    gradient = problem.network.gradient(problem.target, problem.batches(0))
    unmoved = identity(problem.spec.sizes(problem.target))
    start = problem.source.point(0)
    num_bytes = sum(tensor.nbytes for tensor in gradient.values())
    for t in range(1, problem.source.num_steps + 1):
        kept = descending(difference(problem.source.point(t), start), gradient)
        yield Transferred(t, (unmoved,), moved(problem.target, kept, 1.0), 1, None, num_bytes)


def descending(displacement: Tensors, gradient: Tensors) -> Tensors:
    """Keep the coordinates j of a displacement with delta_j g_j < 0, and put zeros elsewhere.

    Source: learning transfer, section 1.13.
    """
    # signs are compared, since the product of two small numbers may be rounded to zero
    return {name: own * (own.sign() == -gradient[name].sign()) for name, own in displacement.items()}
