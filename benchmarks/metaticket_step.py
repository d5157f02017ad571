"""Time an outer step of few-shot learning: the methods, loop against `vmap`, and evaluation against a plain loop."""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from _report import write_report
from torch import Tensor
from torch.func import functional_call

from carryover.core import rng
from carryover.core.block import placed
from carryover.core.resume import NoResume
from carryover.data.tasks import Tasks, one_by_one
from carryover.metaticket.batching import Backend, Batching, after_steps, batching_of
from carryover.metaticket.diary import Diary
from carryover.metaticket.learner import Learner, inner_rates, learned_names
from carryover.metaticket.methods import METHODS
from carryover.metaticket.network import Network
from carryover.metaticket.roles import maskable, roles_of
from carryover.metaticket.search import learn
from carryover.metaticket.settings import FewshotTraining
from carryover.metaticket.starts import draw_scores, draw_start
from carryover.nets.episode import build_episode_net

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from reference import meta_ticket as published  # type: ignore[import-not-found]

SHAPE, WAYS, SHOTS, META_BATCH = (1, 28, 28), 5, 5, 4
NETS: dict[str, dict[str, object]] = {
    "MLP x1": {"kind": "episode-mlp"},
    "MLP x4": {"kind": "episode-mlp", "width": 4},
    "Conv4": {"kind": "conv4"},
}
STEPS = (0, 1, 3)
"""Inner steps after which the evaluation predicts."""
GOAL = 1.35
"""An outer step of Meta-ticket to one of MAML."""
TIMED = ("maml", "metaticket", "boil", "anil", "metaticket-boil")
ORDERS = ("second", "first")
BACKENDS: tuple[Backend, ...] = ("loop", "vmap")


@dataclass(frozen=True)
class Scale:
    """How large everything is."""

    rounds: int = 10
    outer_steps: int = 5
    """Outer steps of one timing."""
    tasks: int = 20
    """Tasks of one evaluation."""
    nets: tuple[str, ...] = ("MLP x1", "MLP x4", "Conv4")


SMALL = Scale(rounds=2, outer_steps=1, tasks=4)


@dataclass(frozen=True)
class Arm:
    """What is timed, and what it took in each round."""

    run: Callable[[], object]
    seconds: list[float]

    @property
    def median(self) -> float:
        """Give the median over the rounds, in seconds."""
        return statistics.median(self.seconds)


class Silent:
    """A progress bar that shows nothing."""

    def update(self, step: int, **postfix: object) -> None:
        """Show nothing."""


def tasks_of(number: int, like: Tensor, *path: str | int) -> Tasks:
    """Draw tasks of noisy pictures."""
    draw = rng.generator(0, "tasks", *path)
    pictures = torch.rand(number, WAYS, 1, *SHAPE, generator=draw)
    labels = torch.arange(WAYS)[:, None].expand(number, WAYS, SHOTS).flatten(1)

    def side() -> tuple[Tensor, Tensor]:
        noise = torch.rand(number, WAYS, SHOTS, *SHAPE, generator=draw)
        return ((pictures + noise) / 2).flatten(1, 2).to(like), labels.to(like.device)

    return Tasks(*side(), *side())


def settings_of(net: Mapping[str, object], method: str, **changes: object) -> FewshotTraining:
    """Give the settings of a training with one inner step."""
    usual = {"dataset": "none", "net": net, "method": method, "ways": WAYS, "shots": SHOTS}
    usual |= {"outer_steps": 1, "meta_batch": META_BATCH, "evaluate_every": 0}
    return FewshotTraining.model_validate({**usual, **changes})


def posed(run: FewshotTraining, like: Tensor) -> tuple[Network, Learner]:
    """Draw what a training starts from."""
    net = build_episode_net(run.net, SHAPE, WAYS, norm=True).requires_grad_(False).to(like.device)
    roles, scored = roles_of(net), METHODS[run.method].masks == "scores"
    scores, thresholds = draw_scores(net, run, 1) if scored else ({}, {})
    learner = Learner(
        weights=placed(draw_start(net, run, 1), like),
        roles=roles,
        rates=inner_rates(run, roles),
        learned=learned_names(run, roles, maskable(net, run) if scored else {}),
        scores=placed(scores, like),
        thresholds=placed(thresholds, like),
    )
    return Network(net), learner


def outer_steps(run: FewshotTraining, like: Tensor) -> Callable[[], object]:
    """Make some outer steps as a training takes them, on tasks that are there already."""
    network, learner = posed(run, like)
    tasks = [tasks_of(run.meta_batch, like, step) for step in range(run.outer_steps)]
    batching = batching_of(run.batching, run.chunk, like.device)

    def train() -> None:
        diary = Diary(1, run.outer_steps, 0, NoResume(), Silent(), "accuracy")
        learn(network, learner, run, tasks.__getitem__, diary, batching)

    return train


def plain_evaluation(network: Network, learner: Learner, tasks: Tasks) -> object:
    """Adapt one task after the other by the plain algorithm, of first order."""
    masks = {name: mask.detach() for name, mask in learner.masks().items()}
    problem = published.Problem(
        lambda own, x: functional_call(network.net, own, (x,)), learner.rates, max(STEPS), second=False
    )
    listed = [tuple(task) for task in one_by_one(tasks)]
    return published.evaluate(problem, learner.weights, masks, listed, STEPS)


