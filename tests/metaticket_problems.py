"""Small problems of few-shot learning: nets, tasks and learners, in fp64 where not said otherwise."""

import json
from collections.abc import Sequence

import torch
from reference import meta_ticket as published
from torch import Tensor, nn
from torch.func import functional_call

from carryover.core.resume import NoResume, OutOfTime, Resume
from carryover.core.rng import generator
from carryover.data.tasks import Tasks, one_by_one
from carryover.metaticket.batching import Batching, Inner, outer_gradient
from carryover.metaticket.diary import Diary
from carryover.metaticket.learner import Learner, inner_rates, learned_names
from carryover.metaticket.methods import METHODS
from carryover.metaticket.network import Network
from carryover.metaticket.pruning import magnitude_masks
from carryover.metaticket.roles import maskable, roles_of
from carryover.metaticket.search import learn
from carryover.metaticket.settings import FewshotTraining
from carryover.metaticket.starts import draw_scores, draw_start
from carryover.nets.episode import build_episode_net
from carryover.nets.episode_norm import EpisodeNorm

SHAPES = {"conv4": (2, 16, 16), "episode-mlp": (1, 4, 4), "regressor": (1,)}
WAYS, SHOTS = 3, 4
NETS = {
    "mlp": {"kind": "episode-mlp", "hidden": [8, 6]},
    "deep": {"kind": "episode-mlp", "hidden": [16, 14, 12, 10]},
    "conv": {"kind": "conv4", "channels": 4},
    "regressor": {"kind": "regressor", "hidden": 6},
}
LEARNING = [method for method, row in METHODS.items() if row.learns or row.masks == "scores"]
"""Methods that have something to learn: all but the random network."""
LOOP, VMAP = Batching("loop"), Batching("vmap")


def run_of(method: str = "metaticket", net: str = "mlp", **changes: object) -> FewshotTraining:
    """Settings of a training; 0.4 of the start is pruned where a mask is learned."""
    usual = {
        "dataset": "none",
        "net": NETS[net],
        "method": method,
        "ways": 1 if net == "regressor" else WAYS,
        "shots": SHOTS,
        "inner_steps": 2,
        "inner_lr": 0.3,
        "outer_steps": 6,
        "meta_batch": 3,
        "evaluate_every": 0,
        "initial_sparsity": 0.4,
    }
    if method == "meta-lth":
        usual["start"] = "dense"
    return FewshotTraining.model_validate({**usual, **changes})


def network_of(run: FewshotTraining, dtype: torch.dtype = torch.float64) -> Network:
    """Build the net of a run."""
    regression = run.net.kind == "regressor"
    outputs = 1 if regression else run.ways
    net = build_episode_net(run.net, SHAPES[run.net.kind], outputs, norm=run.norm != "none")
    return Network(net.to(dtype).requires_grad_(False), run.norm, regression)


def learner_of(
    run: FewshotTraining, network: Network, seed: int = 1, dtype: torch.dtype = torch.float64
) -> Learner:
    """Draw the learner of a run; biases, gains and shifts too, which start at 0 and 1 otherwise and hide mistakes."""
    net, masks = network.net, METHODS[run.method].masks
    roles, start = roles_of(net), draw_start(net, run, seed)
    for name, role in roles.items():
        if role in ("bias", "norm"):
            start[name] = start[name] + 0.3 * torch.randn(
                start[name].shape, generator=generator(seed, "other", name)
            )
    masked = maskable(net, run) if masks != "none" else {}
    scores, thresholds = draw_scores(net, run, seed) if masks == "scores" else ({}, {})
    weights = {name: tensor.to(dtype) for name, tensor in start.items()}
    fixed = (
        magnitude_masks({name: weights[name] for name in masked}, run.sparsity)
        if masks == "magnitude"
        else {}
    )
    return Learner(
        weights=weights,
        roles=roles,
        rates=inner_rates(run, roles),
        learned=learned_names(run, roles, masked if masks == "scores" else {}),
        scores={name: tensor.to(dtype) for name, tensor in scores.items()},
        thresholds={name: tensor.to(dtype) for name, tensor in thresholds.items()},
        fixed_masks=fixed,
    )


def tasks_of(
    run: FewshotTraining, num: int | None = None, *path: str | int, dtype: torch.dtype = torch.float64
) -> Tasks:
    """Draw tasks: noisy copies of as many of 12 pictures as there are ways, or points of sinusoids."""
    draw, num = generator(0, "tasks", *path), num or run.meta_batch
    shots, query = run.shots, run.query_shots or run.shots
    if run.net.kind == "regressor":
        x = 10 * torch.rand(num, shots + query, 1, generator=draw, dtype=dtype) - 5
        y = torch.sin(x + 3 * torch.rand(num, 1, 1, generator=draw, dtype=dtype))
        return Tasks(x[:, :shots], y[:, :shots], x[:, shots:], y[:, shots:])
    shape = SHAPES[run.net.kind]
    pictures = torch.randn(12, *shape, generator=generator(0, "pictures"), dtype=dtype)
    classes = torch.stack([torch.randperm(12, generator=draw)[: run.ways] for _ in range(num)])

    def side(each: int) -> tuple[Tensor, Tensor]:
        noise = torch.randn(num, run.ways, each, *shape, generator=draw, dtype=dtype)
        labels = torch.arange(run.ways)[:, None].expand(num, run.ways, each)
        return (pictures[classes][:, :, None] + noise).flatten(1, 2), labels.flatten(1, 2)

    return Tasks(*side(shots), *side(query))


