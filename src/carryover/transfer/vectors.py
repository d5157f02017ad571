"""Parameters as vectors: inner products, norms and sums over all tensors of a net, added up in fp64."""

from math import sqrt

import torch

from carryover.core.block import Tensors


def inner(first: Tensors, second: Tensors) -> float:
    """Give the inner product of two nets' parameters."""
    assert first.keys() == second.keys(), "both have the same tensors"
    parts = [(own.double() * second[name].double()).sum() for name, own in first.items()]
    return torch.stack(parts).sum().item()


def norm(parameters: Tensors) -> float:
    """Give the Euclidean norm."""
    return sqrt(inner(parameters, parameters))


def difference(end: Tensors, start: Tensors) -> Tensors:
    """Give the displacement `end - start`."""
    assert end.keys() == start.keys(), "both have the same tensors"
    return {name: own - start[name] for name, own in end.items()}


def moved(start: Tensors, direction: Tensors, factor: float) -> Tensors:
    """Give `start + factor * direction`."""
    assert start.keys() == direction.keys(), "both have the same tensors"
    return {name: own.add(direction[name], alpha=factor) for name, own in start.items()}


def interpolated(start: Tensors, end: Tensors, position: float) -> Tensors:
    """Give the point of the segment at `position`; 0 is `start` and 1 is `end`, exactly."""
    assert start.keys() == end.keys(), "both have the same tensors"
    return {name: own.lerp(end[name], position) for name, own in start.items()}
