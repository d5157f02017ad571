"""Evaluation: accuracy and loss of a block of nets on a split."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from carryover.core.block import cross_entropy

Predict = Callable[[Float[Tensor, "block batch channels height width"]], Float[Tensor, "block batch classes"]]
SplitBatches = Iterable[tuple[Float[Tensor, "_ channels height width"], Int[Tensor, " _"]]]
Measured = dict[str, dict[str, list[float]]]
"""What an evaluation gives: split -> metric -> one value per net."""


def count_right(
    logits: Float[Tensor, "block batch classes"], labels: Int[Tensor, "block batch"]
) -> Int[Tensor, " block"]:
    """Count the images of each net's batch whose largest logit is that of their label."""
    return (logits.argmax(-1) == labels).sum(-1)


@torch.no_grad()
def evaluate(predict: Predict, split: SplitBatches, num_nets: int) -> dict[str, list[float]]:
    """Measure the `accuracy` (fraction) and `loss` (nats per example) of each net of a block on a split.

    Sums are exact counts and fp64, so the batch size does not show in the result beyond the logits' rounding.
    """
    count, right, loss = 0, [], []
    for images, labels in split:
        both = labels.expand(num_nets, -1)
        logits = predict(images.expand(num_nets, *images.shape))
        right.append(count_right(logits, both))
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
    curve: Collection[str]
    """Splits of the curve; names of others are of no effect."""
    start: bool = False
    """Whether the curve has a point before the first step."""
    training: bool = False
    """Whether the running accuracy on the training images is recorded beside their loss."""

    def before(self, predictor: Callable[[], Predict]) -> Measured:
        """Measure the curve before the first step, if it begins there."""
        return self._measure(self._on_curve() if self.start else [], predictor)

    def after(self, epoch: int, predictor: Callable[[], Predict]) -> Measured:
        """Measure the curve after an epoch, if it has a point there; every split after the last epoch."""
        if epoch + 1 == self.num_epochs:
            return self._measure(list(self.splits), predictor)
        return self._measure(self._on_curve() if (epoch + 1) % self.every == 0 else [], predictor)

    def _on_curve(self) -> list[str]:
        return [name for name in self.splits if name in self.curve]

    def _measure(self, wanted: list[str], predictor: Callable[[], Predict]) -> Measured:
        predict = predictor() if wanted else None
        return {name: evaluate(predict, self.splits[name], self.num_nets) for name in wanted if predict}
