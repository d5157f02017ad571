"""Ordinary training as a control: what as many gradient evaluations give without any transfer."""

from collections.abc import Iterator, Sequence

from carryover.core.block import Tensors
from carryover.transfer.descent import Descent
from carryover.transfer.network import BatchesAt, Network


def standard(
    network: Network,
    descent: Descent,
    batches: BatchesAt,
    evaluations: Sequence[int],
    lr: float,
    done: int = 0,
) -> Iterator[Tensors]:
    """Train a target by SGD and yield its parameters after each of the given numbers of gradients.

    `descent` begins at theta2^0, or at what it was after `done` gradients. The numbers rise; 0 is the start itself. A
    step takes one gradient evaluation, on the mini-batches of its number.

    Source: learning transfer, section 1.7 (standard training).
    Departs: the learning rate stays as it is, and the batches of a step are averaged as those of a matched gradient.
    """
    assert list(evaluations) == sorted(set(evaluations)), f"numbers of gradients rise: got {evaluations}"
    for wanted in evaluations:
        for number in range(done, wanted):
            descent.descend(network.gradient(descent.parameters, batches(number)), lr)
        done = wanted
        yield descent.parameters
