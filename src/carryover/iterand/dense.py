"""Weight training: the usual baseline, on the same initial weights and batches as the tickets."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from carryover.core.block import Precision, Tensors, call, cross_entropy, placed, stack
from carryover.core.evaluate import Predict
from carryover.core.journal import Journal
from carryover.core.loop import Batches, MomentumSgd, steps
from carryover.iterand.schedule import learning_rate
from carryover.iterand.settings import DenseRun
from carryover.sparse.prunable import draw_layers, prunable


@dataclass
class Nets:
    """Stacked tensors of a block of dense nets; the first axis of each is the block."""

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


def draw_nets(net: nn.Module, seeds: Sequence[int], run: DenseRun, like: Tensor) -> Nets:
    """Draw the weights of each seed, those of the tickets with that seed; the rest as `net` has it."""
    drawn = draw_layers(net, seeds, run.weights, "weights")
    fixed = {n: p.detach() for n, p in net.named_parameters() if n not in drawn}
    parameters = {**drawn, **(stack(fixed for _ in seeds) if fixed else {})}
    buffers = stack(dict(net.named_buffers()) for _ in seeds) if dict(net.named_buffers()) else {}
    return Nets(
        net=net.requires_grad_(False),
        precision=run.precision,
        parameters=placed(parameters, like),
        buffers=placed(buffers, like),
    )


def train(nets: Nets, batches: Batches, run: DenseRun, journal: Journal) -> None:
    """Train the weights of a block of nets; in place.

    Source: IteRand, section 1.7 (weight training, the SGD baseline).
    """
    optimizer = MomentumSgd(nets.parameters, momentum=run.momentum, weight_decay=run.weight_decay)
    start = journal.restore({**nets.parameters, **nets.buffers, **optimizer.state()})
    for step in steps(batches, learning_rate(run, run.lr), run.epochs, start):
        losses = cross_entropy(nets.logits(step.images), step.labels)
        journal.close(step, optimizer.descend(step.lr, losses), nets.predictor)
        if journal.over:
            break
    weights = [float(sum(nets.parameters[name][0].numel() for name in prunable(nets.net)))]
    trained = [float(sum(tensor[0].numel() for tensor in nets.parameters.values()))]
    journal.note(batches.num_steps * run.epochs, "num_weights", weights * len(journal.seeds))
    journal.note(batches.num_steps * run.epochs, "num_trained", trained * len(journal.seeds))
