"""Compact tickets: a trained subnetwork as one seed, one mask, and for each kept weight the event that drew it."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from carryover.core import rng
from carryover.core.block import Tensors
from carryover.iterand.settings import PopupRun
from carryover.iterand.tickets import Tickets
from carryover.sparse.init import draw_weights
from carryover.sparse.randomize import redraw_stream

MASK, EVENT, OTHER = "mask/", "event/", "other/"


def compact(tickets: Tickets, index: int, redrawn: Mapping[str, Int[Tensor, "block *shape"]]) -> Tensors:
    """Store one net of a block as what its seed cannot tell: the masks, the events, and other tensors.

    A mask is one bit per weight; an event is the number of the last redraw of each kept weight (0: the initial
    draw), in the fewest bytes that hold the largest, and absent where no kept weight was ever redrawn. Other
    tensors are batch-norm statistics; biases are zero and not stored.
    Source: IteRand, section 6 (storage); the exact form with one mask instead of one per event is ours.
    """
    stored: Tensors = {}
    for name, masks in tickets.masks.items():
        mask = masks[index].cpu().bool()
        stored[MASK + name] = torch.from_numpy(np.packbits(mask.numpy()))
        events = redrawn[name][index].cpu()[mask] if name in redrawn else torch.zeros(0)
        if events.any():
            stored[EVENT + name] = _narrow(events)
    buffers = dict(tickets.net.named_buffers())
    return stored | {OTHER + n: t[index].cpu() for n, t in tickets.others.items() if n in buffers}


def expand(
    stored: Mapping[str, Tensor],
    shapes: Mapping[str, tuple[int, ...]],
    fan_in: Mapping[str, int],
    run: PopupRun,
    seed: int,
) -> dict[str, Float[Tensor, "*shape"]]:
    """Rebuild weights times mask, bit for bit, from a compact ticket; other tensors come along.

    Raises ValueError when the ticket does not belong to a net of these shapes.
    """
    if {n.removeprefix(MASK) for n in stored if n.startswith(MASK)} != set(shapes):
        raise ValueError("the ticket names other layers than the net of its run: it belongs to another net")
    tensors = {n.removeprefix(OTHER): t for n, t in stored.items() if n.startswith(OTHER)}
    for name, shape in shapes.items():
        mask = _unpack(stored[MASK + name], shape)
        kept = draw_weights(run.weights, shape, fan_in[name], rng.generator(seed, "weights", name))[mask]
        if EVENT + name in stored:
            _replay(kept, stored[EVENT + name].long(), mask, name, run, fan_in[name], seed)
        tensors[name] = torch.zeros(shape).masked_scatter_(mask, kept)
    return tensors


def _replay(
    kept: Float[Tensor, " kept"],
    events: Int[Tensor, " kept"],
    mask: Bool[Tensor, "*shape"],
    name: str,
    run: PopupRun,
    fan_in: int,
    seed: int,
) -> None:
    """Draw the redrawn weights again, each from its own event; in place."""
    if len(events) != len(kept):
        raise ValueError(f"the ticket keeps {len(kept)} weights of {name} and tells {len(events)} events: damaged")
    for event in events.unique().tolist():
        if event:
            fresh = draw_weights(run.weights, mask.shape, fan_in, redraw_stream(seed, name, event))[mask]
            kept[events == event] = fresh[events == event]


def _narrow(events: Int[Tensor, " kept"]) -> Tensor:
    largest = int(events.max())
    return events.to(torch.uint8 if largest < 2**8 else torch.int16 if largest < 2**15 else torch.int32)


def _unpack(bits: Tensor, shape: tuple[int, ...]) -> Bool[Tensor, "*shape"]:
    count = int(np.prod(shape))
    return torch.from_numpy(np.unpackbits(bits.numpy(), count=count).astype(bool)).view(shape)
