"""Meta-training: the outer loop of every method, and Meta-ticket's redraw of pruned weights."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from carryover.core.adamw import AdamW
from carryover.core.loop import MomentumSgd
from carryover.data.tasks import Tasks
from carryover.metaticket.batching import Batching, Inner, outer_gradient
from carryover.metaticket.diary import Diary
from carryover.metaticket.learner import Learner
from carryover.metaticket.methods import METHODS
from carryover.metaticket.network import Network
from carryover.metaticket.schedule import outer_rate
from carryover.metaticket.settings import FewshotTraining
from carryover.sparse.prunable import prunable
from carryover.sparse.randomize import redraw_pruned_, redraw_stream

Sample = Callable[[int], Tasks]
"""Gives the tasks of an outer step by its number, the same ones whenever it is asked."""
Optimizer = tuple[list[str], MomentumSgd | AdamW, Callable[[int], float]]


def learn(
    network: Network,
    learner: Learner,
    run: FewshotTraining,
    sample: Sample,
    diary: Diary,
    batching: Batching,
) -> None:
    """Learn the variables of `learner`, in place, from where the diary's saved state left off; the seed is the diary's.

    Masks are computed once for each outer step. Every loss stays on the device until the diary writes it down.
    Source: Meta-ticket, sections 1.9 (Meta-ticket) and 2.1 (MAML; ANIL and BOIL differ in roles alone).
    """
    optimizers = list(_optimizers(learner, run))
    inner, fan_in = Inner(run.inner_steps, run.order), prunable(network.net)
    state = {**learner.variables, **_redrawn(learner, run)}
    for names, optimizer, _ in optimizers:
        state |= {f"optimizer/{names[0]}/{name}": tensor for name, tensor in optimizer.state().items()}
    first = diary.restore(state)
    if first == 0:
        diary.begin(learner)
    for step in range(first, run.outer_steps):
        start, rates = learner.parametrise(second=run.order == "second")
        found = outer_gradient(network, start, rates, sample(step), inner, batching)
        gradients = learner.outer(start, rates, found.start, found.rates)
        for names, optimizer, rate in optimizers:
            optimizer.step(rate(step), [gradients[name] for name in names])
        if _redraws(run) and (step + 1) % run.randomize_every == 0:
            redraw(learner, run, diary.seed, (step + 1) // run.randomize_every, fan_in)
        diary.close(step, found, learner)


@torch.no_grad()
def redraw(learner: Learner, run: FewshotTraining, seed: int, event: int, fan_in: dict[str, int]) -> None:
    """Redraw pruned weights, each with probability r; kept ones and the net's function stay as they are.

    Source: Meta-ticket, section 1.8 (IteRand's partial randomization).
    """
    assert run.weights != "constant", "constant weights have nothing to redraw"
    for name, mask in learner.masks().items():
        if name in learner.scores:
            draw = redraw_stream(seed, name, event)
            weight = learner.weights[name]
            redraw_pruned_(weight, mask, fan_in[name], run.weights, run.randomize_prob, draw)


def _redrawn(learner: Learner, run: FewshotTraining) -> dict[str, Tensor]:
    """Name the frozen weights that redraws change, which a saved state needs as well."""
    return {f"frozen/{name}": learner.weights[name] for name in learner.scores} if _redraws(run) else {}


def _redraws(run: FewshotTraining) -> bool:
    return run.randomize_every > 0 and run.randomize_prob > 0


def _optimizers(learner: Learner, run: FewshotTraining) -> Iterator[Optimizer]:
    """Yield what moves each group of variables, with its rate by step.

    A Meta-ticket's auxiliary values have an AdamW of their own, at a constant rate.
    Source: Meta-ticket, sections 1.6, 1.8 and 1.10.
    """
    method = METHODS[run.method]
    groups = {
        "main": [name for name in learner.variables if not (learner.scores and name.startswith("weights/"))],
        "auxiliary": [name for name in learner.variables if learner.scores and name.startswith("weights/")],
    }
    for group, names in groups.items():
        if not names:
            continue
        tensors = {name: learner.variables[name] for name in names}
        main = group == "main"
        kind = (run.optimizer or method.optimizer) if main else "adamw"
        lr = (run.outer_lr or method.outer_lr) if main else (run.auxiliary_lr or 0.0)
        schedule = (run.schedule or method.schedule) if main else "constant"
        optimizer = (AdamW if kind == "adamw" else MomentumSgd)(
            tensors, momentum=run.momentum, weight_decay=0.0
        )

        def rate(step: int, schedule: str = schedule, lr: float = lr) -> float:
            return outer_rate(schedule, lr, step, run.warmup_steps, run.outer_steps)  # type: ignore[arg-type]

        yield names, optimizer, rate
