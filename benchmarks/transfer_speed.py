"""Time GMT and FGMT against the published algorithm written down plainly; matching against gradients in ResNet-18."""

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from _report import write_report
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional as F

from carryover.core import rng
from carryover.core.block import Precision, Tensors
from carryover.nets.build import build_net
from carryover.nets.init import draw_default
from carryover.nets.settings import ConvSettings, NetSettings, ResNetSettings
from carryover.nets.specs import spec_of
from carryover.permute.colouring import colour_classes, neighbours
from carryover.permute.matching import match
from carryover.permute.pairs import Pairs
from carryover.permute.permutation import identity
from carryover.permute.settings import MatchingSettings
from carryover.permute.spec import Permutation
from carryover.transfer import search
from carryover.transfer.compose import carried
from carryover.transfer.descent import Descent
from carryover.transfer.grids import uniform
from carryover.transfer.methods import METHODS
from carryover.transfer.network import Network
from carryover.transfer.problem import TransferProblem
from carryover.transfer.trajectories import Linear
from carryover.transfer.vectors import difference

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from reference import learning_transfer as published  # type: ignore[import-not-found]

HE = 6**0.5
"""Factor from the framework's usual weights to those of He, with which deep nets learn within a few steps."""
EXACT = MatchingSettings(accumulate="fp64", tolerance=0)


@dataclass(frozen=True)
class Scale:
    """How large everything is."""

    width: float = 0.5
    steps: int = 10
    batch: int = 128
    rounds: int = 3
    source_steps: int = 60
    fp64_steps: int = 3
    resnet_width: float = 1.0
    resnet_pixels: tuple[int, ...] = (32, 224)
    resnet_batch: int = 16
    """Images of the gradients that are matched in ResNet-18; those that are timed have `batch`."""


SMALL = Scale(
    width=1 / 8, steps=3, batch=32, rounds=1, source_steps=20, fp64_steps=2, resnet_width=1 / 8, resnet_pixels=(16, 32)
)  # fmt: skip


def batch_of(size: int, pixels: int, *path: str | int) -> tuple[Tensor, Tensor]:
    """Draw real digits, blown up to colour images."""
    digits = load_digits()
    chosen = torch.randint(len(digits.target), (size,), generator=rng.generator(0, "batch", *path))
    images = torch.tensor(digits.images, dtype=torch.float32)[chosen, None] / 8 - 1
    images = F.interpolate(images, size=(pixels, pixels), mode="bilinear")
    return images.expand(-1, 3, -1, -1).contiguous(), torch.tensor(digits.target)[chosen]


def pose(settings: NetSettings, pixels: int, scale: Scale, batch: int) -> TransferProblem:
    """Train a source for a few steps, and pose the transfer of the line to there with one mini-batch for each t."""
    net = build_net(settings, (3, pixels, pixels), 10, affine=True).requires_grad_(False)
    network = Network(net, dict(net.named_buffers()))
    source, target = (
        {name: HE * own if own.ndim > 1 else own for name, own in draw_default(net, seed).items()}
        for seed in (101, 102)
    )
    descent = Descent(source, momentum=0.9)
    for step in range(scale.source_steps):
        descent.descend(network.gradient(descent.parameters, [batch_of(batch, pixels, "sgd", step)]), lr=0.02)
    # drawn once and held, so that no arm pays for making images
    batches = [[batch_of(batch, pixels, t)] for t in range(scale.steps)]
    trajectory = Linear(source, descent.parameters, uniform(scale.steps))
    spec = spec_of(settings, (3, pixels, pixels), 10)
    return TransferProblem(network, spec, trajectory, target, batches.__getitem__, MatchingSettings(), seed=0)


def in_precision(problem: TransferProblem, precision: Precision) -> TransferProblem:
    """Compute gradients in another precision."""
    return replace(problem, network=Network(problem.network.net, problem.network.buffers, precision))


def in_fp64(problem: TransferProblem, source: Linear, num_steps: int) -> TransferProblem:
    """Do everything in fp64 and without tolerance, on the first points of the trajectory."""
    start, end, target = (
        {name: own.double() for name, own in net.items()}
        for net in (source.start, source.end, problem.target)
    )
    net = deepcopy(problem.network.net).double()
    return replace(
        problem,
        network=Network(net, dict(net.named_buffers())),
        source=Linear(start, end, source.grid[: num_steps + 1]),
        target=target,
        batches=lambda t: [(images.double(), labels) for images, labels in problem.batches(t)],
        matching=EXACT,
    )


