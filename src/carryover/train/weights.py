"""Training of all weights of a block of nets."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from carryover.core.adamw import AdamW
from carryover.core.block import Precision, Tensors, call, cross_entropy, placed, stack
from carryover.core.evaluate import Predict, count_right
from carryover.core.journal import Journal, Recorder
from carryover.core.loop import Batches, MomentumSgd, steps
from carryover.train.schedule import learning_rate
from carryover.train.settings import WeightTraining

Optimizer = MomentumSgd | AdamW
OPTIMIZERS: dict[str, type[MomentumSgd] | type[AdamW]] = {"sgd": MomentumSgd, "adamw": AdamW}


@dataclass
class Nets:
    """Stacked tensors of a block of nets; the first axis of each is the block."""

    net: nn.Module
    precision: Precision
    parameters: Tensors
    buffers: Tensors

    def logits(
        self, images: Float[Tensor, "block batch channels height width"]
    ) -> Float[Tensor, "block batch classes"]:
        """Run each net on its own training batch."""
        if not self.net.training:  # walking over all modules would cost a small net a tenth of its step
            self.net.train()
        return call(self.net, {**self.parameters, **self.buffers}, images, self.precision)

    def predictor(self) -> Predict:
        """Set the nets to evaluation."""
        self.net.eval()
        return lambda images: call(self.net, {**self.parameters, **self.buffers}, images, self.precision)


def stack_nets(net: nn.Module, states: Sequence[Tensors], precision: Precision, like: Tensor) -> Nets:
    """Make a block of single nets, each given by all of its parameters and buffers, on the device of `like`.

    `net` gives the architecture only. The block shares no memory with `states`.
    """
    parameters, buffers = dict(net.named_parameters()), dict(net.named_buffers())
    names = {*parameters, *buffers}
    assert all(state.keys() == names for state in states), "a state has all tensors of its net and no others"
    stacked = placed(stack(states), like)
    return Nets(
        net=net.requires_grad_(False),
        precision=precision,
        parameters={name: stacked[name] for name in parameters},
        buffers={name: stacked[name] for name in buffers},
    )


def optimizer_of(run: WeightTraining, parameters: Tensors) -> Optimizer:
    """Make the optimizer that a run names."""
    return OPTIMIZERS[run.optimizer](parameters, momentum=run.momentum, weight_decay=run.weight_decay)


def train(
    nets: Nets, batches: Batches, run: WeightTraining, journal: Journal, record: Recorder | None = None
) -> None:
    """Train a block of nets; in place. `record` keeps nets along the way.

    Source: IteRand, section 1.7 (weight training, the SGD baseline); learning transfer, section 2.5.
    """
    optimizer = optimizer_of(run, nets.parameters)
    start = journal.restore({**nets.parameters, **nets.buffers, **optimizer.state()}, record)
    if start == 0:
        journal.begin(nets.predictor)
    for step in steps(batches, learning_rate(run, run.lr), run.epochs, start):
        logits = nets.logits(step.images)
        losses = optimizer.descend(step.lr, cross_entropy(logits, step.labels))
        num_right = count_right(logits, step.labels) if journal.counts_right else None
        journal.close(step, losses, nets.predictor, num_right)
        if journal.over:
            break
