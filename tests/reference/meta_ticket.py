"""Meta-ticket and its baselines as the equations say them, and no faster: what our loops are held against.

The loss is that of the masked net, its gradient is taken with respect to the *unmasked* weights, scores are
thresholded by an autograd function of their own, and tasks are run one after the other. Nothing is shared, and
nothing is left out of a graph.

Source: Meta-ticket, sections 1.3, 1.4, 1.6, 1.9 and 2.1.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

Tensors = dict[str, Tensor]
Task = tuple[Tensor, Tensor, Tensor, Tensor]
"""Support images and targets, query images and targets."""
Forward = Callable[..., Tensor]
"""From parameters and images to outputs; takes `num_reference` as well where a problem is `joint`."""
EPS = 1e-3
"""Of batch-norm in the perceptron."""


class Threshold(torch.autograd.Function):
    """1 where a score reaches the threshold; backward hands the gradient to the scores as it is."""

    @staticmethod
    def forward(ctx: object, scores: Tensor, threshold: Tensor) -> Tensor:
        return (scores >= threshold).to(scores.dtype)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def perceptron(parameters: Tensors, x: Tensor, num_reference: int | None = None) -> Tensor:
    """Linear, batch-norm if there is one, ReLU; the last layer is linear alone.

    The statistics of batch-norm are those of the first `num_reference` examples, or of all.
    """
    h = x.flatten(1)
    number = 1
    while f"fc{number}.weight" in parameters:
        h = h @ parameters[f"fc{number}.weight"].T + parameters[f"fc{number}.bias"]
        if f"norm{number}.weight" in parameters:
            own = h[:num_reference]
            mean, variance = own.mean(0), ((own - own.mean(0)) ** 2).mean(0)
            gain, shift = parameters[f"norm{number}.weight"], parameters[f"norm{number}.bias"]
            h = (h - mean) / (variance + EPS).sqrt() * gain + shift
        number += 1
        if f"fc{number}.weight" in parameters or "classifier.weight" in parameters:
            h = h.clamp_min(0)
    if "classifier.weight" in parameters:
        h = h @ parameters["classifier.weight"].T + parameters["classifier.bias"]
    return h


def loss_of(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of classes, mean squared error of numbers."""
    if targets.is_floating_point():
        return ((outputs - targets) ** 2).mean()
    return F.cross_entropy(outputs, targets)


@dataclass(frozen=True)
class Problem:
    """What does not change while a net is meta-trained."""

    forward: Forward
    rates: Mapping[str, float]
    """Inner rate of every parameter that the inner loop moves."""
    num_steps: int
    second: bool = True
    """Whether the meta-gradient passes through the gradients of the inner loop."""
    joint: bool = False
    """Whether the query is normalised by the statistics of the support, which is then run along with it."""

    def masked(self, weights: Tensors, masks: Tensors) -> Tensors:
        """Multiply weights by their masks, where they have one."""
        return {name: masks[name] * w if name in masks else w for name, w in weights.items()}

    def path(self, weights: Tensors, masks: Tensors, x: Tensor, y: Tensor) -> Iterator[Tensors]:
        """Yield the unmasked weights before and after each inner step."""
        weights = {name: w if w.requires_grad else w.clone().requires_grad_() for name, w in weights.items()}
        yield weights
        for _ in range(self.num_steps):
            loss = loss_of(self.forward(self.masked(weights, masks), x), y)
            slopes = torch.autograd.grad(
                loss, [weights[name] for name in self.rates], create_graph=self.second
            )
            moved = {
                name: weights[name] - rate * slope
                for (name, rate), slope in zip(self.rates.items(), slopes, strict=True)
            }
            weights = {**weights, **moved}
            yield weights

    def query_loss(self, weights: Tensors, masks: Tensors, task: Task) -> Tensor:
        """Give the query loss of one task after the inner loop."""
        support_x, support_y, query_x, query_y = task
        *_, adapted = self.path(weights, masks, support_x, support_y)
        if self.joint:
            both, number = torch.cat([support_x, query_x]), len(support_x)
            outputs = self.forward(self.masked(adapted, masks), both, num_reference=number)[number:]
        else:
            outputs = self.forward(self.masked(adapted, masks), query_x)
        return loss_of(outputs, query_y)

    def objective(self, weights: Tensors, masks: Tensors, tasks: Sequence[Task]) -> Tensor:
        """Average the query loss over tasks."""
        return torch.stack([self.query_loss(weights, masks, task) for task in tasks]).mean()


