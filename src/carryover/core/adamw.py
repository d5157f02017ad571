"""AdamW over the tensors of a block, with the interface of `core.loop.MomentumSgd`."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim.adam import adam

BETA2, EPS = 0.999, 1e-8


class AdamW:
    """Adam with decoupled weight decay; `momentum` is its first beta. The update is torch's own function."""

    def __init__(self, tensors: dict[str, Tensor], *, momentum: float, weight_decay: float):
        self.beta1, self.weight_decay = momentum, weight_decay
        self.tensors = [tensor.requires_grad_(True) for tensor in tensors.values()]
        self.means, self.squares = (
            {name: torch.zeros_like(tensor, requires_grad=False) for name, tensor in tensors.items()}
            for _ in range(2)
        )
        self.count = torch.zeros(len(self.tensors[0]))  # of steps, for each net of the block

    def state(self) -> dict[str, Tensor]:
        """Name the tensors to save with the training."""
        kinds = {"mean": self.means, "square": self.squares}
        return {f"{kind}/{name}": t for kind, own in kinds.items() for name, t in own.items()} | {
            "count": self.count
        }

    def descend(self, lr: float, losses: Float[Tensor, " block"]) -> Float[Tensor, " block"]:
        """Take one step for every net of a block; the losses stay on the device."""
        self.step(lr, torch.autograd.grad(losses.sum(), self.tensors))
        return losses.detach()

    @torch.no_grad()
    def step(self, lr: float, gradients: Sequence[Tensor]) -> None:
        """Take one step along gradients that are in the order of the tensors."""
        adam(
            self.tensors,
            list(gradients),
            list(self.means.values()),
            list(self.squares.values()),
            [],
            [
                self.count.max() for _ in self.tensors
            ],  # torch counts each of them up; a diverged net's is zero
            decoupled_weight_decay=True,
            amsgrad=False,
            beta1=self.beta1,
            beta2=BETA2,
            lr=lr,
            weight_decay=self.weight_decay,
            eps=EPS,
            maximize=False,
        )
        self.count += 1
