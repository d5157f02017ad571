"""Test trained nets on stored tasks: after every wanted number of inner steps, as trained and in other ways."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from carryover.core.block import Tensors
from carryover.core.config import parse
from carryover.data.episodes import Episodes, ImageEpisodes, open_episodes
from carryover.io.checkpoint import save_tensors
from carryover.io.tables import save_table
from carryover.metaticket.batching import batching_of
from carryover.metaticket.learner import Learner
from carryover.metaticket.methods import FEATURES
from carryover.metaticket.own import TrainedNet
from carryover.metaticket.settings import FewshotTest, FewshotTraining
from carryover.metaticket.widen import widened
from carryover.stages._cli import pick_device, run_stage, set_threads
from carryover.stages._fewshot import (
    Stored,
    fewshot_parser,
    load_stored,
    measure,
    open_training,
    run_name,
    sign,
)

ADAPTED = {"body": FEATURES, "head": ("head",)}
Measured = tuple[str, str, Tensor, Tensor]


def main(argv: Sequence[str] | None = None) -> None:
    """Write the mean over tasks of every measurement, and beside it the value of each task."""
    parser = fewshot_parser(__doc__, ["training"], ["tasks"])
    args = parser.parse_args(argv)
    run, like = parse(FewshotTest, args.spec), torch.zeros((), device=pick_device(args.device))
    set_threads(args.threads)
    trained = open_training(args.training)
    episodes, stored = open_episodes(args.images, run.split, like), load_stored(args.episodes)
    trained.check(episodes, args.images)
    score = "mse" if trained.run.net.kind == "regressor" else "accuracy"
    rows: list[dict[str, Any]] = []
    per_task: Tensors = {}
    for seed in trained.seeds:
        for adapted, norm, losses, scores in tested(run, trained.net(seed), episodes, stored, like):
            for number, step in enumerate(sorted(run.steps)):
                place = {"seed": seed, "split": run.split, "adapted": adapted, "norm": norm, "step": step}
                rows += [
                    {
                        "run": run_name(args),
                        **place,
                        "metric": metric,
                        "value": float(values[number].double().mean()),
                    }
                    for metric, values in (("loss", losses), (score, scores))
                ]
            per_task[f"{seed}/{adapted}/{norm}"] = scores.cpu()
    if run.ceiling:
        from carryover.metaticket.ceiling import ceilings  # scikit-learn takes a second that few tests need

        assert isinstance(episodes, ImageEpisodes), (
            "the ceiling is a classifier's, which the study's check knows"
        )
        reached = ceilings(episodes, stored.drawn, stored.settings.shots)
        for seed in trained.seeds:  # the same for each: it belongs to the tasks
            place = {"seed": seed, "split": run.split, "adapted": "ceiling", "norm": "none", "step": 0}
            mean = float(reached.double().mean())
            rows.append({"run": run_name(args), **place, "metric": "accuracy", "value": mean})
            per_task[f"{seed}/ceiling/none"] = reached[None]
    save_table(args.metrics, rows)
    save_tensors(args.tasks, per_task, {"steps": ",".join(map(str, sorted(run.steps)))})
    record = {"device": str(like.device), "training": trained.name}
    sign(args, run.stage, "test", outputs=[args.tasks], inputs=[args.training], record=record)


def tested(
    run: FewshotTest, trained: TrainedNet, episodes: Episodes, stored: Stored, like: Tensor
) -> Iterator[Measured]:
    """Yield for each way to test one net: what is adapted, the norm, and losses and scores of every task by step."""
    training = trained.run
    batching = batching_of(training.batching, training.chunk, like.device)
    own_norm = training.norm
    for statistics in dict.fromkeys(
        own_norm if norm == "trained" or own_norm == "none" else norm for norm in run.norms
    ):
        network, learner = trained.opened(stored.settings.ways, like)
        network = replace(network, norm=statistics)
        for adapted in run.adapted:
            if run.widen is not None:
                own, start, rates = widened(network, learner, run.widen, trained.seed)
            else:
                own, (start, rates) = network, learner.parametrise()
                rates = rates_of(rates, learner, run, training, adapted)
            tasks = stored.tasks(episodes, like)
            losses, scores = measure(own, (start, rates), tasks, sorted(run.steps), batching)
            yield adapted, statistics, losses, scores


def rates_of(
    rates: dict[str, float | Tensor],
    learner: Learner,
    run: FewshotTest,
    training: FewshotTraining,
    adapted: str,
) -> dict[str, float | Tensor]:
    """Leave out what is not adapted, and set the rate of the test.

    A role that training left alone but the test adapts has the training's `inner_lr`.
    Source: Meta-ticket, section 5.3 (body against head).
    """
    masks = learner.masks()
    if adapted != "trained":
        roles = ADAPTED[adapted]
        rates = {
            name: rates.get(
                name, training.inner_lr * masks[name] ** 2 if name in masks else training.inner_lr
            )
            for name, role in learner.roles.items()
            if role in roles
        }
    if run.inner_lr is None:
        return rates
    return {name: rate * (run.inner_lr / training.inner_lr) for name, rate in rates.items()}


if __name__ == "__main__":
    run_stage(main)