def problem_of(run: FewshotTraining, learner: Learner, num_steps: int | None = None) -> published.Problem:
    """Pose the inner loop of a learner to the published algorithm."""
    steps = run.inner_steps if num_steps is None else num_steps
    forward = convolutions(run) if run.net.kind == "conv4" else published.perceptron
    return published.Problem(forward, learner.rates, steps, run.order == "second", run.norm == "support")


def convolutions(run: FewshotTraining) -> published.Forward:
    """Give the function of a convolutional net, with torch's own batch-norm in the place of ours."""
    net = network_of(run).net
    for name, module in list(net.named_modules()):
        if isinstance(module, EpisodeNorm):
            plain = nn.BatchNorm2d(len(module.weight), module.eps, track_running_stats=False)
            setattr(net, name, plain.double())
    return lambda parameters, x: functional_call(net, parameters, (x,))


def training_of(run: FewshotTraining, learner: Learner, num_steps: int | None = None) -> published.Training:
    """Pose a learner to the published algorithm."""
    return published.Training(
        problem_of(run, learner, num_steps),
        dict(learner.weights),
        learner.learned,
        dict(learner.scores),
        dict(learner.thresholds),
        dict(learner.fixed_masks),
    )


def listed(tasks: Tasks) -> Sequence[published.Task]:
    """Give tasks one by one, as the published algorithm takes them."""
    return [tuple(task) for task in one_by_one(tasks)]


def meta_gradient(
    run: FewshotTraining,
    learner: Learner,
    tasks: Tasks,
    batching: Batching = LOOP,
    num_steps: int | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Give our mean query loss and its gradients with respect to all variables."""
    for tensor in learner.variables.values():
        tensor.requires_grad_(True)
    start, rates = learner.parametrise(second=run.order == "second")
    steps = run.inner_steps if num_steps is None else num_steps
    network = network_of(run, tasks.support_x.dtype)
    found = outer_gradient(network, start, rates, tasks, Inner(steps, run.order), batching)
    return found.losses.mean(), learner.outer(start, rates, found.start, found.rates)


class Bar:
    """A progress bar that shows nothing."""

    def update(self, step: int, **postfix: object) -> None:
        pass


class Memory:
    """Keeps saved states in memory, and ends the job after a save when that was asked for (implements `Resume`)."""

    def __init__(self, stop_at: int | None = None):
        self.notes, self.stop_at, self.saves = "{}", stop_at, 0
        self._state: dict[str, Tensor] | None = None
        self._asked = 0

    def restore(self) -> dict[str, Tensor] | None:
        self._asked = json.loads(self.notes).get("step", 0)
        return self._state

    def due(self) -> bool:
        self._asked += 1
        return self._asked == self.stop_at

    def save(self, step: int, state: dict[str, Tensor], notes: str) -> None:
        self._state, self.notes = {name: t.detach().clone() for name, t in state.items()}, notes
        self.saves += 1
        if step == self.stop_at:
            self.stop_at = None
            raise OutOfTime(f"saved after step {step}")


def sampled(run: FewshotTraining, dtype: torch.dtype = torch.float64) -> list[Tasks]:
    """Draw the tasks of all outer steps."""
    return [tasks_of(run, run.meta_batch, "train", step, dtype=dtype) for step in range(run.outer_steps)]


def train(
    run: FewshotTraining,
    learner: Learner,
    resume: Resume | None = None,
    batching: Batching = LOOP,
    tasks: Sequence[Tasks] | None = None,
) -> Diary:
    """Meta-train a learner in place; return the diary."""
    dtype = next(iter(learner.weights.values())).dtype
    network, sample = network_of(run, dtype), (tasks or sampled(run, dtype)).__getitem__
    score = "mse" if network.regression else "accuracy"
    diary = Diary(1, run.outer_steps, run.evaluate_every, resume or NoResume(), Bar(), score)
    learn(network, learner, run, sample, diary, batching)
    return diary


def state_of(learner: Learner) -> dict[str, Tensor]:
    """Give copies of everything that a learner holds."""
    parts = ("weights", "scores", "thresholds", "fixed_masks")
    return {f"{part}/{n}": t.detach().clone() for part in parts for n, t in getattr(learner, part).items()}


def largest_difference(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """Give the largest difference between two sets of tensors with the same names."""
    assert first.keys() == second.keys()
    return max((own - second[name]).abs().max().item() for name, own in first.items())


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Tell whether all tensors have the same bits."""
    return first.keys() == second.keys() and all(torch.equal(own, second[n]) for n, own in first.items())