def plainly(problem: TransferProblem, *, like_ours: bool = False) -> Any:
    """Pose the same to the published algorithm; `like_ours` gives it our starts, order of groups and rule for ties."""
    spec, sizes = problem.spec, problem.spec.sizes(problem.target)
    classes = colour_classes(neighbours(spec, sizes)) if like_ours else [[group] for group in sizes]
    return published.Problem(
        gradients=published.Gradients(deepcopy(problem.network.net)),
        solver=published.Solver(
            spec, sizes, classes, problem.matching.tolerance if like_ours else 0.0, break_ties=like_ours
        ),
        source=[problem.source.point(t) for t in range(problem.source.num_steps + 1)],
        target=problem.target,
        batches=problem.batches,
        draw=lambda step: rng.generator(problem.seed, "matching", step),
        warm=like_ours,
    )


WATCHED = {
    "gradients": [(Network, "gradients"), (published.Gradients, "__call__")],
    "matching": [(search, "match"), (Pairs, "append"), (published.Solver, "__call__")],
}
"""What is timed: evaluations of gradients; cost matrices and assignment."""


@contextmanager
def watch() -> Iterator[dict[str, float]]:
    """Count the seconds of each part, and of all."""
    seconds: dict[str, float] = defaultdict(float)

    def timed(part: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(*values: object, **named: object) -> object:
            began = time.perf_counter()
            result = function(*values, **named)
            seconds[part] += time.perf_counter() - began
            return result

        return call

    with ExitStack() as stack:
        for part, places in WATCHED.items():
            for owner, name in places:
                stack.enter_context(patch.object(owner, name, timed(part, getattr(owner, name))))
        began = time.perf_counter()
        yield seconds
        seconds["whole"] = time.perf_counter() - began


def same(first: Permutation, second: Permutation) -> bool:
    """Tell whether two permutations are equal in every bit."""
    return all(torch.equal(order, second[group]) for group, order in first.items())


@dataclass
class Arm:
    """A method, what it took in each round and how many gradients."""

    run: Callable[[], int]
    rounds: list[dict[str, float]]
    num_gradients: int = 0

    def seconds(self, part: str) -> float:
        """Give the median over the rounds."""
        return statistics.median(seconds[part] for seconds in self.rounds)


def ours(problem: TransferProblem, method: str) -> int:
    """Run one of our methods; return the number of gradients."""
    return list(METHODS[method](problem))[-1].num_gradients


def theirs(problem: TransferProblem) -> int:
    """Run the published GMT; return the number of gradients."""
    plain = plainly(problem)
    for _ in published.gmt(plain):
        pass
    return int(plain.gradients.num_gradients)


def race(problem: TransferProblem, rounds: int) -> dict[str, Arm]:
    """Run all arms in turn, so that a change of the machine's speed meets all of them."""
    arms = {"published GMT": Arm(partial(theirs, problem), [])}
    for precision in ("fp32", "bf16"):
        for method in ("gmt", "fgmt"):
            run = partial(ours, in_precision(problem, precision), method)
            arms[f"our {method.upper()}, {precision}"] = Arm(run, [])
    for _ in range(rounds):
        for arm in arms.values():
            with watch() as seconds:
                arm.num_gradients = arm.run()
            arm.rounds.append(dict(seconds))
    return arms


def pairs_at(problem: TransferProblem, permutation: Permutation, step: int) -> list[tuple[Tensors, Tensors]]:
    """Compute GMT's pairs of gradients of one step."""
    found = []
    for t in range(step):
        source = problem.source.point(t)
        displacement = difference(source, problem.source.point(0))
        target = carried(problem.spec, permutation, problem.target, displacement)
        found.append(tuple(problem.network.gradients([target, source], problem.batches(t))))
    return found  # type: ignore[return-value]


def quality(problem: TransferProblem) -> list[str]:
    """Match the same pairs as our GMT does in every step with the published search, and in bf16."""
    plain, to_published, to_bf16, left = plainly(problem), [], [], 0
    permutations = [identity(plain.solver.sizes), *(t.permutations[-1] for t in METHODS["gmt"](problem))]
    for step, (before, found) in enumerate(pairwise(permutations), 1):
        pairs = pairs_at(problem, before, step)
        draw = rng.generator(problem.seed, "matching", step)
        own = published.objective(problem.spec, found, pairs)
        to_published.append(own / published.objective(problem.spec, plain.solver(pairs, draw), pairs))
        plain.solver.tolerance = problem.matching.tolerance
        left += sum(plain.solver.improve_(dict(found), group, pairs) for group in found)
        plain.solver.tolerance = 0.0
        halves = Pairs(problem.spec, plain.solver.sizes, torch.float32)
        for pair in pairs_at(in_precision(problem, "bf16"), before, step):
            halves.append(*pair)
        order = rng.generator(problem.seed, "matching", step)
        in_bf16 = match(halves, before, order, problem.matching).permutation
        to_bf16.append(published.objective(problem.spec, in_bf16, pairs) / own)
    return [
        f"On the same pairs of gradients, over the {len(to_published)} steps of GMT: objective of ours to that of the",
        f"published search, which starts at the identity and has no tolerance, {min(to_published):.4f} to "
        f"{max(to_published):.4f}; groups that it could",
        f"still improve by more than our tolerance of {problem.matching.tolerance:g}: {left}. Gradients in bf16 at the "
        f"same points: {min(to_bf16):.4f} to {max(to_bf16):.4f} of",
        "the objective, evaluated on the gradients in fp32.",
    ]


def exactness(problem: TransferProblem) -> str:
    """Count the equal permutations of our methods and the published ones, from the same starts in fp64."""
    equal, of = 0, 0
    for method, plain in {"gmt": published.gmt, "fgmt": published.fgmt}.items():
        expected = plain(plainly(problem, like_ours=True))
        for found, other in zip(METHODS[method](problem), expected, strict=True):
            equal, of = equal + same(found.permutations[-1], other), of + 1
    return (
        f"In fp64, from the same starts, in the same order of groups and on the same batches, {equal} of {of} "
        f"permutations of GMT and FGMT (T = {of // 2}) are equal in every bit."
    )


def share_of_resnet(pixels: int, scale: Scale) -> list[str]:
    """Compare the matching of FGMT in ResNet-18 with its gradients."""
    stem = "imagenet" if pixels >= 64 else "cifar"
    settings = ResNetSettings(kind="resnet", depth=18, width=scale.resnet_width, stem=stem)
    problem = pose(settings, pixels, replace(scale, source_steps=scale.source_steps // 6), scale.resnet_batch)
    with watch() as seconds:
        num_gradients = ours(problem, "fgmt")
    matching, times = seconds["matching"], []
    for t in range(2):
        with watch() as seconds:
            problem.network.gradient(problem.source.point(t), [batch_of(scale.batch, pixels, t)])
        times.append(seconds["gradients"])
    gradients = num_gradients * statistics.mean(times)
    return [
        f"{pixels}",
        f"{num_gradients}",
        f"{gradients:.1f}",
        f"{matching:.2f}",
        f"{matching / gradients:.1%}",
    ]


def main() -> None:
    """Race on Conv8, look at what is found, then take ResNet-18's shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a minute, to see that it runs; reports nothing")
    scale = SMALL if parser.parse_args().small else Scale()
    torch.set_num_threads(1)
    net = ConvSettings(kind="conv", depth=8, width=scale.width, last_pool=4)
    problem = pose(net, 32, scale, scale.batch)
    assert isinstance(problem.source, Linear)
    arms = race(problem, scale.rounds)
    reference = arms["published GMT"]
    rows = [
        ["method", "gradients", "gradients, s", "matching, s", "whole, s", "floor, s", "matching", "whole"]
    ]
    for name, arm in arms.items():
        # every arm's floor: its number of evaluations, at the pace of our own in the same precision
        pace = arms[f"our GMT, {'bf16' if 'bf16' in name else 'fp32'}"]
        floor = arm.num_gradients * pace.seconds("gradients") / pace.num_gradients
        parts = {part: arm.seconds(part) for part in ("gradients", "matching", "whole")}
        ratios = [f"{reference.seconds(part) / parts[part]:.1f}x" for part in ("matching", "whole")]
        rows.append([name, str(arm.num_gradients), *(f"{s:.2f}" for s in (*parts.values(), floor)), *ratios])
    shares = [share_of_resnet(pixels, scale) for pixels in scale.resnet_pixels]
    told = [
        f"Conv8, width {scale.width:g}, 32x32 digits, T = {scale.steps}, batch {scale.batch}; median of n = "
        f"{scale.rounds} interleaved rounds. Matching is cost matrices",
        "and assignment; the floor is the time of a method's gradients alone, at our pace; the last two columns say",
        "how many times faster than the published GMT each is.",
        "",
        *quality(problem),
        "",
        exactness(in_fp64(problem, problem.source, scale.fp64_steps)),
        "",
        f"FGMT in ResNet-18, width {scale.resnet_width:g}, T = {scale.steps}, batch {scale.batch}: gradients timed on",
        f"2 evaluations and scaled by their number; matching timed whole, on gradients of {scale.resnet_batch} images.",
        "",
        "| pixels | gradients | gradients, s | matching, s | matching to gradients |",
        "|---|---|---|---|---|",
        *("| " + " | ".join(share) + " |" for share in shares),
        "",
        "Published GMT and ours in Conv8:",
    ]
    if scale is SMALL:
        print("\n".join(told), *map(str, rows), sep="\n")
    else:
        write_report("transfer_speed", "Learning transfer: time", told, rows)


if __name__ == "__main__":
    main()
