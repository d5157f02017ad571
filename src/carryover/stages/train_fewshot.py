"""Meta-train a block of seeds, one after the other; a random network is only drawn."""

import resource
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from pydantic import JsonValue

from carryover.core.block import Tensors, placed
from carryover.core.config import parse
from carryover.core.progress import Progress
from carryover.data.episodes import open_splits
from carryover.data.tasks import Tasks
from carryover.io.checkpoint import save_tensors
from carryover.io.tables import save_table
from carryover.io.workdir import WorkDir
from carryover.metaticket.batching import Batching, batching_of
from carryover.metaticket.diary import Diary, Diverged, Row
from carryover.metaticket.learner import Learner, inner_rates, learned_names
from carryover.metaticket.methods import METHODS
from carryover.metaticket.network import Network
from carryover.metaticket.pruning import magnitude_masks
from carryover.metaticket.roles import maskable, roles_of
from carryover.metaticket.search import learn
from carryover.metaticket.settings import FewshotTraining
from carryover.metaticket.starts import draw_scores, draw_start
from carryover.stages._cli import pick_device, run_stage, seeds_of, set_threads
from carryover.stages._fewshot import (
    Trained,
    build,
    fewshot_parser,
    load_stored,
    measure,
    open_training,
    run_name,
    sampler,
    sign,
    tensors_of,
)
from carryover.stages._training import work_folder


def main(argv: Sequence[str] | None = None) -> None:
    """Train every seed of the block, and write metrics, nets and manifest."""
    parser = fewshot_parser(__doc__, [], ["nets"])
    parser.add_argument("--start", type=Path, help="manifest of the training that meta-lth prunes")
    parser.add_argument(
        "--save-every", type=float, default=300.0, help="seconds between two saves (default: 300)"
    )
    args = parser.parse_args(argv)
    run, seeds = parse(FewshotTraining, args.spec), seeds_of(args.seeds or "")
    device = pick_device(args.device)
    set_threads(args.threads)
    like = torch.zeros((), device=device)
    training, validation = open_splits(args.images, ("train", "val"), like)
    stored = load_stored(args.episodes)
    before = open_training(args.start) if args.start else None
    batching = batching_of(run.batching, run.chunk, device)
    inputs = [args.images, args.episodes, *([args.start] if args.start else [])]
    rows: list[Row] = []
    tensors: Tensors = {}
    seconds: dict[str, float] = {}
    with WorkDir(work_folder(args, inputs), minutes=args.minutes, save_every=args.save_every) as work:
        for seed in seeds:
            network = build(run, training)
            with Progress(run.outer_steps, f"{run_name(args)} s{seed}") as progress:
                score = "mse" if network.regression else "accuracy"
                diary = Diary(
                    seed, run.outer_steps, run.evaluate_every, work.part(f"s{seed}"), progress, score
                )
                with suppress(Diverged):  # the diary says so, and the net is left out
                    if before is not None and seed not in before.seeds:
                        diary.diverge(0, f"seed {seed} of {before.name} diverged: there is nothing to prune")
                    learner = draw_learner(network, run, seed, before, like)
                    diary.validate = lambda learner=learner, network=network, score=score: {  # type: ignore[misc]
                        **validated(network, learner, run, stored.tasks(validation, like), batching, score)
                    }
                    if METHODS[run.method].learns or METHODS[run.method].masks == "scores":
                        learn(network, learner, run, sampler(training, run, seed), diary, batching)
                    else:
                        diary.begin(learner)
                    seconds[str(seed)] = round(diary.seconds, 1)
                    tensors.update({f"{seed}/{name}": t for name, t in tensors_of(learner).items()})
            rows += diary.rows
        save_table(args.metrics, [{"run": run_name(args), **row} for row in rows])
        notes = {"spec": args.spec, "seeds": args.seeds, "shape": ",".join(map(str, training.input_shape))}
        save_tensors(args.nets, tensors, notes)
        record: dict[str, JsonValue] = {
            "device": str(device),
            "attempt": work.attempt,
            "seconds": dict(seconds),
            "peak_mb": peak_mb(device),
            "classes": len(getattr(training, "classes", ())),
        }
        sign(args, run.stage, "training", outputs=[args.nets], inputs=inputs[2:], record=record)
        work.clear()


def draw_learner(
    network: Network, run: FewshotTraining, seed: int, before: Trained | None, like: torch.Tensor
) -> Learner:
    """Draw the start of a training, and its scores or the masks of meta-lth.

    Source: Meta-ticket, sections 1.5, 1.7 and 2.
    """
    net, roles = network.net, roles_of(network.net)
    masks = METHODS[run.method].masks
    masked = maskable(net, run) if masks != "none" else {}
    scores, thresholds = draw_scores(net, run, seed) if masks == "scores" else ({}, {})
    fixed: Tensors = {}
    if before is not None:
        trained = before.net(seed).tensors
        fixed = magnitude_masks({name: trained[f"weights/{name}"] for name in masked}, run.sparsity)
    return Learner(
        weights=placed(draw_start(net, run, seed), like),
        roles=roles,
        rates=inner_rates(run, roles),
        learned=learned_names(run, roles, masked if masks == "scores" else {}),
        scores=placed(scores, like),
        thresholds=placed(thresholds, like),
        fixed_masks=placed(fixed, like),
    )


def validated(
    network: Network,
    learner: Learner,
    run: FewshotTraining,
    tasks: Iterable[Tasks],
    batching: Batching,
    score: str,
) -> dict[str, float]:
    """Measure the learner on the validation tasks."""
    steps = run.val_steps or run.inner_steps
    losses, scores = measure(network, learner.parametrise(), tasks, [steps], batching)
    return {"loss": float(losses.mean()), score: float(scores.mean())}


def peak_mb(device: torch.device) -> float:
    """Give the largest memory of this process in MB: on a GPU that of the GPU, else that of the machine."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    run_stage(main)
