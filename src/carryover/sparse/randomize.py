"""Redraw: the weights that the mask has pruned are replaced by fresh ones, in place."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from carryover.core import rng
from carryover.sparse.init import Distribution, draw_weights


@torch.no_grad()
def redraw_pruned_(
    weight: Float[Tensor, "*shape"],
    mask: Float[Tensor, "*shape"],
    fan_in: int,
    distribution: Distribution,
    prob: float,
    draw: torch.Generator,
) -> Bool[Tensor, "*shape"]:
    """Replace each pruned weight with probability `prob` by a fresh draw; return which ones were.

    In place; kept weights stay bit-identical, and so does the net's function. Both fields (fresh values, then
    who is chosen) are drawn for the whole layer, so that a value depends on the stream and the flat index
    alone, never on the mask: that is what lets a ticket be stored as indices of events.
    Source: IteRand, section 1.6 (naive randomization for prob = 1, partial randomization below).
    """
    fresh = draw_weights(distribution, weight.shape, fan_in, draw)
    chosen = torch.rand(weight.shape, generator=draw) < prob
    redrawn = chosen.to(weight.device) & (mask == 0)
    weight.copy_(torch.where(redrawn, fresh.to(weight), weight))
    return redrawn


def redraw_stream(seed: int, name: str, event: int) -> torch.Generator:
    """Make the stream of one redraw event (counted from 1) of one layer of the net with that seed."""
    return rng.generator(seed, "redraw", name, event)
