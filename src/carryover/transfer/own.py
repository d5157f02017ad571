"""Learning transfer for one's own networks: state dicts and an `nn.Module` in, a transferred state dict out."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import inf
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from carryover.core.block import Precision, Tensors
from carryover.core.config import Settings
from carryover.core.trajectory import Trajectory
from carryover.permute.settings import MatchingSettings
from carryover.permute.spec import Permutation, PermutationSpec
from carryover.permute.trace import trace_spec
from carryover.permute.verify import verify_spec
from carryover.train.settings import Count
from carryover.transfer.grids import GRIDS
from carryover.transfer.network import Batch, Network
from carryover.transfer.observed import Step, each_step
from carryover.transfer.problem import TransferProblem
from carryover.transfer.settings import Method
from carryover.transfer.states import (
    Points,
    State,
    check_fits,
    check_moves,
    check_state,
    checked_batch,
    names_of,
    parameters_of,
)
from carryover.transfer.trajectories import Linear

LINEAR_STEPS = 10
"""Increments on the line between two points, where nothing else is said."""
NUM_VERIFIED = 8
"""Images on which a permutation spec is traced and verified."""


class Options(Settings):
    """How a trajectory is transferred; symbols of the paper in brackets."""

    method: Method = "fgmt"
    """Way to find the permutation; not the oracle, which needs the target trained already."""
    steps: Count | None = None
    """Increments on the straight line from the first to the last point of the source [T]. None takes ten on the
    line between two points, and a source of more points as it is."""
    grid: Literal["uniform", "cosine"] = "uniform"
    """Where on the line the points lie: evenly, or large steps first [lambda_t]."""
    num_batches: Count = 1
    """Mini-batches whose gradients are averaged in each step."""
    statistics_batches: Count = 20
    """Mini-batches from which batch-norm statistics are rebuilt."""
    matching: MatchingSettings = MatchingSettings()
    """How the permutation is searched for."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of all that is drawn."""
    precision: Precision = "fp32"
    """`bf16` computes matrix products in bfloat16; `fp32` computes all in the dtype of the net."""
    score: Callable[[Tensors], float] | None = Field(default=None, exclude=True)
    """Called with the state dict after each step; the step of the highest score is the result, and not the last."""
    watch: Callable[[Step], None] | None = Field(default=None, exclude=True)
    """Called after each step, for a display of progress."""


DEFAULT = Options()


@dataclass(frozen=True)
class Moved:
    """A transferred net, and how it was found."""

    parameters: Tensors
    """State dict of the transferred net, with its batch-norm statistics rebuilt."""
    permutation: Permutation
    """Where the units of the source went: along each axis of a group, new[i] = old[p[i]]."""
    chosen: int
    """Step that they are of: the last, or that of the highest score."""
    steps: tuple[Step, ...]
    """What is known of each step."""
    spec: PermutationSpec
    """Which axes of which tensors move together, as it was given or traced."""

    @property
    def num_units(self) -> int:
        """Count the units of all groups."""
        return sum(map(len, self.permutation.values()))

    @property
    def report(self) -> str:
        """Say in a few lines how well the gradients matched, what moved, and what it cost."""
        last = self.steps[-1]
        found = {step.step: step.quality for step in self.steps if step.quality}
        lines = [
            f"{len(self.steps)} steps, {last.num_gradients} gradient evaluations,"
            f" {last.cache_bytes / 1e6:,.1f} MB of cached gradients and cost matrices"
        ]
        if last.quality:
            share = last.quality.unmoved / last.quality.bound if last.quality.bound else 0.0
            unfinished = ", ".join(str(step) for step, quality in found.items() if not quality.converged)
            lines += [
                f"matching objective {last.quality.matched:.3f} of its bound; {share:.3f} with nothing permuted,"
                f" {found[1].matched:.3f} at step 1",
                f"{sum(quality.num_sweeps for quality in found.values())} sweeps over {len(self.permutation)} groups;"
                + (f" not converged at step {unfinished}" if unfinished else " every search converged"),
            ]
        lines.append(
            f"{last.num_moved:,} of {self.num_units:,} units moved; the last step changed {last.num_changed:,}"
        )
        return "\n".join(lines)


