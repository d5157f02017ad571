"""Loss and accuracy along straight lines between nets, and loss barriers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from carryover.core.block import Tensors
from carryover.core.evaluate import SplitBatches, evaluate
from carryover.transfer.network import Network
from carryover.transfer.vectors import interpolated

Measure = Callable[[Tensors], dict[str, float]]
"""Gives `accuracy` (fraction) and `loss` (nats per example) of the net with these parameters."""


def measure_on(network: Network, split: SplitBatches, statistics: Sequence[tuple[Tensor, Tensor]]) -> Measure:
    """Make the measure on a split, for which batch-norm statistics are rebuilt from training batches each time.

    Source: learning transfer, section 1.9.
    """

    def measure(parameters: Tensors) -> dict[str, float]:
        buffers = network.statistics(parameters, statistics)
        found = evaluate(network.predictor(parameters, buffers), split, num_nets=1)
        return {metric: values[0] for metric, values in found.items()}

    return measure


def loss_barrier(losses: Sequence[float]) -> float:
    """Give the highest loss above the chord, at equally spaced points of a segment; 0 if none is above it.

    Source: learning transfer, section 3 (E3a).
    """
    curve = torch.tensor(losses, dtype=torch.float64)
    chord = torch.linspace(losses[0], losses[-1], len(losses), dtype=torch.float64)
    return max(0.0, (curve - chord).max().item())  # at the ends, both are equal up to rounding


@dataclass(frozen=True)
class Segment:
    """What was measured at equally spaced points from one net to another, ends included."""

    losses: list[float]
    accuracies: list[float]

    @property
    def positions(self) -> list[float]:
        """Where the points lie: 0 at the first net, 1 at the second."""
        return [number / (len(self.losses) - 1) for number in range(len(self.losses))]

    @property
    def barrier(self) -> float:
        """The loss barrier between the two nets, in nats per example."""
        return loss_barrier(self.losses)

    @property
    def lowest_accuracy(self) -> float:
        """The lowest accuracy at any of the points."""
        return min(self.accuracies)


def walk(measure: Measure, first: Tensors, second: Tensors, num_points: int) -> Segment:
    """Measure equally spaced points of the segment from `first` to `second`.

    Source: learning transfer, section 3 (E3a), which has 101 points.
    """
    assert num_points >= 2, "a segment has two ends"
    found = [measure(interpolated(first, second, number / (num_points - 1))) for number in range(num_points)]
    return Segment([one["loss"] for one in found], [one["accuracy"] for one in found])


@dataclass(frozen=True)
class Solutions:
    """Three nets that solve the task, by their parameters."""

    transferred: Tensors
    """Target with the source's trajectory added: X."""
    source: Tensors
    """End of the source under the same permutation as X: Source*."""
    target: Tensors
    """Target, trained."""


def curves(measure: Measure, solutions: Solutions, num_points: int) -> dict[str, Segment]:
    """Measure the lines from X to Source* (`source`), from X to the target (`target`), and `between` these two.

    X and Source* share the whole displacement and differ by the starts alone: X - Source* = theta2^0 - pi theta1^0.
    Source: learning transfer, section 3 (E3a); the line `between`, section 7.2.
    """
    return {
        "source": walk(measure, solutions.transferred, solutions.source, num_points),
        "target": walk(measure, solutions.transferred, solutions.target, num_points),
        "between": walk(measure, solutions.source, solutions.target, num_points),
    }
