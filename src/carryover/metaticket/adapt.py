"""The inner loop: gradient steps on the support, as a pure function of parameters."""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor

from carryover.core.block import Tensors

Rates = Mapping[str, float | Tensor]
"""Rate of each parameter that the inner loop moves; a tensor has one rate for each of its entries."""
Derivatives = Literal["second", "first", "none"]
Loss = Callable[[Tensors], Tensor]
Gradient = Callable[[Callable[[Tensors], Tensor], Tensors], Tensors]


def adapt(
    loss: Loss, start: Tensors, rates: Rates, num_steps: int, *, derivatives: Derivatives, gradient: Gradient
) -> Iterator[Tensors]:
    """Yield the parameters before the first step and after every step of gradient descent.

    Parameters without a rate pass through: no gradient with respect to them is taken, and none at all where nothing
    has a rate. `derivatives` says what of the
    steps can be derived again: all (`second`), the parameters but not their gradients (`first`), or nothing. Where it
    is not `second`, gradients are taken at constants: no graph is made that could keep memory from step to step.

    A mask needs no code of its own. The loss at the unmasked weights w, seen through the mask m, has the gradient
    m * G, with G that at the effective weights m * w; so a step on w moves the effective weights by
    -rate * m^2 * G. Rates of rate * m^2 on effective weights are therefore the inner loop on unmasked ones, with the
    same derivatives with respect to m.
    Source: Meta-ticket, sections 1.3 and 1.9.
    """
    parameters = start
    yield parameters
    for _ in range(num_steps):
        at = parameters if derivatives == "second" else _constants(parameters)
        moving = {name: at[name] for name in rates}
        # autograd takes no gradient with respect to nothing
        slopes = gradient(lambda own, at=at: loss({**at, **own}), moving) if moving else {}  # type: ignore[misc]
        moved = {name: _descended(parameters[name], rate, slopes[name]) for name, rate in rates.items()}
        if derivatives == "none":
            moved = _constants(moved)
        parameters = {**parameters, **moved}
        yield parameters


def _descended(tensor: Tensor, rate: float | Tensor, slope: Tensor) -> Tensor:
    """Give tensor - rate * slope in one pass over memory: such passes are much of a step on a few examples."""
    if isinstance(rate, Tensor):
        return torch.addcmul(tensor, rate, slope, value=-1)
    return torch.sub(tensor, slope, alpha=rate)


def _constants(tensors: Tensors) -> Tensors:
    return {name: tensor.detach() for name, tensor in tensors.items()}


def graph_gradient(*, second: bool) -> Gradient:
    """Take gradients from autograd's graph: the fastest way for one task; not for use inside `vmap`."""

    def gradient(loss: Callable[[Tensors], Tensor], moving: Tensors) -> Tensors:
        with torch.enable_grad():
            inputs = {
                name: t if t.requires_grad else t.detach().requires_grad_() for name, t in moving.items()
            }
            slopes = torch.autograd.grad(
                loss(inputs), list(inputs.values()), create_graph=second, materialize_grads=True
            )
        return dict(zip(moving, slopes, strict=True))

    return gradient


def functional_gradient(loss: Callable[[Tensors], Tensor], moving: Tensors) -> Tensors:
    """Take gradients as a transformed function, which works inside `vmap`."""
    slopes: Tensors = torch.func.grad(loss)(moving)
    return slopes
