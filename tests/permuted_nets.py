"""Small nets of every kind for the tests of permutations, and what those tests share."""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from carryover.core import rng
from carryover.nets.build import build_net
from carryover.nets.init import draw_default
from carryover.nets.settings import ConvSettings, MlpSettings, NetSettings, ResNetSettings
from carryover.permute.spec import PermutationSpec

NUM_CLASSES = 5
NETS: dict[str, tuple[NetSettings, tuple[int, int, int]]] = {
    "mlp": (MlpSettings(kind="mlp", hidden=(7,)), (1, 4, 4)),
    "mlp deep, biases": (MlpSettings(kind="mlp", hidden=(6, 6, 9), bias=True), (3, 3, 2)),
    "mlp linear": (MlpSettings(kind="mlp", hidden=(7, 5), activation="none"), (1, 4, 4)),
    "conv2": (ConvSettings(kind="conv", depth=2, width=1 / 16), (1, 6, 6)),
    "conv4, not square": (ConvSettings(kind="conv", depth=4, width=1 / 16), (3, 9, 14)),
    "conv6": (ConvSettings(kind="conv", depth=6, width=1 / 32), (1, 14, 14)),
    "conv8, last pool 4": (ConvSettings(kind="conv", depth=8, width=1 / 32, last_pool=4), (3, 32, 32)),
    "conv8, no last pool": (ConvSettings(kind="conv", depth=8, width=1 / 32, last_pool=1), (3, 16, 16)),
    "resnet18": (ResNetSettings(kind="resnet", depth=18, width=1 / 16, stem="cifar"), (3, 8, 8)),
    "resnet18, grey": (ResNetSettings(kind="resnet", depth=18, width=1 / 32, stem="cifar"), (1, 9, 8)),
    "resnet18, no norm": (
        ResNetSettings(kind="resnet", depth=18, width=1 / 16, stem="cifar", norm="none"),
        (3, 8, 8),
    ),
    "resnet34": (ResNetSettings(kind="resnet", depth=34, width=1 / 32, stem="imagenet"), (3, 32, 32)),
    "resnet50": (ResNetSettings(kind="resnet", depth=50, width=1 / 32, stem="cifar"), (3, 8, 8)),
    "resnet50, no norm": (
        ResNetSettings(kind="resnet", depth=50, width=1 / 32, stem="imagenet", norm="none"),
        (3, 32, 32),
    ),
    "resnet101": (ResNetSettings(kind="resnet", depth=101, width=1 / 64, stem="cifar"), (3, 8, 8)),
}
"""Settings and image shape; between them every kind, stem, norm, pool and shortcut."""


def made(name: str) -> nn.Module:
    """Build one of the nets, with affine batch-norm."""
    settings, shape = NETS[name]
    return build_net(settings, shape, NUM_CLASSES, affine=True)


def batch(name: str, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Draw six images for one of the nets, and their labels."""
    _, shape = NETS[name]
    return any_batch(*shape, dtype=dtype)


def any_batch(
    *shape: int, dtype: torch.dtype = torch.float64, num_classes: int = NUM_CLASSES
) -> tuple[Tensor, Tensor]:
    """Draw six inputs of a shape and their labels."""
    images = torch.rand(6, *shape, dtype=dtype, generator=rng.generator(0, "images"))
    return images, torch.arange(6) % num_classes


def drawn(net: nn.Module, dtype: torch.dtype = torch.float64) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Draw parameters and buffers of a net, all of them different from entry to entry."""
    parameters = {name: value.to(dtype) for name, value in draw_default(net, seed=3).items()}
    for name, value in parameters.items():
        if value.ndim == 1:  # positive, so that few units are dead
            value.uniform_(0.5, 1.5, generator=rng.generator(3, name))
    buffers = {}
    for name, buffer in net.named_buffers():
        if buffer.is_floating_point():
            buffer = torch.empty_like(buffer, dtype=dtype).uniform_(
                0.5, 1.5, generator=rng.generator(3, name)
            )
        buffers[name] = buffer
    return parameters, buffers


def logits(
    net: nn.Module, parameters: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor
) -> Tensor:
    """Run a net in evaluation."""
    with torch.no_grad():
        return functional_call(net.eval(), {**parameters, **buffers}, (images,))


def gradient(
    net: nn.Module, parameters: dict[str, Tensor], images: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    """Compute the gradient of the cross-entropy in training."""
    leaves = {name: p.clone().requires_grad_() for name, p in parameters.items()}
    buffers = {
        name: b.to(images.dtype) if b.is_floating_point() else b.clone() for name, b in net.named_buffers()
    }
    loss = F.cross_entropy(functional_call(net.train(), {**leaves, **buffers}, (images,)), labels)
    return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))


def renamed(spec: PermutationSpec) -> dict[str, list[tuple[int, int] | None]]:
    """Number the groups of a spec in the order of the names of the tensors: equal for equal specs."""
    numbers: dict[str, int] = {}
    return {
        name: [
            axis and (numbers.setdefault(axis.group, len(numbers)), axis.repeat) for axis in spec.axes[name]
        ]
        for name in sorted(spec.axes)
    }
