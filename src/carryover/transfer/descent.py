"""SGD for one net whose gradients are computed elsewhere."""

import torch

from carryover.core.block import Tensors


class Descent:
    """SGD with momentum and L2 penalty, as `core.loop.MomentumSgd`; each step makes new tensors."""

    def __init__(self, start: Tensors, *, momentum: float, weight_decay: float = 0.0):
        self.parameters = dict(start)
        self._momentum, self._weight_decay = momentum, weight_decay
        self._momenta = {name: torch.zeros_like(tensor) for name, tensor in start.items()}

    def state(self) -> Tensors:
        """Name all tensors that further steps depend on."""
        return {**self.parameters, **{f"momentum/{name}": own for name, own in self._momenta.items()}}

    def restore(self, state: Tensors) -> None:
        """Go on from what `state` gave."""
        self.parameters = {name: state[name] for name in self.parameters}
        self._momenta = {name: state[f"momentum/{name}"] for name in self._momenta}

    @torch.no_grad()
    def descend(self, gradient: Tensors, lr: float) -> None:
        """Take one step along a gradient of the loss."""
        self._momenta = {
            name: self._momentum * momentum
            + gradient[name].add(self.parameters[name], alpha=self._weight_decay)
            for name, momentum in self._momenta.items()
        }
        self.parameters = {
            name: own.sub(self._momenta[name], alpha=lr) for name, own in self.parameters.items()
        }
