"""Rebuild the weights of a compact ticket, bit for bit, by drawing them again."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from carryover.core import rng
from carryover.iterand.compact import EVENT, MASK, OTHER
from carryover.iterand.settings import PopupRun
from carryover.sparse.init import draw_weights
from carryover.sparse.randomize import redraw_stream


def rebuild(
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
    events: Int[Tensor, " stored"],
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


def _unpack(bits: Tensor, shape: tuple[int, ...]) -> Bool[Tensor, "*shape"]:
    count = int(np.prod(shape))
    if len(bits) != -(-count // 8):
        raise ValueError(f"a mask of {len(bits)} bytes cannot be that of {shape}: the ticket belongs to another net")
    return torch.from_numpy(np.unpackbits(bits.numpy(), count=count).astype(bool)).view(shape)
