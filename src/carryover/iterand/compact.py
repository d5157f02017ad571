"""Compact tickets: a trained subnetwork as one seed, one mask, and for each kept weight the event that drew it."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from carryover.core.block import Tensors
from carryover.iterand.tickets import Tickets

MASK, EVENT, OTHER = "mask/", "event/", "other/"


@torch.no_grad()
def compact(
    tickets: Tickets, redrawn: Mapping[str, Int[Tensor, "block *shape"]] | None = None
) -> dict[int, Tensors]:
    """Store each net of a block, by seed, as what the seed cannot tell: masks, events and other tensors.

    A mask is one bit per weight; an event is the number of the last redraw of each kept weight (0: the initial
    draw), in the fewest bytes that hold the largest, and absent where no kept weight was ever redrawn. Other
    tensors are batch-norm statistics; biases are zero and not stored.
    Source: IteRand, section 6 (storage); the exact form with one mask instead of one per event is ours.
    """
    tickets.subnetworks()
    buffers = dict(tickets.net.named_buffers())
    return {
        seed: {
            **_masks_and_events({n: m[i] for n, m in tickets.masks.items()}, {n: e[i] for n, e in (redrawn or {}).items()}),
            **{OTHER + n: t[i].cpu() for n, t in tickets.others.items() if n in buffers},
        }
        for i, seed in enumerate(tickets.seeds)
    }


def _masks_and_events(
    masks: Mapping[str, Float[Tensor, "*shape"]], redrawn: Mapping[str, Int[Tensor, "*shape"]]
) -> Tensors:
    stored: Tensors = {}
    for name, mask in masks.items():
        kept = mask.cpu().bool()
        stored[MASK + name] = torch.from_numpy(np.packbits(kept.numpy()))
        if name in redrawn and (events := redrawn[name].cpu()[kept]).any():
            stored[EVENT + name] = _narrow(events)
    return stored


def _narrow(events: Int[Tensor, " kept"]) -> Tensor:
    largest = int(events.max())
    return events.to(torch.uint8 if largest < 2**8 else torch.int16 if largest < 2**15 else torch.int32)
