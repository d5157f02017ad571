"""The training loop as a generator: it yields a step before its forward pass, the caller does the rest."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

Batch = tuple[Float[Tensor, "block batch channels height width"], Int[Tensor, "block batch"]]


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


def momentum_sgd(
    tensors: dict[str, Tensor], *, momentum: float, weight_decay: float
) -> tuple[torch.optim.Optimizer, dict[str, Tensor]]:
    """Make SGD over the tensors of a block; return it with its buffers, named `momentum/<tensor>`.

    The buffers exist, as zeros, before the first step, so that a saved state has one shape throughout; the
    first step then computes 0 * momentum + gradient, the value that torch would have stored.
    """
    for tensor in tensors.values():
        tensor.requires_grad_(True)
    optimizer = torch.optim.SGD(
        list(tensors.values()), lr=0.0, momentum=momentum, weight_decay=weight_decay, fused=True
    )
    buffers = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        optimizer.state[tensor]["momentum_buffer"] = buffers[name]
    return optimizer, {f"momentum/{name}": buffer for name, buffer in buffers.items()}


def descend(
    optimizer: torch.optim.Optimizer, lr: float, losses: Float[Tensor, " block"]
) -> Float[Tensor, " block"]:
    """Take one optimizer step for every net of a block; the losses stay on the device.

    The nets share no tensor, so the gradient of the sum is each net's own gradient.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    losses.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return losses.detach()
