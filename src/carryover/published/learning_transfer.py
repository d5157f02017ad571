"""Curves and tables of the learning-transfer paper, each with its source and the settings behind it.

The curves lie in `learning_transfer.json`, in percent, decoded from the vector coordinates of the figures of the
camera-ready version (error about 0.01 of the plotted unit). Figure 7 and table 3 are below. All accuracies are top-1
on validation images, those of table 3 on images that the paper does not name; here they are fractions.

Source: D. Chijiwa, Transferring Learning Trajectories of Neural Networks, ICLR 2024 (arXiv 2305.14122v2).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from carryover.published.learning_transfer_recipes import BEHIND, OWN, Settings, cosine_settings

PAPER = "Chijiwa 2024"
NUM_PAIRS = 3
"""Pairs of source and target behind every mean and standard deviation of the paper."""

_FILE = Path(__file__).with_suffix(".json")
_DIGEST = "3ba2157213dcf7c7dcff615f97d9e2352a7eda064df87cf89e6a39c8933740d2"
"""SHA-256 of the file: with it a change of the numbers is a change of the code, and figures are drawn again."""


@dataclass(frozen=True)
class Curve:
    """One curve of a panel: mean and sample standard deviation over the paper's pairs."""

    name: str
    """As the paper calls it."""
    method: str
    """As we call it: a key of the figures' METHODS, or `permuted` and `identity`."""
    mean: tuple[float, ...]
    sd: tuple[float, ...] | None
    """None where no spread is known."""
    settings: Settings = field(default_factory=dict)
    """Settings that runs of ours must have for the two to be compared; none where the paper's are not known well
    enough, and then the curve is never drawn on axes of ours."""


@dataclass(frozen=True)
class Level:
    """A horizontal line: the accuracy of ordinary training after an epoch."""

    epoch: int
    accuracy: float


@dataclass(frozen=True)
class Panel:
    """One panel of a figure of the paper."""

    key: str
    figure: str
    shown: str
    """Data set, net and trajectory, in words."""
    quantity: Literal["accuracy", "gap", "cosine"]
    """`gap` is training minus validation accuracy."""
    along: Literal["step", "epoch", "iteration"]
    spacing: int
    """Steps, epochs or iterations between two points; the first lies at one spacing."""
    curves: tuple[Curve, ...]
    levels: tuple[Level, ...] = ()

    @property
    def place(self) -> tuple[float, ...]:
        """Where along the axis the points of every curve lie."""
        return tuple(float(self.spacing * (number + 1)) for number in range(len(self.curves[0].mean)))


@dataclass(frozen=True)
class Plane:
    """A plane through three solutions, in units of the parameters' norm; accuracies to about one point."""

    key: str
    figure: str
    shown: str
    markers: Mapping[str, tuple[float, float, float]]
    """u, v and accuracy of target, transferred (and then trained), and source (permuted onto the target)."""
    lowest: Mapping[tuple[str, str], float]
    """Lowest accuracy on the segment between two of them."""


@dataclass(frozen=True)
class Ensembles:
    """One row of table 3: accuracy of an ensemble, and the epochs that each member was trained.

    The paper states neither the number of members nor how their predictions are averaged.
    """

    dataset: str
    accuracy: Mapping[str, float]
    epochs: Mapping[str, int]


_NAMES = {
    "Naive": "naive",
    "Oracle": "oracle",
    "GMT": "gmt",
    "FGMT": "fgmt",
    "Standard": "standard",
    "GMT on linear": "gmt",
    "GMT on actual": "gmt",
    "FGMT 10%->full": "fgmt",
    "FGMT 10%->10%": "fgmt",
    "Standard full": "standard",
    "Standard 10%": "standard",
}


_CIFAR100 = "CIFAR-10 to CIFAR-100, Conv8"
_PANELS: dict[str, tuple[str, str]] = {
    "fig3a": ("fig3a_mnist_mlp_by_width", "MNIST, MLP of one hidden layer, by width"),
    "fig3b": ("fig3b_conv8", "Conv8"),
    "fig3c": ("fig3c_resnet18", "ResNet18"),
    "fig4": ("fig4_conv8_cifar10_T60", "CIFAR-10, Conv8, T = 60"),
    "fig5a": ("fig5a_mnist", "MNIST, MLP 4096, linear, T = 5"),
    "fig5b": ("fig5b_cifar10", "CIFAR-10, Conv8, linear, T = 30"),
    "fig5c": ("fig5c_imagenet", "ImageNet, ResNet18, linear, T = 40"),
    "fig5d": ("fig5d_cars", "ImageNet to Cars, ResNet18, linear, T = 15"),
    "fig5e": ("fig5e_cub", "ImageNet to CUB, ResNet18, linear, T = 15"),
    "fig5f": ("fig5f_cifar100", f"{_CIFAR100}, linear, T = 15"),
    "fig6a": ("fig6a_cifar10", "CIFAR-10, Conv8"),
    "fig6b": ("fig6b_cifar100", _CIFAR100),
    "fig6c": ("fig6c_cars", "ImageNet to Cars, ResNet18"),
    "fig6d": ("fig6d_cub", "ImageNet to CUB, ResNet18"),
    "fig8a": ("fig8a_cub", "ImageNet to CUB, ResNet18"),
    "fig8b": ("fig8b_cars", "ImageNet to Cars, ResNet18"),
    "fig9a": ("fig9a_mnist_actual", "MNIST, MLP 4096, actual, 15 epochs"),
    "fig9b": ("fig9b_cifar10_actual", "CIFAR-10, Conv8, actual, 60 epochs"),
    "fig9c": ("fig9c_imagenet_actual", "ImageNet, ResNet18, actual, 100 epochs"),
    "fig9d": ("fig9d_cars_actual", "ImageNet to Cars, ResNet18, actual, 30 epochs"),
    "fig9e": ("fig9e_cub_actual", "ImageNet to CUB, ResNet18, actual, 30 epochs"),
    "fig9f": ("fig9f_cifar100_actual", f"{_CIFAR100}, actual, 60 epochs"),
}
_EPOCHS = {
    "a": (10, 4, 1),
    "b": (24, 16, 8),
    "c": (44, 37),
    "d": (2, 1),
    "e": (5, 4, 2),
    "f": (1,),
}
"""Epochs behind the reference lines of the panels of figures 5 and 9."""


