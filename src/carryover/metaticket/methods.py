"""The methods as data: which roles the inner loop moves, which the outer loop learns, and what else they share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from carryover.metaticket.settings import FewshotTraining

Role = Literal["body", "bias", "norm", "head"]
"""Part that a parameter plays: weights of hidden layers, their biases, gain and shift of norms, the classifier."""
ROLES: tuple[Role, ...] = ("body", "bias", "norm", "head")
FEATURES: tuple[Role, ...] = ("body", "bias", "norm")


@dataclass(frozen=True)
class Method:
    """One row of the family's table."""

    label: str
    """Name in figures and tables."""
    adapts: tuple[Role, ...]
    """Roles that change in the inner loop."""
    learns: tuple[Role, ...] = ()
    """Roles whose initial values the outer loop learns."""
    masks: Literal["none", "scores", "magnitude"] = "none"
    """Whether weights are masked: by learned scores, or by the magnitude of weights that were trained before."""
    optimizer: Literal["sgd", "adamw"] = "adamw"
    """Outer optimizer, where a training names none."""
    outer_lr: float = 1e-3
    """Outer rate, where a training names none."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Outer rate by step, where a training names none."""


_SCORES: Mapping[str, object] = {
    "masks": "scores",
    "optimizer": "sgd",
    "outer_lr": 10.0,
    "schedule": "cosine",
}

METHODS: dict[str, Method] = {
    "maml": Method("MAML", ROLES, ROLES),
    "anil": Method("ANIL", ("head",), ROLES),
    "boil": Method("BOIL", FEATURES, ROLES),
    "meta-lth": Method("Meta-LTH", ROLES, ROLES, masks="magnitude"),
    "metaticket": Method("Meta-ticket", ROLES, **_SCORES),  # type: ignore[arg-type]
    "metaticket-boil": Method("Meta-ticket + BOIL", FEATURES, **_SCORES),  # type: ignore[arg-type]
    "random": Method("random network", ROLES),
}
"""Every method by the name that a study gives it. Source: Meta-ticket, section 2 (and 1.6, 1.10 for the outer loop).

MAC is ANIL or MAML with units added at test: `widen` of a test.
"""


def learns_head(run: FewshotTraining) -> bool:
    """Tell whether a training learns the classifier: its values, or which of its weights a mask keeps.

    A net whose classifier is not learned can have one of any number of ways, drawn anew.
    Source: Meta-ticket, section 8 (varying the number of ways).
    """
    method = METHODS[run.method]
    beside = run.masked == "body+head" or run.auxiliary_lr is not None
    return "head" in method.learns or (method.masks == "scores" and beside)