def outer_rate(lr: float, step: int, num_warmup: int, num_steps: int) -> float:
    """Give the rate of a step: lr (i + 1) / (W + 1), then half a cosine from lr to 0."""
    if step < num_warmup:
        return lr * (step + 1) / (num_warmup + 1)
    return lr * 0.5 * (1 + math.cos(math.pi * (step - num_warmup) / (num_steps - num_warmup)))


@dataclass
class Sgd:
    """SGD with momentum."""

    momentum: float = 0.9
    velocity: Tensors = field(default_factory=dict)

    def step(self, variables: Tensors, gradients: Tensors, lr: float) -> Tensors:
        """Give the variables after one step."""
        for name, gradient in gradients.items():
            self.velocity[name] = (
                self.momentum * self.velocity.get(name, torch.zeros_like(gradient)) + gradient
            )
        return {name: (tensor - lr * self.velocity[name]).detach() for name, tensor in variables.items()}


@dataclass
class Adam:
    """Adam without weight decay."""

    count: int = 0
    mean: Tensors = field(default_factory=dict)
    square: Tensors = field(default_factory=dict)

    def step(self, variables: Tensors, gradients: Tensors, lr: float) -> Tensors:
        """Give the variables after one step."""
        self.count += 1
        moved = {}
        for name, gradient in gradients.items():
            nothing = torch.zeros_like(gradient)
            self.mean[name] = 0.9 * self.mean.get(name, nothing) + 0.1 * gradient
            self.square[name] = 0.999 * self.square.get(name, nothing) + 0.001 * gradient**2
            mean, square = (
                self.mean[name] / (1 - 0.9**self.count),
                self.square[name] / (1 - 0.999**self.count),
            )
            moved[name] = (variables[name] - lr * mean / (square.sqrt() + 1e-8)).detach()
        return moved


@dataclass
class Training:
    """A meta-training: scores or initial values, and what moves them."""

    problem: Problem
    weights: Tensors
    learned: Sequence[str] = ()
    """Weights whose initial values are learned."""
    scores: Tensors = field(default_factory=dict)
    thresholds: Tensors = field(default_factory=dict)
    fixed_masks: Tensors = field(default_factory=dict)

    def masks(self, scores: Tensors) -> Tensors:
        """Threshold the scores."""
        return {**self.fixed_masks, **{n: Threshold.apply(s, self.thresholds[n]) for n, s in scores.items()}}

    def gradients(self, tasks: Sequence[Task]) -> tuple[Tensor, Tensors]:
        """Give the mean query loss and its gradients: `scores/...` and `weights/...`."""
        scores = {name: s.detach().clone().requires_grad_() for name, s in self.scores.items()}
        weights = {name: w.detach().clone() for name, w in self.weights.items()}
        leaves = {f"scores/{name}": s for name, s in scores.items()}
        leaves |= {f"weights/{name}": weights[name].requires_grad_() for name in self.learned}
        loss = self.problem.objective(weights, self.masks(scores), tasks)
        slopes = torch.autograd.grad(loss, list(leaves.values()))
        return loss.detach(), dict(zip(leaves, slopes, strict=True))

    def step(self, optimizer: Sgd | Adam, tasks: Sequence[Task], lr: float) -> Tensor:
        """Take one outer step; return the loss before it."""
        loss, gradients = self.gradients(tasks)
        moved = optimizer.step(self.variables, gradients, lr)
        self.scores = {name: moved[f"scores/{name}"] for name in self.scores}
        self.weights = {name: moved.get(f"weights/{name}", w) for name, w in self.weights.items()}
        return loss

    @property
    def variables(self) -> Tensors:
        """Name what is learned."""
        scores = {f"scores/{name}": s for name, s in self.scores.items()}
        return {**scores, **{f"weights/{name}": self.weights[name] for name in self.learned}}


def evaluate(
    problem: Problem, weights: Tensors, masks: Tensors, tasks: Sequence[Task], steps: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Give loss and accuracy on the query after each of some numbers of inner steps: rows are steps, columns tasks."""
    losses, accuracies = [], []
    for support_x, support_y, query_x, query_y in tasks:
        found = {}
        for number, adapted in enumerate(problem.path(weights, masks, support_x, support_y)):
            if number in steps:
                with torch.no_grad():
                    outputs = problem.forward(problem.masked(adapted, masks), query_x)
                    right = (outputs.argmax(-1) == query_y).to(outputs.dtype)
                    found[number] = loss_of(outputs, query_y), right.mean()
        losses.append(torch.stack([found[number][0] for number in steps]))
        accuracies.append(torch.stack([found[number][1] for number in steps]))
    return torch.stack(losses, dim=1), torch.stack(accuracies, dim=1)
