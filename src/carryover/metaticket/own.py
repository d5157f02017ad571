"""Few-shot learning for one's own examples: a trained net and a few labelled images in, a predictor out."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from carryover.core.block import Tensors, placed
from carryover.core.config import Settings
from carryover.data.tasks import Tasks
from carryover.metaticket.adapt import adapt as steps_of
from carryover.metaticket.adapt import graph_gradient
from carryover.metaticket.learner import Learner, inner_rates
from carryover.metaticket.methods import ROLES, Role, learns_head
from carryover.metaticket.network import Network
from carryover.metaticket.roles import roles_of
from carryover.metaticket.settings import Count, FewshotTraining, Norm, Positive
from carryover.metaticket.starts import draw_start
from carryover.nets.episode import build_episode_net
from carryover.nets.episode_norm import EpisodeNorm

Class = str | int
PARTS = ("weights", "scores", "thresholds", "fixed_masks")
"""Parts of a learner that a file keeps; the name of a tensor begins with its part."""
AT_ONCE = 256
"""Examples that are predicted together, where they do not depend on one another."""


class Options(Settings):
    """How a net is adapted to a support, and how it then predicts; symbols of the paper in brackets."""

    steps: Count | None = None
    """Inner steps [K]; where none are given those of the training, or of its validation; 1 for a module of your own."""
    lr: Positive | None = None
    """Rate of the inner loop [alpha]; that of the training where none is given. A module of your own needs one."""
    roles: tuple[Role, ...] | None = None
    """Parts of the net that are adapted; those of the training's method, or all of a module of your own."""
    transductive: bool = False
    """Normalise all examples of one call by their own statistics: a prediction then depends on what else is asked.
    Otherwise batch-norm has the statistics of the support, and every example is predicted for itself."""


DEFAULT = Options()


@dataclass(frozen=True)
class TrainedNet:
    """One net of a meta-training, as its file keeps it."""

    run: FewshotTraining
    seed: int
    input_shape: tuple[int, ...]
    """Shape of one example."""
    tensors: Tensors
    """Tensors by part and parameter, such as `scores/fc1.weight`."""

    def opened(self, ways: int, like: Tensor) -> tuple[Network, Learner]:
        """Build the net and its learner; for another number of ways than in training, the classifier is drawn anew.

        Source: Meta-ticket, section 8 (varying the number of ways).
        Raises ValueError when the classifier was learned, so that it has no other ways.
        """
        regression = self.run.net.kind == "regressor"
        if ways != self.run.ways and not regression and learns_head(self.run):
            raise ValueError(
                f"{self.run.method} has learned a classifier of {self.run.ways} ways, and the support has {ways} "
                "classes: bring as many, or take a net whose classifier is random (metaticket, metaticket-boil, random)"
            )
        outputs = 1 if regression else ways
        net = build_episode_net(self.run.net, self.input_shape, outputs, norm=self.run.norm != "none")
        roles = roles_of(net)
        parts: dict[str, Tensors] = {part: self._part(part, like) for part in PARTS}
        if ways != self.run.ways and not regression:
            drawn = placed(draw_start(net, self.run, self.seed), like)
            parts["weights"] |= {name: drawn[name] for name, role in roles.items() if role == "head"}
        learner = Learner(roles=roles, rates=inner_rates(self.run, roles), learned=(), **parts)
        return Network(net.requires_grad_(False), self.run.norm, regression), learner

    def _part(self, part: str, like: Tensor) -> Tensors:
        own = {name.partition("/"): tensor for name, tensor in self.tensors.items()}
        return placed({name: tensor for (first, _, name), tensor in own.items() if first == part}, like)


