"""Learning transfer as its paper writes it down, and no faster: what our matching and methods are held against.

Every search starts anew and visits every group in every sweep; every gradient is computed when it is needed,
every cost matrix pair by pair and tensor by tensor. Nothing is kept but what the algorithm itself hands on.

Source: learning transfer, sections 1.3, 1.4 and 1.5.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Generator, Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from carryover.permute.spec import PermutationSpec

Tensors = dict[str, Tensor]
Permutation = dict[str, Tensor]
Batch = tuple[Tensor, Tensor]
Pair = tuple[Tensors, Tensors]
"""Gradient of the target, gradient of the source."""


def select(tensor: Tensor, number: int, repeat: int, order: Tensor) -> Tensor:
    """Reorder the units of one axis, each of which has `repeat` entries."""
    entries = order[:, None] * repeat + torch.arange(repeat)
    return tensor.index_select(number, entries.flatten())


def act(spec: PermutationSpec, permutation: Permutation, tensors: Tensors, but: str | None = None) -> Tensors:
    """Reorder along every axis, except those of one group."""
    moved = {}
    for name, tensor in tensors.items():
        for number, axis in enumerate(spec.axes[name]):
            if axis is not None and axis.group != but:
                tensor = select(tensor, number, axis.repeat, permutation[axis.group])
        moved[name] = tensor
    return moved


def rows_of(tensor: Tensor, number: int, units: int) -> Tensor:
    """Lay out one row for each unit of an axis."""
    return tensor.movedim(number, 0).reshape(units, -1)


def cost_matrix(spec: PermutationSpec, group: str, permutation: Permutation, pairs: Sequence[Pair]) -> Tensor:
    """Add up the products of all tensors that a group permutes, the other axes as they are permuted now."""
    units = len(permutation[group])
    total = next(iter(pairs[0][0].values())).new_zeros(units, units)
    for target, source in pairs:
        for tie in spec.groups[group]:
            if tie.tensor in target:
                moved = act(spec, permutation, {tie.tensor: source[tie.tensor]}, but=group)[tie.tensor]
                total += rows_of(target[tie.tensor], tie.axis, units) @ rows_of(moved, tie.axis, units).T
    return total


def objective(spec: PermutationSpec, permutation: Permutation, pairs: Sequence[Pair]) -> float:
    """Sum <g2, act(pi, g1)> over all pairs and tensors, in fp64."""
    return sum(
        (target[name].double() * moved.double()).sum().item()
        for target, source in pairs
        for name, moved in act(spec, permutation, source).items()
    )


def preferences(cost: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Break ties: by a hair, prefer units to stay where they are, and else what some fixed numbers choose."""
    preferred = np.empty_like(cost)
    for i in range(len(cost)):
        for j in range(len(cost)):
            preferred[i, j] = (i * (j * (5**0.5 - 1) / 2)) % 1 / 2 + (present[i] == j)
    return 1e-12 * (np.abs(cost).max() or 1.0) * preferred


@dataclass
class Solver:
    """Coordinate descent over the groups of a spec."""

    spec: PermutationSpec
    sizes: dict[str, int]
    classes: Sequence[Sequence[str]]
    """What each sweep visits in random order; by the paper, the groups one by one."""
    tolerance: float = 0.0
    max_sweeps: int = 100
    break_ties: bool = False
    """Choose among best orders (units without gradient can be exchanged) by a rule, not as the assignment returns."""
    num_sweeps: list[int] = field(default_factory=list)
    """Sweeps of each search so far."""

    def __call__(
        self, pairs: Sequence[Pair], draw: Generator, start: Permutation | None = None
    ) -> Permutation:
        """Search from the identity, or from another start, until a whole sweep changes nothing."""
        permutation = dict(start or {group: torch.arange(size) for group, size in self.sizes.items()})
        improved, sweeps = True, 0
        while improved and sweeps < self.max_sweeps:
            improved, sweeps = False, sweeps + 1
            for number in torch.randperm(len(self.classes), generator=draw).tolist():
                for group in self.classes[number]:
                    improved |= self.improve_(permutation, group, pairs)
        self.num_sweeps.append(sweeps)
        return permutation

    def improve_(self, permutation: Permutation, group: str, pairs: Sequence[Pair]) -> bool:
        """Give one group its best order, if that is better by more than the tolerance."""
        cost = cost_matrix(self.spec, group, permutation, pairs).double().cpu().numpy()
        present = permutation[group].numpy()
        ties = preferences(cost, present) if self.break_ties else 0.0
        rows, order = linear_sum_assignment(cost + ties, maximize=True)
        old, new = cost[rows, present].sum(), cost[rows, order].sum()
        if new - old > max(self.tolerance, 1e-12) * abs(old):
            permutation[group] = torch.from_numpy(order)
            return True
        return False


