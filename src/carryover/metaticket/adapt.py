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

    Parameters without a rate pass through: no gradient with respect to them is taken. `derivatives` says what of the
    steps can be derived again: all (`second`), the parameters but not their gradients (`first`), or nothing.

    A mask needs no code of its own. The loss at the unmasked weights w, seen through the mask m, has the gradient
    m * G, with G that at the effective weights m * w; so a step on w moves the effective weights by
    -rate * m^2 * G. Rates of rate * m^2 on effective weights are therefore the inner loop on unmasked ones, with the
    same derivatives with respect to m.
    Source: Meta-ticket, sections 1.3 and 1.9.
    """
    parameters = start
    yield parameters
    for _ in range(num_steps):
        moving = {name: parameters[name] for name in rates}
        fixed = parameters
        slopes = gradient(lambda own, fixed=fixed: loss({**fixed, **own}), moving)  # type: ignore[misc]
        if derivatives != "second":
            slopes = {name: slope.detach() for name, slope in slopes.items()}
        moved = {name: tensor - rates[name] * slopes[name] for name, tensor in moving.items()}
        if derivatives == "none":
            moved = {name: tensor.detach() for name, tensor in moved.items()}
        parameters = {**parameters, **moved}
        yield parameters


def graph_gradient(*, second: bool) -> Gradient:
    """Take gradients from autograd's graph: the fastest way for one task; not for use inside `vmap`."""

    def gradient(loss: Callable[[Tensors], Tensor], moving: Tensors) -> Tensors:
        with torch.enable_grad():
            inputs = {name: t if t.requires_grad else t.detach().requires_grad_() for name, t in moving.items()}
            slopes = torch.autograd.grad(loss(inputs), list(inputs.values()), create_graph=second)
        return dict(zip(moving, slopes, strict=True))

    return gradient


def functional_gradient(loss: Callable[[Tensors], Tensor], moving: Tensors) -> Tensors:
    """Take gradients as a transformed function, which works inside `vmap`."""
    slopes: Tensors = torch.func.grad(loss)(moving)
    return slopes
