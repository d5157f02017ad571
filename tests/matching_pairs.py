"""Pairs of random tensors for the tests of matching: specs with chains, residual sums, repeats and vectors."""

from collections.abc import Iterator

import torch
from torch import Tensor

from carryover.core.rng import generator
from carryover.permute.pairs import Pairs
from carryover.permute.spec import Axis, PermutationSpec

Sides = tuple[dict[str, Tensor], dict[str, Tensor]]

CONV = (3, 3)
SPECS = {
    "one hidden layer": {
        "fc1": {"axes": ("a", None), "shape": (6, 5)},
        "fc1.bias": {"axes": ("a",), "shape": (6,)},
        "fc2": {"axes": (None, "a"), "shape": (3, 6)},
        "fc2.bias": {"axes": (None,), "shape": (3,)},
    },
    "three hidden layers": {
        "fc1": {"axes": ("a", None), "shape": (7, 4)},
        "fc1.bias": {"axes": ("a",), "shape": (7,)},
        "fc2": {"axes": ("b", "a"), "shape": (6, 7)},
        "fc3": {"axes": ("c", "b"), "shape": (5, 6)},
        "fc3.bias": {"axes": ("c",), "shape": (5,)},
        "fc4": {"axes": (None, "c"), "shape": (3, 5)},
    },
    "convolutions that are flattened": {
        "conv1": {"axes": ("a", None, None, None), "shape": (4, 2, *CONV)},
        "conv2": {"axes": ("b", "a", None, None), "shape": (6, 4, *CONV)},
        "norm": {"axes": ("b",), "shape": (6,)},
        "fc": {"axes": ("c", ("b", 4)), "shape": (5, 24)},
        "head": {"axes": (None, "c"), "shape": (3, 5)},
    },
    "residual": {
        "stem": {"axes": ("s", None, None, None), "shape": (5, 2, *CONV)},
        "norm": {"axes": ("s",), "shape": (5,)},
        "in1": {"axes": ("i", "s", None, None), "shape": (6, 5, *CONV)},
        "out1": {"axes": ("s", "i", None, None), "shape": (5, 6, *CONV)},
        "in2": {"axes": ("j", "s", None, None), "shape": (4, 5, *CONV)},
        "out2": {"axes": ("u", "j", None, None), "shape": (7, 4, *CONV)},
        "shortcut": {"axes": ("u", "s", None, None), "shape": (7, 5, 1, 1)},
        "head": {"axes": (None, "u"), "shape": (3, 7)},
    },
    "three groups on one tensor": {
        "core": {"axes": ("a", ("b", 2), "c"), "shape": (4, 10, 6)},
        "a": {"axes": ("a", None), "shape": (4, 3)},
        "b": {"axes": (("b", 3),), "shape": (15,)},
    },
}
"""For each tensor the group of each axis (or the group and its repeat), and the shape."""


def shapes_of(name: str) -> dict[str, tuple[int, ...]]:
    """List the shapes of the tensors of a spec."""
    return {tensor: listed["shape"] for tensor, listed in SPECS[name].items()}


def spec_and_sizes(name: str) -> tuple[PermutationSpec, dict[str, int]]:
    """Make one of the specs, with the sizes of its groups."""
    axes = {
        tensor: tuple(
            axis and (Axis(axis) if isinstance(axis, str) else Axis(*axis)) for axis in listed["axes"]
        )
        for tensor, listed in SPECS[name].items()
    }
    spec = PermutationSpec(axes)
    return spec, spec.sizes({tensor: torch.empty(shape) for tensor, shape in shapes_of(name).items()})


def sides(name: str, count: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Iterator[Sides]:
    """Draw pairs of tensors, all entries different."""
    for number in range(count):
        target, source = (
            {
                tensor: torch.randn(shape, generator=generator(seed, side, number, tensor)).to(dtype)
                for tensor, shape in shapes_of(name).items()
            }
            for side in ("target", "source")
        )
        yield target, source


def pairs_of(name: str, count: int = 3, dtype: torch.dtype = torch.float64, seed: int = 0) -> Pairs:
    """Fill pairs with what `sides` draws."""
    pairs = Pairs(*spec_and_sizes(name), dtype)
    for target, source in sides(name, count, dtype, seed):
        pairs.append(target, source)
    return pairs
