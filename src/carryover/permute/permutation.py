"""Permutations of the units of a net: making them, and applying them to its tensors."""

from collections.abc import Mapping

import torch
from torch import Tensor

from carryover.core.block import Tensors
from carryover.permute.spec import Permutation, PermutationSpec


def identity(sizes: Mapping[str, int]) -> Permutation:
    """Make the permutation that changes nothing; `sizes` counts the units of each group."""
    return {group: torch.arange(size) for group, size in sizes.items()}


def draw(sizes: Mapping[str, int], generator: torch.Generator) -> Permutation:
    """Draw a permutation uniformly; the groups take from the generator in the order of `sizes`."""
    return {group: torch.randperm(size, generator=generator) for group, size in sizes.items()}


def inverse(permutation: Permutation) -> Permutation:
    """Invert: what `permutation` did, the result undoes."""
    return {group: order.argsort() for group, order in permutation.items()}


def compose(first: Permutation, then: Permutation) -> Permutation:
    """Make one permutation of two: `permute(compose(first, then), x) == permute(then, permute(first, x))`.

    Source: learning transfer, section 1.1, where it is (pi rho) = rho[pi] with rho first.
    """
    assert first.keys() == then.keys(), "permutations of different groups"
    return {group: first[group][order] for group, order in then.items()}


def permute(spec: PermutationSpec, permutation: Permutation, tensors: Mapping[str, Tensor]) -> Tensors:
    """Renumber the units: along every axis tied to a group, new[i] = old[p[i]].

    `tensors` may be any of those that the spec lists, without further axes. The action is linear and keeps
    norms; applied to all parameters and buffers of a net it keeps its function. Where nothing moves the tensor
    itself is returned, not a copy.

    Source: learning transfer, section 1.1.
    Raises ValueError when the spec does not list a tensor, or when the permutation lacks a group or has
    another number of units.
    """
    moving = {group: order for group, order in permutation.items() if not _is_identity(order)}
    placed: dict[tuple[str, torch.device], Tensor] = {}
    permuted = {}
    for name, tensor in tensors.items():
        axes = spec.axes.get(name)
        if axes is None or len(axes) != tensor.ndim:
            raise ValueError(
                f"the permutation spec does not list {name!r} with {tensor.ndim} axes; `check_spec` tells what "
                "does not fit"
            )
        for number, axis in enumerate(axes):
            if axis is None:
                continue
            units, rest = divmod(tensor.shape[number], axis.repeat)
            if axis.group not in permutation or rest or units != len(permutation[axis.group]):
                raise ValueError(
                    f"{name!r} has {tensor.shape[number]} entries on axis {number}, {axis.repeat} for each unit of "
                    f"group {axis.group!r}, and the permutation has "
                    f"{len(permutation.get(axis.group, ()))} units there; make it from `spec.sizes` of these tensors"
                )
            if axis.group in moving:
                place = (axis.group, tensor.device)
                if place not in placed:
                    placed[place] = moving[axis.group].to(tensor.device)
                blocks = torch.unflatten(tensor, number, (units, axis.repeat)).index_select(
                    number, placed[place]
                )
                tensor = blocks.flatten(number, number + 1)
        permuted[name] = tensor
    return permuted


def _is_identity(order: Tensor) -> bool:
    return torch.equal(order, torch.arange(len(order), device=order.device))
