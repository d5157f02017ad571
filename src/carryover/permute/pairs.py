"""The matching objective over pairs of gradients, and its cost matrices, kept up to date."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from carryover.core.block import Tensors
from carryover.permute.spec import Permutation, PermutationSpec, Tie
from carryover.permute.spill import Spill

MAX_CORRECTIONS = 32
"""Corrections after which a contribution is computed anew, so that rounding errors do not add up."""
MAX_CHANGED = 0.5
"""Share of changed units up to which a correction is cheaper than computing a contribution anew (measured)."""


@dataclass(frozen=True)
class _Pair:
    """Tensors of one pair and the weight of each."""

    target: Tensors
    source: Tensors
    weights: dict[str, float]


@dataclass
class _Contribution:
    """What one tie adds to the cost matrix of its group, and what that was computed for."""

    matrix: Tensor
    orders: dict[Tie, Tensor]
    """Order of the units along each other tied axis of the tensor."""
    num_pairs: int = 0
    num_corrections: int = 0


class Pairs:
    """Pairs of target and source gradients g2^t, g1^t that one permutation is to bring together.

    The objective is J(pi) = sum_t w_t <g2^t, act(pi, g1^t)>; `||act(pi, g1) - g2||^2` is then
    `||g1||^2 + ||g2||^2 - 2 J`. Stored are only the tensors that several groups permute, as they come: on their
    device, in their dtype. What the others add to the objective and to the cost matrices is summed up at once,
    so that a net of one hidden layer stores no gradient at all.

    Source: learning transfer, sections 1.2, 1.3 and 6.2.
    """

    def __init__(
        self,
        spec: PermutationSpec,
        sizes: Mapping[str, int],
        dtype: torch.dtype,
        spill: Path | None = None,
        *,
        normalise: bool = False,
    ):
        """Start with no pair.

        `dtype` is that of products and sums, fp32 or fp64, whatever the gradients have; `spill` names a file
        that stored gradients go to instead of memory; `normalise` divides each pair of tensors by the product
        of their norms.
        """
        self.spec, self.sizes, self.dtype = spec, dict(sizes), dtype
        self._normalise = normalise
        self._spill = Spill(spill) if spill else None
        self._device = torch.device("cpu")
        self._ties: dict[str, dict[Tie, str]] = {name: {} for name in spec.axes}
        for group, ties in spec.groups.items():
            for tie in ties:
                assert group not in self._ties[tie.tensor].values(), "check_spec refuses a group on two axes"
                self._ties[tie.tensor][tie] = group
        self.clear()

    def clear(self) -> None:
        """Forget all pairs."""
        self._pairs: list[_Pair] = []
        self._constant = 0.0
        self._sums: dict[str, Tensor] = {}
        self._contributions: dict[Tie, _Contribution] = {}
        if self._spill:
            self._spill.clear()

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def num_bytes(self) -> int:
        """Count the bytes that are kept: gradients, in memory or in the file, and cost matrices."""
        kept = [*self._sums.values(), *(known.matrix for known in self._contributions.values())]
        for pair in self._pairs:
            kept += [*pair.target.values(), *pair.source.values()]
        return sum(tensor.nbytes for tensor in kept)

    def append(self, target: Tensors, source: Tensors, weight: float = 1.0) -> None:
        """Add a pair; both sides have the same tensors, which the spec lists.

        They are not copied (unless they go to a file), so they must not change afterwards.
        """
        assert target.keys() == source.keys(), "both sides of a pair have the same tensors"
        weights = {name: self._weight(target[name], source[name], weight) for name in target}
        for name in target:
            self._device = target[name].device
            if not self._ties[name]:
                self._constant += weights[name] * _dot(target[name], source[name])
            elif len(self._ties[name]) == 1:
                ((tie, group),) = self._ties[name].items()
                self._sums.setdefault(group, self._zeros(group))
                self._add_product_(self._sums[group], tie, target[name], source[name], weights[name])
        stored = [name for name in target if len(self._ties[name]) > 1]
        keep = self._spill.keep if self._spill else dict
        target, source = (keep({name: side[name] for name in stored}) for side in (target, source))
        self._pairs.append(_Pair(target, source, weights))

    def objective(self, permutation: Permutation) -> float:
        """Compute J(pi) from the same products as cost matrices, summed in fp64."""
        parts = [(group, matrix) for group, matrix in self._sums.items()]
        for name in self._pairs[0].target if self._pairs else ():
            tie, group = next(iter(self._ties[name].items()))  # any tie of a tensor tells its whole part
            parts.append((group, self._contribution(tie, permutation)))
        return self._constant + sum(objective_of(matrix, permutation[group]) for group, matrix in parts)

    def cost(self, group: str, permutation: Permutation) -> Float[Tensor, "n n"]:
        """Compute A with A[i, j] = what new[i] = old[j] adds to the objective, the other groups as given.

        The sum of A[i, p(i)] is what the group's own order p decides of the objective. What each tie of the
        group contributes is remembered: a pair that was appended since then costs its own product, and where a
        neighbouring group has changed in c of its n units, only those c slices are multiplied.

        Source: learning transfer, sections 1.3 and 6.2 (accumulated matrix, incremental update).
        """
        total = self._zeros(group)
        if group in self._sums:
            total += self._sums[group]
        for tie in self.spec.groups[group]:
            if self._pairs and tie.tensor in self._pairs[0].target:
                total += self._contribution(tie, permutation)
        return total

    def _contribution(self, tie: Tie, permutation: Permutation) -> Float[Tensor, "n n"]:
        """Bring what a tie contributes up to date with the neighbours' orders and with appended pairs."""
        groups = self._ties[tie.tensor]
        orders = {other: permutation[group].clone() for other, group in groups.items() if other != tie}
        known = self._contributions.get(tie)
        if known is None or not self._correct_(known, tie, orders):
            known = self._contributions[tie] = _Contribution(self._zeros(groups[tie]), orders)
        for pair in self._pairs[known.num_pairs :]:
            source = pair.source[tie.tensor]
            for other, order in orders.items():
                source = _select(source, other, order)
            self._add_product_(known.matrix, tie, pair.target[tie.tensor], source, pair.weights[tie.tensor])
        known.num_pairs = len(self._pairs)
        return known.matrix

    def _correct_(self, known: _Contribution, tie: Tie, orders: dict[Tie, Tensor]) -> bool:
        """Multiply the slices of the units that changed along one axis, or say that this would not pay."""
        changed = [other for other, order in orders.items() if not torch.equal(order, known.orders[other])]
        if not changed:
            return True
        (other, *more) = changed
        new, old = orders[other], known.orders[other]
        units = (new != old).nonzero().flatten()
        if more or len(units) > MAX_CHANGED * len(new) or known.num_corrections == MAX_CORRECTIONS:
            return False
        for pair in self._pairs[: known.num_pairs]:
            target, source = _select(pair.target[tie.tensor], other, units), pair.source[tie.tensor]
            for third in orders.keys() - {other}:
                source = _select(source, third, orders[third])
            gained, lost = (_select(source, other, order[units]).to(self.dtype) for order in (new, old))
            self._add_product_(known.matrix, tie, target, gained - lost, pair.weights[tie.tensor])
        known.orders = orders
        known.num_corrections += 1
        return True

    def _add_product_(
        self, matrix: Float[Tensor, "n n"], tie: Tie, target: Tensor, source: Tensor, weight: float
    ) -> None:
        """Add the inner products of target and source slices, unit by unit along the tied axis."""
        rows, others = (_unfold(side, tie).to(matrix) for side in (target, source))
        matrix.addmm_(rows, others.T, alpha=weight)

    def _weight(self, target: Tensor, source: Tensor, weight: float) -> float:
        """Weigh one tensor of a pair."""
        if not self._normalise:
            return weight
        norms = float(target.norm(dtype=torch.float64) * source.norm(dtype=torch.float64))
        return weight / norms if norms else 0.0

    def _zeros(self, group: str) -> Float[Tensor, "n n"]:
        size = self.sizes[group]
        return torch.zeros(size, size, dtype=self.dtype, device=self._device)


def objective_of(cost: Float[Tensor, "n n"], order: Int64[Tensor, " n"]) -> float:
    """Sum A[i, p(i)] in fp64: what the order of a group's units decides of the objective."""
    return cost.gather(1, order.to(cost.device)[:, None]).sum(dtype=torch.float64).item()


def _select(tensor: Tensor, tie: Tie, units: Int64[Tensor, " units"]) -> Tensor:
    """Take the slices of some units along a tied axis, in their order."""
    if tie.repeat > 1:
        units = (units[:, None] * tie.repeat + torch.arange(tie.repeat)).flatten()
    return tensor.index_select(tie.axis, units.to(tensor.device))


def _unfold(tensor: Tensor, tie: Tie) -> Float[Tensor, "n rest"]:
    """Lay a tensor out with one row for each unit of a tied axis, in whichever memory order needs less copying."""
    if tie.axis == 0:
        return tensor.reshape(len(tensor) // tie.repeat, -1)
    return torch.unflatten(tensor, tie.axis, (-1, tie.repeat)).movedim(tie.axis, -1).flatten(0, -2).T


def _dot(target: Tensor, source: Tensor) -> float:
    """Sum the products of two tensors in fp64."""
    return torch.dot(target.flatten().double(), source.flatten().double()).item()