@dataclass
class Gradients:
    """Gradients of a net by plain autograd, and how many were computed."""

    net: nn.Module
    num_gradients: int = 0

    def __call__(self, parameters: Tensors, batches: Iterable[Batch]) -> Tensors:
        """Average the gradient of the mean cross-entropy over mini-batches, in training mode."""
        self.net.train()
        self.num_gradients += 1
        total = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
        batches = list(batches)
        for images, labels in batches:
            leaves = {name: tensor.clone().requires_grad_() for name, tensor in parameters.items()}
            buffers = {name: buffer.clone() for name, buffer in self.net.named_buffers()}
            loss = F.cross_entropy(functional_call(self.net, (leaves, buffers), (images,)), labels)
            for name, gradient in zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True):
                total[name] += gradient / len(batches)
        return total


@dataclass
class Problem:
    """A source trajectory theta1^0 .. theta1^T, the start of a target, and the images to match gradients on."""

    gradients: Gradients
    solver: Solver
    source: Sequence[Tensors]
    target: Tensors
    batches: Callable[[int], Iterable[Batch]]
    """Mini-batches of time t, the same at every call."""
    draw: Callable[[int], Generator]
    """Order of the groups at step s."""
    warm: bool = False
    """Start each search where the one before ended; the paper starts at the identity."""

    def compose(self, permutation: Permutation, t: int) -> Tensors:
        """Make theta2^t = theta2^0 + act(pi, theta1^t - theta1^0)."""
        start = self.source[0]
        moved = act(
            self.solver.spec, permutation, {n: point - start[n] for n, point in self.source[t].items()}
        )
        return {name: tensor + moved[name] for name, tensor in self.target.items()}

    def pair(self, permutation: Permutation, t: int) -> Pair:
        """Compute both gradients of time t, on the same images."""
        target = self.gradients(self.compose(permutation, t), self.batches(t))
        return target, self.gradients(self.source[t], self.batches(t))

    def solve(self, pairs: Sequence[Pair], step: int, permutation: Permutation) -> Permutation:
        """Search for the permutation of a step."""
        return self.solver(pairs, self.draw(step), permutation if self.warm else None)


def gmt(problem: Problem) -> Iterator[Permutation]:
    """Match gradients along the trajectory; all pairs are computed anew at every step. Yields pi_1 .. pi_T."""
    permutation = {group: torch.arange(size) for group, size in problem.solver.sizes.items()}
    for step in range(1, len(problem.source)):
        pairs = [problem.pair(permutation, t) for t in range(step)]
        permutation = problem.solve(pairs, step, permutation)
        yield permutation


def fgmt(problem: Problem) -> Iterator[Permutation]:
    """Match gradients along the trajectory; a pair stays as it was when it was first computed. Yields pi_1 .. pi_T."""
    permutation = {group: torch.arange(size) for group, size in problem.solver.sizes.items()}
    pairs: list[Pair] = []
    for step in range(1, len(problem.source)):
        pairs.append(problem.pair(permutation, step - 1))
        permutation = problem.solve(pairs, step, permutation)
        yield permutation
