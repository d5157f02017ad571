"""Settings of IteRand's runs: weight training, edge-popup and IteRand. Symbols of the paper in brackets."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from carryover.core.config import Settings
from carryover.data.recipes import Augmentation
from carryover.nets.settings import NetSettings

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class Training(Settings):
    """What every training has, whatever it trains."""

    stage: ClassVar[str]
    """Rule and stage that run it."""
    affine: ClassVar[bool] = False
    """Whether batch-norm has gain and shift."""

    dataset: str
    """Name of a data set of the study."""
    net: NetSettings
    """Architecture."""
    epochs: Count
    """Passes over the training images."""
    batch_size: Count = 128
    """Images of one step; the last, smaller batch of an epoch is kept."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of SGD; no Nesterov, no dampening."""
    weight_decay: NonNegative = 1e-4
    """L2 penalty on whatever is trained: the scores, or weights, biases and batch-norm parameters alike."""
    schedule: Literal["cosine", "warmup-cosine", "constant"] = "cosine"
    """Learning rate by epoch: cosine to 0; or linear warm-up, cosine, then a constant floor; or constant."""
    warmup_epochs: Annotated[int, Field(ge=0)] = 5
    """Epochs of linear warm-up (warmup-cosine only)."""
    floor_epochs: Annotated[int, Field(ge=0)] = 5
    """Last epochs, at the learning rate `floor_lr` (warmup-cosine only)."""
    floor_lr: NonNegative = 1e-5
    """Learning rate of the last epochs (warmup-cosine only)."""
    augmentation: Literal[Augmentation, "imagenet"] = "none"
    """Augmentation of training images: the usual `crop-flip`, the IteRand authors' `authors`, `crop` or `none`;
    `imagenet` (resized crop and flip) for a folder that is streamed, and only there."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the forward and backward pass; scores, weights and optimizer are fp32 in both."""
    evaluate_every: Count = 1
    """Epochs between two evaluations on validation (and test, see `curve`); the last epoch always has one."""
    curve: Literal["val", "test", "none"] = "val"
    """Split whose accuracy is recorded along the training; test at the last epoch always is."""
    stack: Literal["auto", "always", "never"] = "auto"
    """Train the seeds of a block together (`vmap`), one after the other, or as is faster for the net."""


class DenseRun(Training):
    """Weight training: the usual baseline, nothing pruned, batch-norm with gain and shift."""

    stage: ClassVar[str] = "iterand_dense"
    affine: ClassVar[bool] = True

    method: Literal["dense"]
    """Weight training."""
    weights: Literal["ku", "kn"] = "ku"
    """Distribution of the initial weights."""
    lr: Positive
    """Initial learning rate of the weights."""


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
