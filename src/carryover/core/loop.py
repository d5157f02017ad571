"""The training loop as a generator: it yields a step before its forward pass, the caller does the rest."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.optim.sgd import sgd

Batch = tuple[Float[Tensor, "block batch channels height width"], Int[Tensor, "block batch"]]


@runtime_checkable
class Batches(Protocol):
    """Training batches of a block, the same for every method that trains with the same seeds."""

    @property
    def num_steps(self) -> int:
        """Steps of one epoch; the last batch may be smaller."""
        ...

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from step `start` of it on."""
        ...


@dataclass(frozen=True)
class Step:
    """One optimizer step that is about to happen."""

    index: int
    """0-based, over the whole training."""
    epoch: int
    lr: float
    images: Float[Tensor, "block batch channels height width"]
    labels: Int[Tensor, "block batch"]
    closes_epoch: bool


def steps(
    batches: Batches, schedule: Callable[[int], float], num_epochs: int, start: int = 0
) -> Iterator[Step]:
    """Yield every step from `start` on, each before its forward pass; the learning rate changes by epoch."""
    for epoch in range(start // batches.num_steps, num_epochs):
        first = start - epoch * batches.num_steps if epoch == start // batches.num_steps else 0
        for position, (images, labels) in enumerate(batches.epoch(epoch, first), first):
            index = epoch * batches.num_steps + position
            yield Step(index, epoch, schedule(epoch), images, labels, position + 1 == batches.num_steps)


class MomentumSgd:
    """SGD with momentum and L2 penalty over the tensors of a block; no Nesterov, no dampening.

    The update is torch's own function; its optimizer class would import the compiler on first use, a second
    of every process. The momenta exist, as zeros, before the first step, so that a saved state has one shape
    throughout; the first step then computes 0 * momentum + gradient, the value that torch would have stored.
    """

    def __init__(self, tensors: dict[str, Tensor], *, momentum: float, weight_decay: float):
        self.momentum, self.weight_decay = momentum, weight_decay
        self.tensors = [tensor.requires_grad_(True) for tensor in tensors.values()]
        self.momenta = {
            name: torch.zeros_like(tensor, requires_grad=False) for name, tensor in tensors.items()
        }

    def state(self) -> dict[str, Tensor]:
        """Name the tensors to save with the training."""
        return {f"momentum/{name}": momentum for name, momentum in self.momenta.items()}

    def descend(self, lr: float, losses: Float[Tensor, " block"]) -> Float[Tensor, " block"]:
        """Take one step for every net of a block; the losses stay on the device.

        The nets share no tensor, so the gradient of the sum is each net's own gradient.
        """
        self.step(lr, torch.autograd.grad(losses.sum(), self.tensors))
        return losses.detach()

    @torch.no_grad()
    def step(self, lr: float, gradients: Sequence[Tensor]) -> None:
        """Take one step along gradients that are in the order of the tensors."""
        sgd(
            self.tensors,
            [g.contiguous() for g in gradients],  # the fused update walks raw memory
            list(self.momenta.values()),
            fused=True,
            lr=lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
