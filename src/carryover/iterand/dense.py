"""Weight training: the usual baseline, on the same initial weights and batches as the tickets."""

from collections.abc import Sequence

from torch import Tensor, nn

from carryover.core.block import placed, stack
from carryover.core.journal import Journal
from carryover.core.loop import Batches
from carryover.iterand.settings import DenseRun
from carryover.sparse.prunable import draw_layers, prunable
from carryover.train import weights
from carryover.train.weights import Nets


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
    """Train the weights of a block of nets, and record how many there are; in place.

    Source: IteRand, section 1.7 (weight training, the SGD baseline).
    """
    weights.train(nets, batches, run, journal)
    num_weights = [float(sum(nets.parameters[name][0].numel() for name in prunable(nets.net)))]
    num_trained = [float(sum(tensor[0].numel() for tensor in nets.parameters.values()))]
    journal.note(batches.num_steps * run.epochs, "num_weights", num_weights * len(journal.seeds))
    journal.note(batches.num_steps * run.epochs, "num_trained", num_trained * len(journal.seeds))
