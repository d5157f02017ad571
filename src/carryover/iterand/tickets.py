"""Tickets: a block of random nets with popup scores, whose masks pick a subnetwork of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from carryover.core.block import Precision, Tensors, call, placed, stack
from carryover.core.evaluate import Predict
from carryover.core.journal import Journal
from carryover.iterand.settings import PopupRun
from carryover.sparse.masks import MaskRule, masks_of
from carryover.sparse.prunable import draw_layers, prunable


@dataclass
class Tickets:
    """Stacked tensors of a block of masked nets; the first axis of each is the block.

    `masks` are those of the last forward pass, 0/1.
    """

    net: nn.Module
    seeds: tuple[int, ...]
    rule: MaskRule
    precision: Precision
    fan_in: dict[str, int]
    weights: dict[str, Float[Tensor, "block *shape"]]
    scores: dict[str, Float[Tensor, "block *shape"]]
    others: Tensors
    """Biases, all zero, and buffers."""
    masks: Tensors

    def subnetworks(self) -> Tensors:
        """Multiply weights by the masks of the scores as they are now, and remember the masks."""
        masks = masks_of(self.scores, self.rule)
        self.masks = {name: mask.detach() for name, mask in masks.items()}
        return {name: weight * masks[name] for name, weight in self.weights.items()}

    def logits(
        self, images: Float[Tensor, "block batch channels height width"]
    ) -> Float[Tensor, "block batch classes"]:
        """Run each subnetwork on its own training batch; gradients reach the scores alone."""
        if not self.net.training:  # walking over all modules would cost a small net a tenth of its step
            self.net.train()
        return call(self.net, {**self.subnetworks(), **self.others}, images, self.precision)

    @torch.no_grad()
    def predictor(self) -> Predict:
        """Fix the subnetworks as they are now, for evaluation: their masks are computed once."""
        self.net.eval()
        fixed = {**self.subnetworks(), **self.others}
        return lambda images: call(self.net, fixed, images, self.precision)

    @torch.no_grad()
    def record_counts(self, step: int, journal: Journal) -> None:
        """Record how many weights each net has and how many its mask keeps now."""
        self.subnetworks()
        kept = torch.stack(
            [mask.flatten(1).sum(-1, dtype=torch.float64) for mask in self.masks.values()]
        ).sum(0)
        journal.note(
            step, "num_weights", [float(sum(w[0].numel() for w in self.weights.values()))] * len(kept)
        )
        journal.note(step, "num_kept", kept.tolist())

    def state(self) -> Tensors:
        """Name every tensor that training changes."""
        kinds = {"weights": self.weights, "scores": self.scores, "others": self.others}
        return {f"{kind}/{name}": t for kind, tensors in kinds.items() for name, t in tensors.items()}


def mask_rule(run: PopupRun) -> MaskRule:
    """Read the mask's rule off a run."""
    return MaskRule(run.sparsity, run.rank, run.scope, run.keep_rule)


def draw_tickets(net: nn.Module, seeds: Sequence[int], run: PopupRun, like: Tensor) -> Tickets:
    """Draw the weights and scores of each seed, in the dtype and on the device of `like`.

    Each layer has its own stream, so a net depends on its seed and its layers' names and shapes alone: not on
    the block, the device, the method or the sparsity. Biases are zero and stay so.
    Raises ValueError when the net has parameters that are neither a prunable weight nor a bias.
    Source: IteRand, sections 1.4 and 1.7 (weights from D_param, scores from D_score, batch-norm without parameters).
    """
    net.requires_grad_(False)
    fan_in = prunable(net)
    _refuse_unmasked_parameters(net, fan_in)
    rest = {n: t for n, t in (*net.named_parameters(), *net.named_buffers()) if n not in fan_in}
    others = stack(rest for _ in seeds) if rest else {}
    return Tickets(
        net=net,
        seeds=tuple(seeds),
        rule=mask_rule(run),
        precision=run.precision,
        fan_in=fan_in,
        weights=placed(draw_layers(net, seeds, run.weights, "weights"), like),
        scores=placed(draw_layers(net, seeds, run.scores, "scores"), like),
        others=placed(others, like),
        masks={},
    )


def _refuse_unmasked_parameters(net: nn.Module, fan_in: dict[str, int]) -> None:
    odd = [n for n, p in net.named_parameters() if n not in fan_in and bool(p.any())]
    if odd:
        raise ValueError(
            f"popup scores mask linear and convolution weights; {', '.join(odd)} would stay unmasked and untrained"
            " at values other than zero: build the net with batch-norm affine=False and zero biases"
        )
