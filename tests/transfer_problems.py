"""Small problems of learning transfer: nets, images with classes, trajectories of real training."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor

from carryover.core.rng import generator
from carryover.nets.build import build_net
from carryover.nets.init import draw_default
from carryover.nets.settings import ConvSettings, MlpSettings, ResNetSettings
from carryover.nets.specs import spec_of
from carryover.permute.settings import MatchingSettings
from carryover.transfer.descent import Descent
from carryover.transfer.grids import uniform
from carryover.transfer.network import Network
from carryover.transfer.problem import TransferProblem
from carryover.transfer.trajectories import Linear

SHAPE, CLASSES = (1, 8, 8), 4
NETS = {
    "shallow": MlpSettings(kind="mlp", hidden=(16,), bias=True),
    "deep": MlpSettings(kind="mlp", hidden=(12, 10), bias=True),
    "conv": ConvSettings(kind="conv", depth=2, width=1 / 16),
    "resnet": ResNetSettings(kind="resnet", depth=18, width=1 / 16, stem="cifar"),
}
EXACT = MatchingSettings(accumulate="fp64", tolerance=1e-9)


def images_of(count: int, *path: str | int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Draw noisy copies of four pictures, with the number of the picture as label."""
    pictures = torch.randn(CLASSES, *SHAPE, generator=generator(0, "pictures"), dtype=torch.float64)
    noise = torch.randn(count, *SHAPE, generator=generator(0, "noise", *path), dtype=torch.float64)
    labels = torch.arange(count) % CLASSES
    return (pictures[labels] + noise).to(dtype), labels


def batches_at(t: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Give two mini-batches of different sizes for each t."""
    yield images_of(24, t, 0)
    yield images_of(16, t, 1)


def network(net: str, dtype: torch.dtype = torch.float64) -> Network:
    module = build_net(NETS[net], SHAPE, CLASSES, affine=True).to(dtype).requires_grad_(False)
    return Network(module, dict(module.named_buffers()))


@cache
def start_of(net: str, seed: int) -> dict[str, Tensor]:
    drawn = draw_default(build_net(NETS[net], SHAPE, CLASSES, affine=True), seed)
    return {name: tensor.double() for name, tensor in drawn.items()}


@cache
def trained(net: str, seed: int, steps: int = 12) -> dict[str, Tensor]:
    """Train a net for a few steps, in fp64."""
    own, descent = network(net), Descent(start_of(net, seed), momentum=0.9)
    for step in range(steps):
        descent.descend(own.gradient(descent.parameters, [images_of(32, "train", seed, step)]), 0.1)
    return descent.parameters


def problem(net: str, num_steps: int = 3, **changes: object) -> TransferProblem:
    """Pose the transfer of a linear trajectory from seed 1 to seed 2, in fp64."""
    usual = {
        "network": network(net),
        "spec": spec_of(NETS[net], SHAPE, CLASSES),
        "source": Linear(start_of(net, 1), trained(net, 1), uniform(num_steps)),
        "target": start_of(net, 2),
        "batches": batches_at,
        "matching": EXACT,
        "seed": 0,
        "trained": trained(net, 2),
    }
    return TransferProblem(**{**usual, **changes})


@dataclass
class Recorded:
    """A trajectory in memory that notes which of its points are read."""

    points: list[dict[str, Tensor]]
    read: list[int] = field(default_factory=list)

    @property
    def num_steps(self) -> int:
        return len(self.points) - 1

    def point(self, t: int) -> dict[str, Tensor]:
        self.read.append(t)
        return dict(self.points[t])


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Tell whether all tensors have the same bits."""
    return first.keys() == second.keys() and all(torch.equal(own, second[n]) for n, own in first.items())


def near(first: dict[str, Tensor], second: dict[str, Tensor], tolerance: float = 1e-10) -> bool:
    """Tell whether all tensors are equal up to rounding."""
    return first.keys() == second.keys() and all(
        torch.allclose(own, second[n], rtol=tolerance, atol=tolerance) for n, own in first.items()
    )
