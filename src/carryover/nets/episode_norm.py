"""Batch-norm for episodes: no running statistics, and a choice of the examples whose statistics are used."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class EpisodeNorm(nn.Module):
    """Normalise each channel by the statistics of the batch at hand, or of its first `num_reference` examples.

    Gain and shift start at 1 and 0. Nothing is remembered from one batch to the next, which is what lets the module
    run inside `vmap` and under second derivatives.
    Source: Meta-ticket, section 1.11.
    """

    def __init__(self, num_channels: int, eps: float = 1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.eps = eps
        self.num_reference: int | None = None
        """Examples at the front of a batch whose statistics normalise all of it; None takes all."""
        self.fused = True
        """Whether torch's own kernel may be used; inside `vmap` its second derivatives are wrong."""

    def forward(self, x: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        """Normalise, then scale and shift."""
        if self.fused and self.num_reference is None:
            return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)
        axes = (0, *range(2, x.ndim))
        variance, mean = torch.var_mean(x[: self.num_reference], axes, unbiased=False, keepdim=True)
        each = (1, -1, *(1 for _ in axes[1:]))
        gain = torch.rsqrt(variance + self.eps) * self.weight.view(each)
        return (x - mean) * gain + self.bias.view(each)


@contextmanager
def norms_with(net: nn.Module, **attributes: int | bool | None) -> Iterator[None]:
    """Set attributes of every `EpisodeNorm` of `net` for a while: `num_reference` or `fused`."""
    norms = [module for module in net.modules() if isinstance(module, EpisodeNorm)]
    before = [{name: getattr(norm, name) for name in attributes} for norm in norms]
    for norm in norms:
        vars(norm).update(attributes)
    try:
        yield
    finally:
        for norm, own in zip(norms, before, strict=True):
            vars(norm).update(own)
