"""Masks: which weights of a layer are kept, as a function of their popup scores."""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import floor
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

Rank = Literal["raw", "absolute"]
Scope = Literal["layer", "global"]
KeepRule = Literal["exact", "authors"]


@dataclass(frozen=True)
class MaskRule:
    """How popup scores become a mask."""

    sparsity: float
    """Fraction that the mask removes, in [0, 1]."""
    rank: Rank = "raw"
    """Rank by the score itself (IteRand) or by its absolute value (hidden-networks)."""
    scope: Scope = "layer"
    """Rank within each layer (both papers) or over all layers at once."""
    keep_rule: KeepRule = "exact"
    """`exact`: see `num_kept`; `authors`: the published code's threshold, ties kept."""


@lru_cache
def num_kept(num_weights: int, sparsity: float, keep_rule: KeepRule = "exact") -> int:
    """Count the weights that a layer of `num_weights` keeps, if no scores tie.

    `exact` keeps `n - floor(p n)`, where p is the decimal that a person wrote: 0.7 of 10 removes 7, although
    the nearest float is below 0.7. `authors` keeps `n - round_half_even(p (n - 1))`.
    Source: IteRand, section 1.2 (edge-popup's top-k); the two rules differ by at most a few weights.
    Departs: `exact` is ours; its count is the same for every score tensor.
    """
    decimal = Fraction(str(sparsity))
    if keep_rule == "authors":
        return num_weights - round(decimal * (num_weights - 1))
    return num_weights - floor(decimal * num_weights)


def top_mask(
    scores: Float[Tensor, "block n"], kept: int, *, keep_ties: bool = False
) -> Bool[Tensor, "block n"]:
    """Mark the `kept` highest scores of each row; ties keep the lower flat index, or all with `keep_ties`.

    On a CPU the selection is introselect, linear in n and several times faster than sorting; on other
    devices nothing is sent back to the host.
    """
    num_weights = scores.shape[-1]
    if kept == num_weights:
        return torch.ones_like(scores, dtype=torch.bool)
    if kept == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    threshold = _order_statistic(scores, num_weights - kept)
    mask = scores >= threshold
    if keep_ties or (scores.device.type == "cpu" and int(mask.count_nonzero()) == kept * len(scores)):
        return mask
    above, tied = scores > threshold, scores == threshold
    room = kept - above.sum(-1, keepdim=True)
    return above | (tied & (tied.cumsum(-1) <= room))


def _order_statistic(scores: Float[Tensor, "block n"], rank: int) -> Float[Tensor, "block 1"]:
    """Find the score with `rank` others below it in each row."""
    if scores.device.type == "cpu":
        ordered = np.partition(scores.numpy(), rank, axis=-1)
        return torch.from_numpy(np.ascontiguousarray(ordered[:, rank : rank + 1]))
    return scores.kthvalue(rank + 1, dim=-1, keepdim=True).values


class _StraightThrough(torch.autograd.Function):
    """Return the mask; hand the mask's gradient to the scores as it is."""

    generate_vmap_rule = True

    @staticmethod
    def forward(scores: Tensor, mask: Tensor) -> Tensor:
        return mask.to(scores.dtype)

    @staticmethod
    def setup_context(ctx: object, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        pass  # the identity remembers nothing

    @staticmethod
    def backward(ctx: object, grad_mask: Tensor) -> tuple[Tensor, None]:
        return grad_mask, None


def keep_top(
    scores: Float[Tensor, "*shape"], sparsity: float, keep_rule: KeepRule = "exact"
) -> Float[Tensor, "*shape"]:
    """Mark with 1 the highest scores of one layer and with 0 the rest; backward is the identity.

    Exactly `num_kept` entries are 1 under the `exact` rule, ties or not.
    Source: IteRand, sections 1.2 and 1.3 (mask and straight-through gradient of edge-popup).
    """
    return masks_of({"": scores[None]}, MaskRule(sparsity, keep_rule=keep_rule))[""][0]


def at_least(scores: Float[Tensor, "*shape"], threshold: float | Tensor) -> Float[Tensor, "*shape"]:
    """Mark with 1 the scores that reach a fixed threshold; backward is the identity.

    Source: Meta-ticket, section 3 (thresholds fixed at initialisation, so that sparsity may drift).
    """
    return _StraightThrough.apply(scores, scores >= threshold)  # type: ignore[no-any-return]


def masks_of(
    scores: dict[str, Float[Tensor, "block *shape"]], rule: MaskRule
) -> dict[str, Float[Tensor, "block *shape"]]:
    """Turn the scores of a block of nets into masks, each net on its own; backward is the identity.

    With rank `absolute` the gradient that reaches a score carries its sign.
    Raises ValueError when `rule.scope` is global and keeps fewer weights than there are layers.
    """
    ranked = {name: s.abs() if rule.rank == "absolute" else s for name, s in scores.items()}
    flat = {name: s.detach().flatten(1) for name, s in ranked.items()}
    marks = _global_marks(flat, rule) if rule.scope == "global" else _layer_marks(flat, rule)
    return {name: _StraightThrough.apply(s, marks[name].view_as(s)) for name, s in ranked.items()}


def _layer_marks(flat: dict[str, Tensor], rule: MaskRule) -> dict[str, Tensor]:
    authors = rule.keep_rule == "authors"
    return {
        name: top_mask(s, num_kept(s.shape[-1], rule.sparsity, rule.keep_rule), keep_ties=authors)
        for name, s in flat.items()
    }


def _global_marks(flat: dict[str, Tensor], rule: MaskRule) -> dict[str, Tensor]:
    """Rank all layers together; the best score of each layer is kept first, so that no layer is emptied."""
    sizes = [s.shape[-1] for s in flat.values()]
    kept = num_kept(sum(sizes), rule.sparsity, rule.keep_rule)
    if kept < len(sizes):
        raise ValueError(
            f"sparsity {rule.sparsity} with scope 'global' keeps {kept} weights, fewer than the {len(sizes)}"
            " layers; lower the sparsity or use scope 'layer'"
        )
    guarded = [s.scatter(-1, s.argmax(-1, keepdim=True), torch.inf) for s in flat.values()]
    mask = top_mask(torch.cat(guarded, dim=-1), kept, keep_ties=rule.keep_rule == "authors")
    return dict(zip(flat, torch.split(mask, sizes, dim=-1), strict=True))