def race(arms: Mapping[str, Arm], rounds: int, device: torch.device) -> None:
    """Run all arms in turn, so that a change of the machine's speed meets all of them; the first round warms up."""
    for number in range(rounds + 1):
        for arm in arms.values():
            began = time.perf_counter()
            arm.run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if number > 0:
                arm.seconds.append(time.perf_counter() - began)


def made(scale: Scale, like: Tensor) -> dict[str, Arm]:
    """Make everything that is timed, by name."""
    arms: dict[str, Arm] = {}
    for net in scale.nets:
        for order in ORDERS:
            for method in TIMED if net == "MLP x1" else TIMED[:2]:
                for backend in BACKENDS if method in TIMED[:2] else BACKENDS[:1]:
                    run = settings_of(
                        NETS[net], method, order=order, batching=backend, outer_steps=scale.outer_steps
                    )
                    arms[f"{net}/{method}/{order}/{backend}"] = Arm(outer_steps(run, like), [])
        for method in TIMED[:2]:
            network, learner = posed(settings_of(NETS[net], method), like)
            tasks, start = tasks_of(scale.tasks, like, "evaluation"), learner.parametrise()
            plain = partial(plain_evaluation, network, learner, tasks)
            arms[f"{net}/{method}/evaluation/plain"] = Arm(plain, [])
            for backend in BACKENDS:
                evaluate = partial(after_steps, network, *start, tasks, STEPS, Batching(backend))
                arms[f"{net}/{method}/evaluation/{backend}"] = Arm(evaluate, [])
    return arms


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out a table; its first row is the head."""
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return [head, "|" + "---|" * len(rows[0]), *body]


def backends(arms: Mapping[str, Arm], scale: Scale) -> list[list[str]]:
    """Compare the loop with `vmap`."""
    rows = [["net", "method", "order", "loop, ms", "vmap, ms", "vmap to loop"]]
    for net in scale.nets:
        for method in TIMED[:2]:
            for order in ORDERS:
                loop, together = (
                    arms[f"{net}/{method}/{order}/{backend}"].median for backend in ("loop", "vmap")
                )
                milliseconds = [f"{1e3 * seconds / scale.outer_steps:.1f}" for seconds in (loop, together)]
                rows.append([net, METHODS[method].label, order, *milliseconds, f"{together / loop:.2f}"])
    return rows


def evaluations(arms: Mapping[str, Arm], scale: Scale) -> list[list[str]]:
    """Compare our evaluation with a plain loop of first order."""
    rows = [["net", "method", "plain loop, ms", "loop to plain", "vmap to plain"]]
    for net in scale.nets:
        for method in TIMED[:2]:
            plain, *ours = (
                arms[f"{net}/{method}/evaluation/{way}"].median for way in ("plain", "loop", "vmap")
            )
            ratios = [f"{seconds / plain:.2f}" for seconds in ours]
            rows.append([net, METHODS[method].label, f"{1e3 * plain / scale.tasks:.2f}", *ratios])
    return rows


def methods(arms: Mapping[str, Arm], scale: Scale) -> list[list[str]]:
    """Compare an outer step of every method with that of MAML."""
    rows = [["method", "order", "outer step, ms", "to MAML of the same order", "to MAML of second order"]]
    for order in ORDERS:
        for method in TIMED:
            seconds = arms[f"MLP x1/{method}/{order}/loop"].median
            ratios = [seconds / arms[f"MLP x1/maml/{other}/loop"].median for other in (order, "second")]
            cells = [f"{1e3 * seconds / scale.outer_steps:.1f}", *(f"{ratio:.2f}" for ratio in ratios)]
            rows.append([METHODS[method].label, order, *cells])
    return rows


def main() -> None:
    """Race all arms in one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a minute, to see that it runs; reports nothing")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; only that of a CPU writes a report")
    args = parser.parse_args()
    scale, like = SMALL if args.small else Scale(), torch.zeros((), device=args.device)
    torch.set_num_threads(1)
    arms = made(scale, like)
    race(arms, scale.rounds, like.device)
    ticket, dense = (arms[f"MLP x1/{method}/second/loop"].median for method in ("metaticket", "maml"))
    told = [
        f"{WAYS}-way {SHOTS}-shot, {SHOTS} query images of each class, 28x28, meta-batch {META_BATCH}, one inner step, "
        "fp32, the tasks in memory;",
        f"outer steps as `learn` takes them, {scale.outer_steps} at a time, median of n = {scale.rounds} interleaved "
        "rounds after one of warm-up.",
        f"The goal: an outer step of Meta-ticket takes at most {GOAL:g} times that of MAML (here "
        f"{ticket / dense:.2f}); BOIL and ANIL less than MAML.",
        "",
        "Tasks one after the other against `vmap` over the tasks (`batching: auto` is the loop on a CPU):",
        "",
        *table(backends(arms, scale)),
        "",
        f"Evaluation after {', '.join(map(str, STEPS))} inner steps, {scale.tasks} tasks, against the plain algorithm "
        "of first order, task after task",
        "(`tests/reference/meta_ticket.py`), whose time is given for one task. The goal: never slower.",
        "",
        *table(evaluations(arms, scale)),
        "",
        "An outer step, MLP x1, loop:",
    ]
    rows = methods(arms, scale)
    if args.small or like.device.type != "cpu":
        print(*told, *table(rows), sep="\n")
    else:
        write_report("metaticket_step", "Few-shot learning: time of an outer step", told, rows)


if __name__ == "__main__":
    main()
