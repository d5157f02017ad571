"""Settings that every training has, whatever it trains. Light: the Snakefile reads this without torch."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from carryover.core.config import Settings
from carryover.data.recipes import Augmentation
from carryover.nets.settings import NetSettings

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
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


class WeightTraining(Training):
    """Training of all weights."""

    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum, or AdamW, for which `momentum` is the first beta."""
    lr: Positive
    """Initial learning rate."""