def transfer(
    source: Trajectory | Sequence[State | nn.Module],
    target: nn.Module | State,
    batches: Iterable[Sequence[Tensor]],
    options: Options = DEFAULT,
    *,
    net: nn.Module | None = None,
    spec: PermutationSpec | None = None,
) -> Moved:
    """Hand the training of one net to another start of the same architecture, without training it.

    `source` is the trained net's state before and after training (or more points, in order), or any trajectory of
    its parameters. `target` is the other start: a module, or a state dict with `net` as the module that it is for.
    `batches` yields mini-batches of images (batch, channels, height, width) and labels as in training, of which as
    many are taken as are needed; if they run out, they are used again. `spec` says which axes move together: where
    none is given it is traced, and in any case it is verified. Everything is computed on the target's device, for
    the cross-entropy of the labels. Nothing that is given is changed, and nothing shares memory with the result.

    Source: learning transfer, section 1 (GMT, FGMT and baselines), with linear trajectories between two points.
    Raises ValueError when source and target differ in architecture, when the batches do not fit the net, or when
    its permutation spec cannot be traced or is wrong.
    """
    if options.method == "oracle":
        raise ValueError("method: the oracle needs the target trained already; choose another, such as fgmt")
    net = _copied(target, net)
    points = _points(source, net, options)
    has_buffers = next(net.buffers(), None) is not None
    wanted = max(points.num_steps * options.num_batches, options.statistics_batches if has_buffers else 0)
    taken = _taken(batches, net, wanted)
    spec = _verified(spec, net, taken[0])
    network = Network(net, dict(net.named_buffers()), options.precision)

    def batches_of(t: int) -> Iterator[Batch]:
        for number in range(t * options.num_batches, (t + 1) * options.num_batches):
            yield taken[number % len(taken)]

    def state_of(parameters: Tensors) -> Tensors:
        whole = {**parameters, **network.statistics(parameters, taken[: options.statistics_batches])}
        first = names_of(net)
        return {name: whole[first[name]] for name in net.state_dict() if name in first}

    problem = TransferProblem(
        network=network,
        spec=spec,
        source=points,
        target=parameters_of(net.state_dict(), net),
        batches=batches_of,
        matching=options.matching,
        seed=options.seed,
    )
    steps: list[Step] = []
    highest = -inf
    for found, step in each_step(options.method, problem):
        score = None if options.score is None else float(options.score(state_of(found.parameters)))
        steps.append(replace(step, score=score))
        if not steps[1:] or score is None or score > highest:
            best, highest = found, -inf if score is None else score
        if options.watch is not None:
            options.watch(steps[-1])
    return Moved(state_of(best.parameters), best.permutations[-1], best.step, tuple(steps), spec)


def _copied(target: nn.Module | State, net: nn.Module | None) -> nn.Module:
    """Copy the target as a module in evaluation, so that nothing done to it reaches the person's own."""
    if isinstance(target, nn.Module):
        if net is not None:
            raise ValueError(
                "net: the target is a module already; give `net` only for a target that is a state dict"
            )
        net = target
    elif net is None:
        raise ValueError("net: a state dict does not say how its net computes: give a module of it as `net`")
    net = copy.deepcopy(net).eval().requires_grad_(False)
    if next(net.parameters(), None) is None:
        raise ValueError(f"net: a {type(net).__name__} without parameters has nothing to transfer")
    state = net.state_dict() if isinstance(target, nn.Module) else target
    check_state("the target", state, net)
    net.load_state_dict(state, strict=False)  # buffers may be missing
    return net


def _points(source: Trajectory | Sequence[State | nn.Module], net: nn.Module, options: Options) -> Trajectory:
    """Make the trajectory that is asked for: a straight line, or the points that are given."""
    if isinstance(source, Trajectory):
        points, every = Points(source.num_steps, source.point, net), False
    elif isinstance(source, Sequence) and len(source) > 1:
        states = [point.state_dict() if isinstance(point, nn.Module) else point for point in source]
        points, every = Points(len(states) - 1, states.__getitem__, net), True
    else:
        raise ValueError(
            "source: a trajectory has two points or more, [state before training, state after it]: "
            f"got {len(source) if isinstance(source, list | tuple) else type(source).__name__}"
        )
    last = points.num_steps
    for t in range(last + 1) if every else (0, last):
        check_state(f"point {t} of the source", points.read(t), net)
    ends = points.point(0), points.point(last)
    check_moves(*ends)
    if options.steps is None and last > 1:
        return points
    return Linear(*ends, GRIDS[options.grid](options.steps or LINEAR_STEPS))


def _taken(batches: Iterable[Sequence[Tensor]], net: nn.Module, wanted: int) -> list[Batch]:
    """Take as many mini-batches as are wanted, or as there are."""
    like = next(net.parameters())
    taken = [checked_batch(number, batch, like) for number, batch in enumerate(islice(batches, wanted))]
    if not taken:
        raise ValueError(
            "batches: no mini-batch is there; an iterator that was used before is empty: make a new one"
        )
    return taken


def _verified(spec: PermutationSpec | None, net: nn.Module, batch: Batch) -> PermutationSpec:
    """Trace the permutation spec if none is given, and verify it on a few images."""
    images, labels = (part[:NUM_VERIFIED] for part in batch)
    check_fits(net, images, labels)
    if spec is None:
        spec = trace_spec(net, images)
    verify_spec(net, spec, images, labels)
    return spec
