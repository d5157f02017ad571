"""Settings of few-shot learning: trainings, tests and analyses. Symbols of the paper in brackets."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from carryover.core.config import Settings
from carryover.nets.episode_settings import EpisodeNetSettings

Count = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
MethodName = Literal["maml", "anil", "boil", "meta-lth", "metaticket", "metaticket-boil", "random"]
"""Methods that are trained; `metaticket/methods.py` has their table."""
Norm = Literal["transductive", "support", "none"]


class FewshotTraining(Settings):
    """Meta-training of one method, or the random network that nothing trains."""

    stage: ClassVar[str] = "train_fewshot"
    refers: ClassVar[dict[str, str]] = {"start": "trainings"}

    dataset: str
    """Name of a data set of the study whose splits have classes of their own."""
    net: EpisodeNetSettings
    """Architecture."""
    method: MethodName
    """Row of the family's table."""
    start: str | None = None
    """Training whose ends are pruned by magnitude, and whose starts are then trained again (meta-lth, and only it)."""
    ways: Count = 5
    """Classes of a task [N]; 1 for regression."""
    shots: Count = 5
    """Support examples of each class [k]."""
    query_shots: Count | None = None
    """Query examples of each class; as many as `shots` when it is not given."""
    norm: Norm = "transductive"
    """Statistics of batch-norm on the query: of the query itself (`transductive`), of the support, or no norm."""
    inner_steps: Count = 1
    """Steps of the inner loop [K]."""
    inner_lr: Positive = 0.4
    """Rate of the inner loop [alpha]."""
    inner_lrs: dict[Literal["body", "bias", "norm", "head"], NonNegative] = {}
    """Rates of single roles, in the place of `inner_lr`; 0 leaves a role out of the inner loop."""
    order: Literal["second", "first"] = "second"
    """Differentiate through the inner steps, or take their gradients as constants."""
    outer_steps: Annotated[int, Field(ge=0)]
    """Steps of the outer loop [T]; none are taken of a random network."""
    meta_batch: Count = 4
    """Tasks of one outer step [B]."""
    optimizer: Literal["sgd", "adamw"] | None = None
    """Outer optimizer; that of the method when it is not given."""
    outer_lr: Positive | None = None
    """Outer rate [lr_max]; that of the method when it is not given."""
    schedule: Literal["constant", "cosine"] | None = None
    """Outer rate by step, after the warm-up; that of the method when it is not given."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Outer steps of linear warm-up [W] (cosine only)."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of SGD, first beta of AdamW."""
    masked: Literal["body", "body+head", "inner"] = "body"
    """Masked weights: of all hidden layers, also of the classifier, or of all layers but the first and the last."""
    weights: Literal["kn", "ku", "sc", "constant"] = "kn"
    """Distribution of masked weights: Kaiming normal, uniform, signed constant, or one positive constant a layer."""
    scores: Literal["ku", "kn", "u"] = "ku"
    """Distribution of the initial scores (masks from scores only)."""
    initial_sparsity: Fraction = 0.0
    """Fraction that the mask removes before the first step [p_init] (masks from scores only)."""
    randomize_every: Annotated[int, Field(ge=0)] = 0
    """Outer steps between two redraws of pruned weights [K_per]; 0 redraws none (masks from scores only)."""
    randomize_prob: Fraction = 0.0
    """Chance that a pruned weight is then redrawn [r] (masks from scores only)."""
    auxiliary_lr: Positive | None = None
    """Rate of AdamW at which what is not masked is learned as well; it stays as drawn when none is given (masks from
    scores only)."""
    sparsity: Fraction = 0.5
    """Fraction of each layer that is pruned by magnitude (meta-lth only)."""
    batching: Literal["auto", "loop", "vmap"] = "auto"
    """Tasks one after the other or together; `auto` is the loop on a CPU and `vmap` on a GPU."""
    chunk: Count | None = None
    """Tasks in flight at once, which bounds the memory; `vmap` takes the whole meta-batch when it is not given."""
    evaluate_every: Annotated[int, Field(ge=0)] = 1000
    """Outer steps between two evaluations on validation tasks; 0 leaves only that after the last step."""
    val_tasks: Count = 200
    """Validation tasks of one evaluation; the same ones for every method and seed."""
    val_steps: Count | None = None
    """Inner steps on them; `inner_steps` when it is not given."""

    @model_validator(mode="after")
    def _parts_fit(self) -> "FewshotTraining":
        if (self.method == "meta-lth") != (self.start is not None):
            raise ValueError(
                "start names the training that meta-lth prunes: give it with meta-lth, and only there"
            )
        if self.weights == "constant" and self.randomize_prob > 0:
            raise ValueError("a redraw of constant weights changes nothing: leave randomize_prob at 0")
        return self


class WidenSettings(Settings):
    """Units that are added to a trained net at test: MAC."""

    units: Count = 32
    """New units of each widened layer."""
    layers: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Hidden layers to widen, the first is 0; all when it is not given."""
    lr: Positive = 0.4
    """Rate at which the new units and their part of the classifier are trained."""
    train_head: bool = True
    """Whether the old part of the classifier is trained as well."""


class FewshotTest(Settings):
    """A trained net on the tasks of a split: its own, or that of another data set."""

    stage: ClassVar[str] = "test_fewshot"
    refers: ClassVar[dict[str, str]] = {"training": "trainings"}

    training: str
    """Training whose nets are tested."""
    dataset: str | None = None
    """Data set of the tasks; that of the training when it is not given."""
    split: Literal["train", "val", "test"] = "test"
    """Split whose classes the tasks have."""
    ways: Count | None = None
    """Classes of a task; as trained when it is not given. Another number draws a new classifier, so it needs a method
    that does not learn it."""
    shots: Count | None = None
    """Support examples of each class; as trained when it is not given."""
    query_shots: Count | None = None
    """Query examples of each class; those of the training when it is not given, and as many as this test's support
    examples of each class where the training gives none either."""
    tasks: Count = 1000
    """Number of tasks; the same ones for every method and seed."""
    steps: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0, 1, 3)
    """Numbers of inner steps after which the query is predicted."""
    inner_lr: Positive | None = None
    """Rate of the inner loop; as trained when it is not given."""
    adapted: Annotated[tuple[Literal["trained", "body", "head"], ...], Field(min_length=1)] = ("trained",)
    """Roles that the inner loop moves: as trained, all but the classifier, or the classifier alone."""
    norms: Annotated[tuple[Literal["trained", "support"], ...], Field(min_length=1)] = ("trained", "support")
    """Statistics of batch-norm on the query: as trained, and those of the support, which no other query changes."""
    widen: WidenSettings | None = None
    """Add units to the trained net, and train these: MAC."""
    ceiling: bool = False
    """Also fit a classifier to all images of a task's classes but its query: what more shots could give."""


class FewshotAnalysis(Settings):
    """What adaptation changes in a trained net: weights, gradients and features."""

    stage: ClassVar[str] = "analyse_fewshot"
    refers: ClassVar[dict[str, str]] = {"training": "trainings"}

    training: str
    """Training whose nets are looked at."""
    dataset: str | None = None
    """Data set of the tasks; that of the training when it is not given."""
    split: Literal["train", "val", "test"] = "test"
    """Split whose classes the tasks have."""
    tasks: Count = 200
    """Number of tasks."""
    steps: Count = 1
    """Inner steps between before and after."""


KINDS: dict[str, type[Settings]] = {
    "trainings": FewshotTraining,
    "tests": FewshotTest,
    "analyses": FewshotAnalysis,
}
"""Kinds of runs by their section, in an order in which each names only those before it (and its own)."""
