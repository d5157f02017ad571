"""A block: nets of one architecture and several seeds, their tensors stacked along a first axis."""

from collections.abc import Iterable
from typing import Literal

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd

Tensors = dict[str, Tensor]
Precision = Literal["fp32", "bf16"]
MANY = 200_000
"""Numbers in a net above which it is not trained in blocks, unless one asks for it."""


def stack(states: Iterable[Tensors]) -> dict[str, Shaped[Tensor, "block *shape"]]:
    """Stack the tensors of several nets by name, along a new first axis."""
    states = list(states)
    return {name: torch.stack([state[name] for state in states]) for name in states[0]}


def placed(tensors: Tensors, like: Tensor) -> Tensors:
    """Bring tensors to the device of `like`, and those of floating point to its dtype."""
    return {n: t.to(like) if t.is_floating_point() else t.to(like.device) for n, t in tensors.items()}


def call(
    net: nn.Module,
    tensors: Tensors,
    images: Float[Tensor, "block batch channels height width"],
    precision: Precision = "fp32",
) -> Float[Tensor, "block batch classes"]:
    """Run every net of a block on its own batch.

    `net` gives the architecture only; `tensors` holds all of its parameters and buffers, stacked. Buffers
    (batch-norm statistics) are updated in place. A block of one runs without `vmap` if it has convolutions, in the
    memory format that CPUs and GPUs prefer, or many weights; other nets run the same way in every block, to the
    last bit.
    With `bf16` the matrix products run in bfloat16; autocast is entered anew at every call, since it keeps
    casts of parameters for as long as it lasts.
    """
    logits: Tensor
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"):
        if len(images) > 1 or not _prefers_to_be_alone(net, tensors):
            logits = vmap(lambda own, x: functional_call(net, own, (x,)))(tensors, images)
        else:
            own = {name: tensor[0] for name, tensor in tensors.items()}
            logits = functional_call(net, own, (images[0].to(memory_format=torch.channels_last),))[None]
    return logits


def _prefers_to_be_alone(net: nn.Module, tensors: Tensors) -> bool:
    """Tell nets that `vmap` would slow down: of large matrices it returns transposed gradients, to be copied."""
    if sum(tensor[0].numel() for tensor in tensors.values()) > MANY:
        return True
    return any(isinstance(module, _ConvNd) for module in net.modules())


def cross_entropy(
    logits: Float[Tensor, "block batch classes"], labels: Int[Tensor, "block batch"]
) -> Float[Tensor, " block"]:
    """Average the cross-entropy over each net's batch, in nats per example."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    return losses.view(labels.shape).mean(-1)