@dataclass(frozen=True)
class Predictor:
    """A net that was adapted to a support."""

    network: Network
    parameters: Tensors
    support: Float[Tensor, "support *shape"]
    classes: tuple[Class, ...]
    """Class of each output, sorted; none for regression."""
    steps: int
    """Inner steps that were taken."""

    @property
    def norm(self) -> Norm:
        """Statistics of batch-norm: of the support, of what is asked (transductive), or of no batch at all."""
        return self.network.norm

    @torch.no_grad()
    def outputs(self, examples: Shaped[Tensor, "n *shape"]) -> Float[Tensor, "n outputs"]:
        """Predict examples that are prepared as those of the support: a logit for each class, or a number.

        Raises ValueError when they are whole numbers, such as the pixels of a picture.
        """
        _check_prepared(examples, "query")
        examples = examples.to(self.support)
        parts = [examples] if self.norm == "transductive" else list(torch.split(examples, AT_ONCE))
        nothing = torch.zeros(0, dtype=torch.int64)
        tasks = [Tasks(self.support, nothing, part, nothing) for part in parts]
        return torch.cat([self.network.query_outputs(self.parameters, task) for task in tasks])

    def probabilities(self, examples: Shaped[Tensor, "n *shape"]) -> Float[Tensor, "n classes"]:
        """Give the probability of each class, in the order of `classes`."""
        return self.outputs(examples).softmax(-1)

    def classify(self, examples: Shaped[Tensor, "n *shape"]) -> list[Class]:
        """Name the most probable class of each example."""
        return [self.classes[label] for label in self.outputs(examples).argmax(-1).tolist()]

    def accuracy(self, examples: Shaped[Tensor, "n *shape"], labels: Sequence[Class] | Tensor) -> float:
        """Give the fraction of examples whose class is the most probable one."""
        found, wanted = self.classify(examples), _listed(labels)
        right = [bool(own == other) for own, other in zip(found, wanted, strict=True)]
        return sum(right) / len(right)


def adapt(
    model: TrainedNet | nn.Module,
    support: Shaped[Tensor, "support *shape"],
    labels: Sequence[Class] | Shaped[Tensor, "labels *target"],
    options: Options = DEFAULT,
) -> Predictor:
    """Adapt a net to a few labelled examples by the inner loop, and return what predicts others.

    `model` is a net of a meta-training, or any module with a linear layer as its classifier. `support` has the
    examples as the net takes them, in floating point. `labels` has their classes, as words or whole numbers (numbers
    to predict, of shape (support, 1), for a net of a regression); classes may have different numbers of examples.
    Everything is computed on the device of a module, or of the support. Nothing that is given is changed.

    A module of your own runs in evaluation mode: batch-norm keeps its running statistics, and where it has none it
    is treated as that of a meta-trained net.
    Source: Meta-ticket, sections 1.9 (meta-test) and 1.11.
    Raises ValueError when the support is not prepared, when the labels do not fit the support or the outputs of the
    net, or when an option does not fit the net.
    """
    _check_prepared(support, "support")
    regression = isinstance(model, TrainedNet) and model.run.net.kind == "regressor"
    classes = () if regression else _classes(_listed(labels), len(support))
    if isinstance(model, TrainedNet):
        if support.shape[1:] != model.input_shape:
            raise ValueError(
                f"the net takes examples of shape {model.input_shape}: got {tuple(support.shape[1:])}"
            )
        network, learner = model.opened(len(classes), support)
        steps = options.steps or model.run.val_steps or model.run.inner_steps
        learner = replace(learner, rates=_rates(learner, model.run.inner_lr, options))
    else:
        network, learner = _own(model, options)
        steps = options.steps or 1
    like = next(iter(learner.weights.values()))
    targets = (
        torch.as_tensor(labels) if regression else torch.tensor([classes.index(c) for c in _listed(labels)])
    )
    own = support.to(like)
    nothing = own[:0]
    targets = targets.to(like) if regression else targets.to(like.device)
    task = Tasks(own, targets, nothing, nothing)
    network = replace(network, norm=_norm(network, options))
    start, rates = learner.parametrise(second=False)
    _check_outputs(network, start, task, classes)
    start = {name: tensor.detach() for name, tensor in start.items()}
    *_, adapted = steps_of(
        lambda moving: network.support_loss(moving, task),
        start,
        {name: rate.detach() if isinstance(rate, Tensor) else rate for name, rate in rates.items()},
        steps,
        derivatives="none",
        gradient=graph_gradient(second=False),
    )
    return Predictor(network, adapted, own, classes, steps)


