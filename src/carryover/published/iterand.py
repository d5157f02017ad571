"""Accuracies printed about edge-popup and IteRand, each with its source and the settings behind it.

No accuracy of IteRand itself is here: the four that circulate are second-hand, and two of them disagree
(specification, section 4.2), so none may be shown as the paper's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class PublishedAccuracy:
    """One accuracy, top-1 on the test images, as a fraction."""

    arm: str
    """Method and distribution of the weights."""
    net: str
    accuracy: float
    source: str
    """Where it is printed."""
    recipe: str
    """What is known of the training behind it."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """Settings that a run of ours must have for the two to be compared; none when the number is second-hand or
    its recipe is not known well enough, and then it is never drawn."""


_HIDDEN_NETWORKS = "README of allenai/hidden-networks, the code of edge-popup's authors"
_TABLED = "tabulated by a third paper; edge-popup's own paper prints curves only"
_IMAGENET_RECIPE = (
    "ImageNet, 30 % of the weights kept, scores ranked by absolute value; SGD with learning rate 0.256, momentum "
    "0.875, weight decay 3.05e-5, label smoothing 0.1; batch 256, 100 epochs with 5 of warm-up: stronger than "
    "IteRand's"
)
_CIFAR_RECIPE = "CIFAR-10; not stated"


def _imagenet_settings(weights: str, depth: int) -> dict[str, object]:
    return {
        "dataset": "imagenet",
        "method": "popup",
        "weights": weights,
        "net.kind": "resnet",
        "net.depth": depth,
        "net.width": 1.0,
        "sparsity": 0.7,
        "rank": "absolute",
        "scores": "hidden",
        "score_lr": 0.256,
        "momentum": 0.875,
        "weight_decay": 3.05e-5,
        "label_smoothing": 0.1,  # we have no such setting, so that no run agrees today
        "batch_size": 256,
        "epochs": 100,
        "schedule": "warmup-cosine",
        "warmup_epochs": 5,
    }


def _imagenet(weights: str, depth: int, accuracy: float) -> PublishedAccuracy:
    return PublishedAccuracy(
        f"popup-{weights}",
        f"ResNet{depth}",
        accuracy,
        _HIDDEN_NETWORKS,
        _IMAGENET_RECIPE,
        _imagenet_settings(weights, depth),
    )


ACCURACIES: tuple[PublishedAccuracy, ...] = (
    _imagenet("kn", 50, 0.617),
    _imagenet("sc", 50, 0.686),
    _imagenet("kn", 101, 0.6615),
    _imagenet("sc", 101, 0.723),
    PublishedAccuracy("popup-kn", "Wide ResNet50", 0.679, _HIDDEN_NETWORKS, _IMAGENET_RECIPE),
    PublishedAccuracy("popup-sc", "Wide ResNet50", 0.733, _HIDDEN_NETWORKS, _IMAGENET_RECIPE),
    PublishedAccuracy("popup", "Conv2", 0.777, _TABLED, _CIFAR_RECIPE),
    PublishedAccuracy("popup", "Conv4", 0.858, _TABLED, _CIFAR_RECIPE),
    PublishedAccuracy("popup", "Conv6", 0.881, _TABLED, _CIFAR_RECIPE),
)
"""Every number with its origin; whether one may be drawn is a matter of its `settings`."""