PLANES: dict[str, Plane] = {
    "fig7a": Plane(
        "fig7a",
        "figure 7a",
        _CIFAR100,
        {"target": (0.0, 0.0, 0.65), "transferred": (42.1, 0.0, 0.65), "source": (15.6, 75.4, 0.65)},
        {("target", "transferred"): 0.58, ("target", "source"): 0.16, ("transferred", "source"): 0.15},
    ),
    "fig7b": Plane(
        "fig7b",
        "figure 7b",
        "ImageNet to Cars, ResNet18",
        {"target": (0.0, 0.0, 0.85), "transferred": (64.0, 0.0, 0.84), "source": (35.0, 108.8, 0.85)},
        {("target", "transferred"): 0.81, ("target", "source"): 0.72, ("transferred", "source"): 0.67},
    ),
    "fig7c": Plane(
        "fig7c",
        "figure 7c",
        "ImageNet to CUB, ResNet18",
        {"target": (0.0, 0.0, 0.71), "transferred": (52.8, 0.0, 0.70), "source": (36.8, 103.6, 0.69)},
        {("target", "transferred"): 0.70, ("target", "source"): 0.62, ("transferred", "source"): 0.63},
    ),
}
"""Figure 7: FGMT with training after it. The colours were read back through the bar of colours; grid of 5 units."""


def _row(dataset: str, gmt: float, fgmt: float, full: float, epochs: tuple[int, int]) -> Ensembles:
    shorter, whole = epochs
    return Ensembles(
        dataset,
        {"gmt": gmt, "fgmt": fgmt, "standard": full},
        {"gmt": shorter, "fgmt": shorter, "standard": whole},
    )


TABLE3: tuple[Ensembles, ...] = (
    _row("CIFAR-10", 0.9201, 0.9211, 0.9226, (50, 60)),
    _row("CIFAR-100", 0.7041, 0.6953, 0.6981, (50, 60)),
    _row("Cars", 0.8683, 0.8661, 0.8710, (20, 30)),
    _row("CUB", 0.7471, 0.7562, 0.7402, (10, 30)),
)
"""Table 3, in the order of its rows; `standard` is the paper's full ensemble."""


def panel(key: str) -> tuple[Panel, ...]:
    """Give the panels that a key of figures 3 to 6, 8 and 9 stands for: one, or for figure 8 accuracy and gap."""
    name, shown = _PANELS[key]
    figure = f"figure {key.removeprefix('fig')}"
    if key.startswith("fig8"):
        kinds: tuple[tuple[str, Literal["accuracy", "gap"]], ...] = (("valacc", "accuracy"), ("gap", "gap"))
        return tuple(
            Panel(key, figure, shown, kind, "epoch", 1, _curves(key, _data()[f"{name}_{suffix}"]))
            for suffix, kind in kinds
        )
    curves = _data()[name]
    if key.startswith("fig3"):
        return (Panel(key, figure, shown, "cosine", "iteration", 10, _cosines(key, curves)),)
    along: Literal["step", "epoch"] = "epoch" if key.startswith(("fig6", "fig9")) else "step"
    lines = zip(_EPOCHS.get(key[-1], ()), curves.get("reference_lines", ()), strict=False)
    levels = tuple(Level(epoch, round(value / 100, 6)) for epoch, value in lines)
    return (Panel(key, figure, shown, "accuracy", along, 1, _curves(key, curves), levels),)


def _curves(key: str, curves: Mapping[str, Any]) -> tuple[Curve, ...]:
    return tuple(
        Curve(
            name,
            _NAMES[name],
            _fractions(values["mean"]),
            _fractions(values["sd"]),
            {**BEHIND.get(key, {}), **OWN.get((key, _NAMES[name]), {})},
        )
        for name, values in curves.items()
        if name != "reference_lines"
    )


def _cosines(key: str, curves: Mapping[str, Any]) -> tuple[Curve, ...]:
    return tuple(
        Curve(
            name, name.rpartition(" ")[2], tuple(values["mean"]), None, _of_width(key, name.partition(" ")[0])
        )
        for name, values in curves.items()
    )


def _of_width(key: str, width: str) -> Settings:
    return cosine_settings(width) if key == "fig3a" else {}


def _fractions(percent: list[float]) -> tuple[float, ...]:
    return tuple(round(value / 100, 6) for value in percent)


@cache
def _data() -> dict[str, dict[str, Any]]:
    content = _FILE.read_bytes()
    assert hashlib.sha256(content).hexdigest() == _DIGEST, (
        f"{_FILE.name} is not the file whose digest is here"
    )
    data: dict[str, dict[str, Any]] = json.loads(content)
    return data