def _own(module: nn.Module, options: Options) -> tuple[Network, Learner]:
    """Take a module as the start of an inner loop."""
    if options.lr is None:
        raise ValueError("lr: a module of your own says nothing about the rate of the inner loop: give one")
    net = copy.deepcopy(module).eval().requires_grad_(False)
    roles = roles_of(net)
    rates = {name: options.lr for name, role in roles.items() if role in (options.roles or ROLES)}
    like = net.get_parameter(next(iter(roles)))
    for name, norm in list(net.named_modules()):
        if isinstance(norm, _BatchNorm) and norm.running_mean is None:
            net.set_submodule(name, _episode_norm(norm, like))
    weights = {name: parameter.detach() for name, parameter in net.named_parameters()}
    return Network(net), Learner(weights=weights, roles=roles_of(net), rates=rates, learned=())


def _episode_norm(norm: _BatchNorm, like: Tensor) -> EpisodeNorm:
    """Make what normalises by statistics of a batch that can be chosen, with the gain and shift of `norm`.

    Where it has none, they are 1 and 0 and have no rate.
    """
    made = EpisodeNorm(norm.num_features, norm.eps).requires_grad_(False).to(like)
    if norm.affine:
        made.load_state_dict(norm.state_dict())
    return made


def _rates(learner: Learner, trained: float, options: Options) -> dict[str, float]:
    """Give the inner rates of a meta-trained net; a role that the training left alone has the training's `inner_lr`."""
    rates = dict(learner.rates)
    if options.roles is not None:
        rates = {n: rates.get(n, trained) for n, role in learner.roles.items() if role in options.roles}
    scale = 1.0 if options.lr is None else options.lr / trained
    return {name: rate * scale for name, rate in rates.items()}


def _norm(network: Network, options: Options) -> Norm:
    """Say whose statistics batch-norm has."""
    has_norms = any(isinstance(module, EpisodeNorm) for module in network.net.modules())
    if options.transductive and not has_norms:
        raise ValueError(
            "transductive: nothing in this net is normalised by the statistics of a batch: leave it out"
        )
    return "transductive" if options.transductive else "support" if has_norms else "none"


def _check_prepared(examples: Tensor, part: str) -> None:
    """Refuse pixels as they come from a file: as numbers of a net's input they are far out of its scale."""
    if not examples.is_floating_point():
        raise ValueError(
            f"the {part} has whole numbers ({examples.dtype}): prepare images as the net takes them, as floating-point "
            "numbers with the scale, mean and standard deviation of its data set"
        )


def _listed(labels: Sequence[Any] | Tensor) -> list[Any]:
    return labels.tolist() if isinstance(labels, Tensor) else list(labels)


def _classes(labels: Sequence[Any], num_examples: int) -> tuple[Class, ...]:
    """Sort the classes of a support."""
    if len(labels) != num_examples:
        raise ValueError(
            f"the support has {num_examples} examples and {len(labels)} labels: give one for each"
        )
    if len({type(label) for label in labels} & {str, int}) != 1 or not all(
        isinstance(c, str | int) for c in labels
    ):
        raise ValueError("labels are words or whole numbers, all of one kind")
    classes = tuple(sorted(set(labels)))
    if len(classes) < 2:
        raise ValueError("the support has one class, and there is nothing to tell apart: give two at least")
    return classes


@torch.no_grad()
def _check_outputs(network: Network, start: Tensors, task: Tasks, classes: Sequence[Class]) -> None:
    """Compare the outputs of a net with the classes of a support, or with the numbers that it should predict."""
    support, targets = task.support_x, task.support_y
    shape = tuple(functional_call(network.net, start, (support,)).shape)
    if not classes and shape != targets.shape:
        raise ValueError(
            f"the net predicts numbers of shape {shape}, and the labels have the shape {tuple(targets.shape)}: give "
            "them that shape, an axis of examples and one of outputs"
        )
    if classes and shape != (len(support), len(classes)):
        raise ValueError(
            f"the support has {len(classes)} classes and the net gives an output of shape {shape[1:]} for each: "
            f"give it a classifier of {len(classes)} outputs"
        )
