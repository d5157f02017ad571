"""Compact tickets: a trained subnetwork as one seed, one mask, and for each kept weight the event that drew it."""

from collections.abc import Mapping
from hashlib import sha256

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from carryover.core.block import Tensors
from carryover.iterand.tickets import Tickets

MASK, EVENT, OTHER, CHECK = "mask/", "event/", "other/", "check"


@torch.no_grad()
def compact(
    tickets: Tickets, redrawn: Mapping[str, Int[Tensor, "block *shape"]] | None = None
) -> dict[int, Tensors]:
    """Store each net of a block, by seed, as what the seed cannot tell: masks, events and other tensors.

    A mask is one bit per weight; an event is the number of the last redraw of each kept weight (0: the initial
    draw), in the fewest bytes that hold the largest, and absent where no kept weight was ever redrawn. Other
    tensors are batch-norm statistics; biases are zero and not stored. A digest of the kept weights tells
    whoever draws them again whether they are the same.
    Source: IteRand, section 6.3; the digest is ours.
    """
    tickets.subnetworks()
    buffers = dict(tickets.net.named_buffers())
    stored = {}
    for i, seed in enumerate(tickets.seeds):
        masks = {name: mask[i].cpu().bool() for name, mask in tickets.masks.items()}
        events = {name: index[i].cpu() for name, index in (redrawn or {}).items()}
        kept = {name: weight[i].cpu()[masks[name]] for name, weight in tickets.weights.items()}
        others = {OTHER + name: t[i].cpu() for name, t in tickets.others.items() if name in buffers}
        stored[seed] = {**_masks_and_events(masks, events), **others, CHECK: digest_of_kept(kept)}
    return stored


def digest_of_kept(kept: Mapping[str, Float[Tensor, "..."]]) -> UInt8[Tensor, "32"]:
    """Hash the kept weights of a net, in fp32 and in the order of the names of their layers."""
    digest = sha256()
    for name in sorted(kept):
        digest.update(kept[name].float().numpy().tobytes())
    return torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8)


def _masks_and_events(
    masks: Mapping[str, Bool[Tensor, "..."]], redrawn: Mapping[str, Int[Tensor, "..."]]
) -> Tensors:
    stored: Tensors = {}
    for name, mask in masks.items():
        stored[MASK + name] = torch.from_numpy(np.packbits(mask.numpy()))
        if name in redrawn and (events := redrawn[name][mask]).any():
            stored[EVENT + name] = _narrow(events)
    return stored


def _narrow(events: Int[Tensor, " kept"]) -> Tensor:
    largest = int(events.max())
    return events.to(torch.uint8 if largest < 2**8 else torch.int16 if largest < 2**15 else torch.int32)
