"""What a net starts from before anything is meta-learned: random weights, scores and their thresholds."""

from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn

from carryover.core import rng
from carryover.core.block import Tensors
from carryover.metaticket.methods import Role
from carryover.metaticket.roles import maskable, roles_of
from carryover.metaticket.settings import FewshotTraining
from carryover.nets.init import draw_default
from carryover.sparse.init import Distribution, draw_weights
from carryover.sparse.prunable import prunable

PLAIN_HEAD = ("episode-mlp",)
"""Nets whose classifier is drawn like their body, with zero biases everywhere."""


def draw_start(net: nn.Module, run: FewshotTraining, seed: int) -> Tensors:
    """Draw phi_0 for every parameter.

    It is the same for every method with the same seed, `masked` and `weights`, so that methods are paired.

    Hidden weights are Kaiming normal, masked ones what the run asks for; gain 1 and shift 0. The MLP's biases are 0
    and its head is Kaiming normal. Everything else is the framework's default: biases and classifiers of other nets,
    and what the sinusoid's net does not mask.
    Source: Meta-ticket, section 1.7.
    Departs: MAML's ResNet12 starts from fan-in as well (fan-out there), so that all methods share their start.
    """
    start, roles, fan_in = draw_default(net, seed), roles_of(net), prunable(net)
    masked, plain = maskable(net, run), run.net.kind in PLAIN_HEAD
    drawn: set[Role] = {"body", "head"} if plain else {"body"}
    for name, role in roles.items():
        if name in masked or (name in fan_in and role in drawn and run.net.kind != "regressor"):
            start[name] = draw_masked(run, name, start[name], fan_in[name], seed, is_masked=name in masked)
        elif plain and role in ("bias", "head"):
            start[name] = torch.zeros_like(start[name])
    return start


def draw_masked(
    run: FewshotTraining, name: str, like: Tensor, fan_in: int, seed: int, *, is_masked: bool
) -> Float[Tensor, "*shape"]:
    """Draw one weight from the run's distribution, or Kaiming normal where it is not masked.

    Source: Meta-ticket, sections 1.7 and 1.8 (`constant` is sqrt(2 / fan_in), all positive).
    """
    if is_masked and run.weights == "constant":
        return torch.full(like.shape, sqrt(2 / fan_in))
    distribution: Distribution = run.weights if is_masked and run.weights != "constant" else "kn"
    return draw_weights(distribution, like.shape, fan_in, rng.generator(seed, "weights", name))


def draw_scores(net: nn.Module, run: FewshotTraining, seed: int) -> tuple[Tensors, Tensors]:
    """Draw the scores of all masked weights, and fix the threshold of each tensor by their empirical quantile.

    With n scores and initial sparsity p the threshold is the j-th smallest, j = 1 + round(p (n - 1)); half goes to
    the even neighbour.
    Source: Meta-ticket, section 1.5.
    Raises ValueError when the run masks layers that the net does not have.
    """
    scores: Tensors = {}
    thresholds: Tensors = {}
    masked = maskable(net, run)
    if not masked:
        raise ValueError(
            f"masked: {run.masked} leaves no weight of {run.net.kind} to mask, which has too few layers; "
            "choose masked: body, or a deeper net"
        )
    for name, fan_in in masked.items():
        shape = net.get_parameter(name).shape
        scores[name] = draw_weights(run.scores, shape, fan_in, rng.generator(seed, "scores", name))
        thresholds[name] = initial_threshold(scores[name], run.initial_sparsity)
    return scores, thresholds


def initial_threshold(scores: Float[Tensor, "*shape"], sparsity: float) -> Float[Tensor, ""]:
    """Give the score that keeps all but a fraction `sparsity` of a tensor; one at least stays.

    Source: Meta-ticket, section 1.5.
    """
    flat = scores.flatten()
    return flat.kthvalue(1 + round(sparsity * (len(flat) - 1))).values
