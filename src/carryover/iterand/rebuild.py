"""Rebuild the weights of a compact ticket, bit for bit, by drawing them again."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from carryover.core import rng
from carryover.iterand.compact import CHECK, EVENT, MASK, OTHER, digest_of_kept
from carryover.iterand.settings import PopupRun
from carryover.sparse.init import Distribution, draw_weights
from carryover.sparse.randomize import redraw_stream


def rebuild(
    stored: Mapping[str, Tensor],
    shapes: Mapping[str, tuple[int, ...]],
    fan_in: Mapping[str, int],
    run: PopupRun,
    seed: int,
) -> dict[str, Tensor]:
    """Rebuild weights times mask, bit for bit, from a compact ticket; buffers come along.

    Source: IteRand, section 6.3.
    Raises ValueError when the ticket does not belong to a net of these shapes, or when what is drawn is not
    what was trained.
    """
    if {n.removeprefix(MASK) for n in stored if n.startswith(MASK)} != set(shapes):
        raise ValueError("the ticket names other layers than the net of its run: it belongs to another net")
    masks = {name: _unpack(stored[MASK + name], shape) for name, shape in shapes.items()}
    kept = {}
    for name, mask in masks.items():
        draw = partial(_draw_kept, run.weights, mask, fan_in[name])
        kept[name] = draw(rng.generator(seed, "weights", name))
        if EVENT + name not in stored:
            continue
        events = stored[EVENT + name].long()
        if len(events) != len(kept[name]):
            raise ValueError(
                f"the ticket keeps {len(kept[name])} weights of {name} and tells {len(events)} events"
            )
        for event in sorted(set(events.tolist())):
            if event:
                kept[name][events == event] = draw(redraw_stream(seed, name, event))[events == event]
    if not torch.equal(digest_of_kept(kept), stored[CHECK]):
        raise ValueError(
            f"the weights drawn from seed {seed} are not those that were trained: the ticket is of another seed"
            f" or run, or torch {torch.__version__} draws other numbers than the version that trained it"
        )
    tensors = {n.removeprefix(OTHER): t for n, t in stored.items() if n.startswith(OTHER)}
    return tensors | {n: torch.zeros(m.shape).masked_scatter_(m, kept[n]) for n, m in masks.items()}


def _draw_kept(
    distribution: Distribution, mask: Bool[Tensor, "..."], fan_in: int, draw: torch.Generator
) -> Float[Tensor, " kept"]:
    """Draw a layer and take the weights that its mask keeps."""
    return draw_weights(distribution, mask.shape, fan_in, draw)[mask]


def _unpack(bits: Tensor, shape: tuple[int, ...]) -> Bool[Tensor, "..."]:
    count = int(np.prod(shape))
    if len(bits) != -(-count // 8):
        raise ValueError(
            f"a mask of {len(bits)} bytes is not that of {shape}: the ticket belongs to another net"
        )
    return torch.from_numpy(np.unpackbits(bits.numpy(), count=count).astype(bool)).view(shape)
