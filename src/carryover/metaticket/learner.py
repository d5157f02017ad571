"""What the outer loop learns: initial values, or the scores of a mask; and from these what the inner loop needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from carryover.core.block import Tensors
from carryover.metaticket.adapt import Rates
from carryover.metaticket.methods import METHODS, Role
from carryover.metaticket.settings import FewshotTraining
from carryover.sparse.masks import at_least


@dataclass
class Learner:
    """The state of a meta-training: weights, and scores or a fixed mask where weights are masked.

    `weights` holds a value for every parameter of the net; for masked ones it is the unmasked value.
    """

    weights: Tensors
    roles: Mapping[str, Role]
    rates: Mapping[str, float]
    """Inner rate of every parameter that the inner loop moves."""
    learned: tuple[str, ...]
    """Parameters whose initial values the outer loop learns."""
    scores: Tensors = field(default_factory=dict)
    thresholds: Tensors = field(default_factory=dict)
    fixed_masks: Tensors = field(default_factory=dict)
    """Masks that stay as they are (magnitude pruning)."""

    @property
    def variables(self) -> Tensors:
        """Name what the outer loop changes: scores and initial values."""
        scores = {f"scores/{name}": tensor for name, tensor in self.scores.items()}
        return {**scores, **{f"weights/{name}": self.weights[name] for name in self.learned}}

    def masks(self) -> Tensors:
        """Give the mask of every masked weight; the gradient of a mask passes to its scores as it is.

        Source: Meta-ticket, sections 1.2 and 1.4.
        """
        from_scores = {name: at_least(s, self.thresholds[name]) for name, s in self.scores.items()}
        return {**self.fixed_masks, **from_scores}

    def parametrise(self, *, second: bool = True) -> tuple[Tensors, dict[str, float | Tensor]]:
        """Give start and rates of the inner loop on effective weights, as functions of the variables.

        A masked weight starts from m * w and moves at rate * m^2; without second derivatives one of the two factors
        is a constant (see `adapt`).
        Source: Meta-ticket, sections 1.3 and 1.4.
        """
        masks = self.masks()
        start = {name: masks[name] * w if name in masks else w for name, w in self.weights.items()}
        rates: dict[str, float | Tensor] = dict(self.rates)
        for name in masks.keys() & rates.keys():
            mask = masks[name]
            rates[name] = self.rates[name] * mask * (mask if second else mask.detach())
        return start, rates

    def outer(self, start: Tensors, rates: Rates, of_start: Tensors, of_rates: Tensors) -> Tensors:
        """Carry gradients with respect to start and rates on to the variables."""
        ends = [
            t for t in (*(start[n] for n in of_start), *(rates[n] for n in of_rates)) if isinstance(t, Tensor)
        ]
        slopes = [*of_start.values(), *of_rates.values()]
        variables = self.variables
        gradients = torch.autograd.grad(ends, list(variables.values()), slopes)
        return dict(zip(variables, gradients, strict=True))

    def sparsities(self) -> dict[str, Tensor]:
        """Give the pruned fraction of every masked weight, on the device."""
        return {name: 1 - mask.detach().mean() for name, mask in self.masks().items()}


def inner_rates(run: FewshotTraining, roles: Mapping[str, Role]) -> dict[str, float]:
    """Give the inner rate of every parameter that a run's method adapts; a role of rate 0 is left out.

    Source: Meta-ticket, section 2 (the `adapt` column) and 2.2.
    """
    adapts = METHODS[run.method].adapts
    own = {role: run.inner_lrs.get(role, run.inner_lr) for role in adapts}
    return {name: own[role] for name, role in roles.items() if own.get(role, 0) > 0}


def learned_names(
    run: FewshotTraining, roles: Mapping[str, Role], masked: Mapping[str, object]
) -> tuple[str, ...]:
    """Name the parameters whose initial values are learned: by the method, or as a Meta-ticket's auxiliary ones."""
    if run.auxiliary_lr is not None and METHODS[run.method].masks == "scores":
        return tuple(name for name in roles if name not in masked)
    return tuple(name for name, role in roles.items() if role in METHODS[run.method].learns)
