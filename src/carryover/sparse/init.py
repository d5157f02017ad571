"""Distributions that random weights and popup scores are drawn from."""

from collections.abc import Callable, Sequence
from math import sqrt
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Distribution = Literal["ku", "sc", "kn", "u", "hidden"]


def _kaiming_uniform(values: Tensor, fan_in: int, draw: torch.Generator) -> Tensor:
    bound = sqrt(6 / fan_in)
    return values.uniform_(-bound, bound, generator=draw)


def _signed_constant(values: Tensor, fan_in: int, draw: torch.Generator) -> Tensor:
    signs = values.random_(0, 2, generator=draw).mul_(2).sub_(1)
    return signs.mul_(sqrt(2 / fan_in))


def _kaiming_normal(values: Tensor, fan_in: int, draw: torch.Generator) -> Tensor:
    return values.normal_(0, sqrt(2 / fan_in), generator=draw)


def _uniform(values: Tensor, fan_in: int, draw: torch.Generator) -> Tensor:
    return values.uniform_(-1, 1, generator=draw)


def _hidden_networks(values: Tensor, fan_in: int, draw: torch.Generator) -> Tensor:
    return values.uniform_(-1 / sqrt(fan_in), 1 / sqrt(fan_in), generator=draw)


DISTRIBUTIONS: dict[str, Callable[[Tensor, int, torch.Generator], Tensor]] = {
    "ku": _kaiming_uniform,
    "sc": _signed_constant,
    "kn": _kaiming_normal,
    "u": _uniform,
    "hidden": _hidden_networks,
}


def draw_weights(
    distribution: Distribution, shape: Sequence[int], fan_in: int, draw: torch.Generator
) -> Float[Tensor, "*shape"]:
    """Draw the weights (or the scores) of one layer in fp32 on the CPU.

    `ku` Kaiming uniform, U[-b, b] with b = sqrt(6 / fan_in); `sc` signed Kaiming constant, +-sqrt(2 / fan_in);
    `kn` Kaiming normal: all three have variance 2 / fan_in. `u` is U[-1, 1], the theory's distribution, and
    `hidden` U[-1/sqrt(fan_in), 1/sqrt(fan_in)], the score distribution of hidden-networks. Nothing is
    rescaled by the sparsity.
    Source: IteRand, section 1.4 (D_param, D_score); edge-popup for `hidden`.
    """
    return DISTRIBUTIONS[distribution](torch.empty(tuple(shape), dtype=torch.float32), fan_in, draw)
