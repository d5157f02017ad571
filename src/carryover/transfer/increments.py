"""Assumption (P): one permutation makes the increments of two trainings on the same batches alike."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch

from carryover.core import rng
from carryover.core.block import Tensors, cross_entropy
from carryover.core.loop import Batches, steps
from carryover.permute.matching import match
from carryover.permute.pairs import Pairs
from carryover.permute.permutation import identity, permute
from carryover.permute.spec import Permutation, PermutationSpec
from carryover.train.schedule import learning_rate
from carryover.train.weights import Nets, optimizer_of
from carryover.transfer.settings import CosineRun, NetTraining
from carryover.transfer.vectors import difference, inner, norm


@dataclass(frozen=True)
class Increment:
    """What source and target have moved by since the increment before."""

    step: int
    """Optimizer steps at its end."""
    source: Tensors
    """theta1^t - theta1^(t-1)."""
    target: Tensors
    """theta2^t - theta2^(t-1)."""


@dataclass(frozen=True)
class Cosine:
    """How alike the increments of source and target are, in all parameters together."""

    step: int
    permuted: float
    """Cosine of pi(theta1^t - theta1^(t-1)) and theta2^t - theta2^(t-1)."""
    identity: float
    """The same with the identity as pi."""


def increments(nets: Nets, batches: Batches, run: NetTraining, cosines: CosineRun) -> Iterator[Increment]:
    """Train source and target side by side and yield what they move by in every `cosines.every` steps.

    `nets` are the source and, after it, the target, each at its own start; they change in place. `batches` are
    those of one net, and both nets see them. Only the points before and after an increment are held here; all
    increments, if they are kept, are 2 T models.

    Source: learning transfer, section 3 (Assumption (P)).
    Departs: steps that do not fill an increment are not made.
    Raises ValueError when the training has fewer steps, or when it diverges.
    """
    num_steps = cosines.steps - cosines.steps % cosines.every
    _check_length(run.epochs * batches.num_steps, cosines)
    optimizer = optimizer_of(run, nets.parameters)
    before = _copied(nets.parameters)
    for step in islice(steps(batches, learning_rate(run, run.lr), run.epochs), num_steps):
        images, labels = (part.expand(2, *part.shape[1:]) for part in (step.images, step.labels))
        optimizer.descend(step.lr, cross_entropy(nets.logits(images), labels))
        done = step.index + 1
        if done % cosines.every == 0:
            now = _copied(nets.parameters)
            change, before = difference(now, before), now
            if not all(bool(tensor.isfinite().all()) for tensor in change.values()):
                raise ValueError(
                    f"training {cosines.training}: nets diverge within {done} steps at lr = {run.lr}; lower it"
                )
            yield Increment(
                done, *({name: tensor[net] for name, tensor in change.items()} for net in range(2))
            )


def cosines_of(
    moves: Iterable[Increment], spec: PermutationSpec, run: CosineRun, seed: int
) -> Iterator[Cosine]:
    """Fit the permutation that maximises sum_t <pi d1^t, d2^t> and yield the cosines of pi d1^t and d2^t.

    `run.mode` is `whole`, one permutation for all increments, which are then held at once (2 T models); or
    `prefix`, for each t one that is fitted to the increments up to it, of which only what the matching needs is
    held. A cosine is nan where a net has not moved.

    Source: learning transfer, section 3 (Assumption (P), figure 3).
    Departs: the paper does not say which of the two it has drawn.
    """
    if run.mode == "whole":
        moves = list(moves)
    matcher: _Matcher | None = None
    for move in moves:
        matcher = matcher or _Matcher(spec, spec.sizes(move.source), run, seed)
        matcher.pairs.append(move.target, move.source)
        if run.mode == "prefix":
            yield cosine_of(move, spec, matcher.fit(move.step))
    if run.mode == "whole" and matcher:
        permutation = matcher.fit(0)
        yield from (cosine_of(move, spec, permutation) for move in moves)


def cosine_of(move: Increment, spec: PermutationSpec, permutation: Permutation) -> Cosine:
    """Measure the cosine of one increment under a permutation, and without.

    Source: learning transfer, section 3 (Assumption (P)).
    """
    norms = norm(move.source) * norm(move.target) or float("nan")
    permuted = inner(permute(spec, permutation, move.source), move.target)
    return Cosine(move.step, permuted / norms, inner(move.source, move.target) / norms)


class _Matcher:
    """The pairs so far, and the permutation that was found last."""

    def __init__(self, spec: PermutationSpec, sizes: dict[str, int], run: CosineRun, seed: int):
        self.settings, self.seed = run.matching, seed
        dtype = torch.float64 if run.matching.accumulate == "fp64" else torch.float32
        self.pairs = Pairs(spec, sizes, dtype, normalise=run.matching.normalise)
        self.first = self.found = identity(sizes)

    def fit(self, number: int) -> Permutation:
        """Search for the permutation of all pairs so far; `number` names the random stream."""
        start = self.found if self.settings.start == "warm" else self.first
        draw = rng.generator(self.seed, "match increments", number)
        self.found = match(self.pairs, start, draw, self.settings).permutation
        return self.found


def _copied(parameters: Tensors) -> Tensors:
    return {name: tensor.detach().clone() for name, tensor in parameters.items()}


def _check_length(available: int, cosines: CosineRun) -> None:
    if not cosines.every <= cosines.steps <= available:
        raise ValueError(
            f"steps: one increment is {cosines.every} steps and training {cosines.training} has {available}, so the "
            f"steps of its cosines lie between these: got {cosines.steps}"
        )
