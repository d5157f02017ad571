"""A net as a function of its parameters: outputs and losses of an episode."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from carryover.core.block import Tensors
from carryover.data.tasks import Tasks
from carryover.metaticket.settings import Norm
from carryover.nets.episode_norm import norms_with


@dataclass(frozen=True)
class Network:
    """Architecture, and how the query is normalised. All functions take one episode, without an axis of tasks."""

    net: nn.Module
    norm: Norm = "transductive"
    regression: bool = False
    """Whether targets are numbers, with the squared error as loss, or classes, with the cross-entropy."""

    def support_loss(self, parameters: Tensors, task: Tasks) -> Float[Tensor, ""]:
        """Give the mean loss on the support, normalised by its own statistics."""
        return self.loss(functional_call(self.net, parameters, (task.support_x,)), task.support_y)

    def query_outputs(self, parameters: Tensors, task: Tasks) -> Float[Tensor, "query outputs"]:
        """Predict the query.

        With `support` the statistics of batch-norm are those of the support under the same parameters, so that no
        prediction depends on what else is asked; `transductive` normalises the query by itself.
        Source: Meta-ticket, section 1.11.
        """
        if self.norm != "support":
            outputs: Tensor = functional_call(self.net, parameters, (task.query_x,))
            return outputs
        count = len(task.support_x)
        with norms_with(self.net, num_reference=count):
            both = torch.cat([task.support_x, task.query_x])
            outputs = functional_call(self.net, parameters, (both,))
        return outputs[count:]

    def loss(
        self, outputs: Float[Tensor, "n outputs"], targets: Shaped[Tensor, "n *target"]
    ) -> Float[Tensor, ""]:
        """Average cross-entropy in nats, or the squared error."""
        return F.mse_loss(outputs, targets) if self.regression else F.cross_entropy(outputs, targets)

    def score(
        self, outputs: Float[Tensor, "n outputs"], targets: Shaped[Tensor, "n *target"]
    ) -> Float[Tensor, ""]:
        """Give the accuracy as a fraction, or the mean squared error."""
        if self.regression:
            return F.mse_loss(outputs.detach(), targets)
        return (outputs.argmax(-1) == targets).to(outputs.dtype).mean()
