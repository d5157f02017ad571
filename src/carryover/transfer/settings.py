"""Settings of learning transfer: trainings, transfers, what is measured of them. Symbols of the paper in brackets."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from carryover.core.config import Settings
from carryover.permute.settings import MatchingSettings
from carryover.train.settings import Count, NonNegative, Positive, WeightTraining

Method = Literal["naive", "random", "oracle", "weights", "signs", "gmt", "fgmt"]
"""Ways to find the permutation."""
EVERY_METHOD: tuple[Method, ...] = ("naive", "random", "oracle", "weights", "signs", "gmt", "fgmt")


class NetTraining(WeightTraining):
    """One training of the nets that trajectories come from and go to; source and target alike."""

    stage: ClassVar[str] = "train_net"
    refers: ClassVar[dict[str, str]] = {"start": "trainings"}
    affine: ClassVar[bool] = True

    start: str | None = None
    """Training whose last nets this one starts from, with a newly drawn classifier; none starts from random nets."""
    order_seed: Annotated[int, Field(ge=0)] | None = None
    """Seed of the order and augmentation of the images, where it is not the seed of the weights."""
    record: Literal["ends", "epochs", "steps"] = "epochs"
    """Points of the trajectory that are kept besides the first, the last and the best."""
    record_every: Count = 1
    """Epochs or steps between two recorded points."""


class TransferRun(Settings):
    """One way to carry the trajectory of a source to a target."""

    stage: ClassVar[str] = "transfer_trajectory"
    refers: ClassVar[dict[str, str]] = {"training": "trainings", "target_training": "trainings"}

    training: str
    """Training of the sources, and of the targets if `target_training` is not given."""
    target_training: str | None = None
    """Training of the targets, where it is another one: same net, same data set to end on."""
    methods: tuple[Method, ...] = EVERY_METHOD
    """Ways to find the permutation."""
    trajectory: Literal["linear", "actual"] = "linear"
    """The straight line from the first to the last point of the source, or the recorded points."""
    steps: Count = 10
    """Increments of a linear trajectory [T]."""
    grid: Literal["uniform", "cosine"] = "uniform"
    """Where on each line the points lie: evenly, or large steps first [lambda_t]."""
    every: Count = 1
    """Take each n-th recorded point (actual trajectories)."""
    substeps: Count = 1
    """Increments in each gap between the points that are taken, along a line (actual trajectories)."""
    end: Literal["last", "best"] = "last"
    """Point of the source at which its trajectory ends."""
    segments: Count = 1
    """Parts of the trajectory with a permutation of their own."""
    batch_size: Count = 128
    """Images of a mini-batch of the matched gradients."""
    num_batches: Count = 1
    """Mini-batches whose gradients are averaged."""
    statistics_batches: Annotated[int, Field(ge=0)] = 20
    """Mini-batches from which batch-norm statistics are rebuilt [B' / batch_size]; 0 leaves them as they begin."""
    augmentation: Literal["training", "none"] = "training"
    """Augment the images of the matching as the source's training does, or not at all."""
    matching: MatchingSettings = MatchingSettings()
    """How the permutation is searched for."""
    oracle: Literal["total", "first"] = "total"
    """What the oracle is fitted to: the whole displacement, or (published code) that of the first recorded gap."""
    select: Literal["val", "last"] = "val"
    """The step that counts as the result: best on validation images, or the last."""
    evaluate_every: Count = 1
    """Steps between two evaluations; the last step always has one."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of gradients and evaluations."""
    spill: bool = False
    """Keep cached gradients in a file instead of in memory."""


class ContinuationRun(WeightTraining):
    """Ordinary training that starts from transferred parameters."""

    stage: ClassVar[str] = "train_transferred"
    refers: ClassVar[dict[str, str]] = {"transfer": "transfers"}
    affine: ClassVar[bool] = True

    transfer: str
    """Transfer whose results it starts from; data set and net are those of its targets."""
    methods: tuple[Method, ...] = ("naive", "random", "oracle", "gmt", "fgmt")
    """Methods of that transfer to continue."""
    at: Literal["selected", "last"] = "selected"
    """Start at the step that the transfer selected, or at its last."""
    order_seed: Annotated[int, Field(ge=0)] | None = None
    """Seed of the order and augmentation of the images, where it is not the seed of the target's weights."""


class CosineRun(Settings):
    """How alike the increments of two trainings on the same batches are: Assumption (P)."""

    stage: ClassVar[str] = "transfer_cosine"
    refers: ClassVar[dict[str, str]] = {"training": "trainings"}

    training: str
    """Training whose recipe and starts are used."""
    steps: Count = 500
    """Optimizer steps of both nets."""
    every: Count = 10
    """Optimizer steps of one increment."""
    mode: Literal["whole", "prefix"] = "whole"
    """Fit one permutation to all increments, or for each t one to the increments up to it."""
    matching: MatchingSettings = MatchingSettings()
    """How the permutation is searched for."""


class CosineSpec(CosineRun):
    """What a job of this kind is told: its settings, and the recipe."""

    recipe: NetTraining
    """Settings of `training`."""


class SyncedRun(Settings):
    """Source and target train side by side on the same batches while the permutation is matched."""

    stage: ClassVar[str] = "transfer_synced"
    refers: ClassVar[dict[str, str]] = {"training": "trainings"}

    training: str
    """Training whose recipe and starts are used."""
    method: Literal["gmt", "fgmt", "random"] = "fgmt"
    """Way to find the permutation."""
    epochs: Count = 60
    """Passes over the training images."""
    matchings_per_epoch: Count = 5
    """Points that are stored and matched in one epoch."""
    max_matchings: Count = 150
    """Points after which the permutation stays."""
    gradients: Literal["composed", "true"] = "composed"
    """Match the gradients of the composed net, or (an online oracle) those that the target trains with."""
    matching: MatchingSettings = MatchingSettings()
    """How the permutation is searched for."""


class SyncedSpec(SyncedRun):
    """What a job of this kind is told: its settings, and the recipe."""

    recipe: NetTraining
    """Settings of `training`."""


class LandscapeRun(Settings):
    """Loss along lines between solutions, and on planes through three of them."""

    stage: ClassVar[str] = "transfer_landscape"
    refers: ClassVar[dict[str, str]] = {"transfer": "transfers", "continuation": "continuations"}

    transfer: str
    """Transfer whose last points are looked at."""
    continuation: str | None = None
    """Training after it, whose last nets span the plane with source and target; none draws no plane."""
    methods: tuple[Method, ...] = ("naive", "random", "oracle", "gmt")
    """Methods whose end points are joined with source and target."""
    continued: Method = "fgmt"
    """Method whose continued net spans the plane."""
    num_points: Annotated[int, Field(ge=3, le=101)] = 101
    """Points on each line, ends included."""
    spacing: Positive | None = None
    """Distance of a plane's grid points, in norm of the parameters; none takes a 24th of the plane's width."""
    margin: NonNegative = 0.25
    """How far a plane reaches beyond its three points, as a fraction of their spread."""
    map: bool = True
    """Also the map of the loss through trained target, oracle and GMT (first version of the paper)."""
    statistics_batches: Count = 20
    """Mini-batches from which batch-norm statistics are rebuilt."""


class EnsembleRun(Settings):
    """Averaged predictions of nets that were continued after their transfer."""

    stage: ClassVar[str] = "transfer_ensemble"
    refers: ClassVar[dict[str, str]] = {"continuation": "continuations"}

    continuation: str
    """Training after transfer whose last nets are the members: one for each pair."""
    methods: tuple[Method, ...] = ("naive", "gmt", "fgmt")
    """Methods of which an ensemble is made; trained targets always make one too."""


KINDS: dict[str, type[Settings]] = {
    "trainings": NetTraining,
    "transfers": TransferRun,
    "continuations": ContinuationRun,
    "cosines": CosineRun,
    "synced": SyncedRun,
    "landscapes": LandscapeRun,
    "ensembles": EnsembleRun,
}
"""Every kind of run by the name of its part of a study."""
