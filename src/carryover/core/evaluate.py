"""Evaluation: accuracy and loss of a block of nets on a split."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from carryover.core.block import cross_entropy

Predict = Callable[[Float[Tensor, "block batch channels height width"]], Float[Tensor, "block batch classes"]]
SplitBatches = Iterable[tuple[Float[Tensor, "_ channels height width"], Int[Tensor, " _"]]]


@torch.no_grad()
def evaluate(predict: Predict, split: SplitBatches, num_nets: int) -> dict[str, list[float]]:
    """Measure the `accuracy` (fraction) and `loss` (nats per example) of each net of a block on a split.

    Sums are exact counts and fp64, so the batch size does not show in the result beyond the logits' rounding.
    """
    count, right, loss = 0, [], []
    for images, labels in split:
        both = labels.expand(num_nets, -1)
        logits = predict(images.expand(num_nets, *images.shape))
        right.append((logits.argmax(-1) == both).sum(-1))
        loss.append(cross_entropy(logits, both).double() * len(labels))
        count += len(labels)
    assert count, "an empty split has no accuracy"
    accuracies, losses = torch.stack(right).sum(0).double() / count, torch.stack(loss).sum(0) / count
    return {"accuracy": accuracies.tolist(), "loss": losses.tolist()}


@dataclass(frozen=True)
class Evaluation:
    """When and on what a training is evaluated."""

    splits: Mapping[str, SplitBatches]
    """Batches by split; `test` among them."""
    num_nets: int
    num_epochs: int
    every: int
    """Epochs between two evaluations of the curve."""
    curve: str
    """Split of the curve, or "none"."""

    def after(self, epoch: int, predictor: Callable[[], Predict]) -> dict[str, dict[str, list[float]]]:
        """Measure split -> metric -> one value per net after an epoch: every split after the last one."""
        if epoch + 1 == self.num_epochs:
            wanted = list(self.splits)
        elif (epoch + 1) % self.every == 0:
            wanted = [name for name in self.splits if name == self.curve]
        else:
            wanted = []
        predict = predictor() if wanted else None
        return {name: evaluate(predict, self.splits[name], self.num_nets) for name in wanted if predict}
