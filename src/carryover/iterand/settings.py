"""Settings of IteRand's runs: weight training, edge-popup and IteRand. Symbols of the paper in brackets."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from carryover.train.settings import Count, Positive, Training, WeightTraining

Fraction = Annotated[float, Field(ge=0, le=1)]


class DenseRun(WeightTraining):
    """Weight training: the usual baseline, nothing pruned, batch-norm with gain and shift."""

    stage: ClassVar[str] = "iterand_dense"
    affine: ClassVar[bool] = True

    method: Literal["dense"]
    """Weight training."""
    weights: Literal["ku", "kn"] = "ku"
    """Distribution of the initial weights."""


class PopupRun(Training):
    """Edge-popup: random frozen weights, popup scores decide which are kept."""

    stage: ClassVar[str] = "iterand_popup"

    method: Literal["popup"]
    """Edge-popup, that is IteRand with r = 0."""
    weights: Literal["ku", "sc", "kn", "u"] = "ku"
    """Distribution of the weights [D_param]: Kaiming uniform, signed Kaiming constant, Kaiming normal, U[-1,1]."""
    scores: Literal["ku", "sc", "kn", "u", "hidden"] = "ku"
    """Distribution of the initial scores [D_score]."""
    score_lr: Positive
    """Initial learning rate of the scores."""
    sparsity: Annotated[float, Field(ge=0, lt=1)]
    """Fraction of each layer's weights that the mask removes [p]."""
    rank: Literal["raw", "absolute"] = "raw"
    """Rank weights by their score or by its absolute value."""
    scope: Literal["layer", "global"] = "layer"
    """Apply the sparsity in each layer or over all layers at once."""
    keep_rule: Literal["exact", "authors"] = "exact"
    """Count of kept weights: n - floor(p n), or the published code's threshold."""
    diagnose_every: Annotated[int, Field(ge=0)] = 0
    """Steps between two records of mask turnover and never-kept weights; 0 records none."""


class IterandRun(PopupRun):
    """IteRand: edge-popup that redraws pruned weights as it goes."""

    stage: ClassVar[str] = "iterand_search"

    method: Literal["iterand"]  # type: ignore[assignment]
    """Edge-popup with iterative randomization."""
    randomize_every: Count
    """Optimizer steps between two randomizations [K_per]."""
    randomize_prob: Fraction
    """Chance that a pruned weight is then redrawn [r]; 1 is naive randomization."""


METHODS: dict[str, type[Training]] = {"dense": DenseRun, "popup": PopupRun, "iterand": IterandRun}
"""Every method by the name that a study gives it."""
