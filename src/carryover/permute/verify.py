"""Is a permutation spec right? By its names and shapes, and by what it does to a net."""

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from math import sqrt

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _NormBase

from carryover.core import rng
from carryover.core.block import Tensors
from carryover.permute.permutation import draw, identity, permute
from carryover.permute.spec import Axes, Axis, Permutation, PermutationSpec, Tie

# in fp64, relative to the largest logit and to the largest entry of the gradient; rounding leaves about 1e-14
TOLERANCE = 1e-10


def check_spec(spec: PermutationSpec, tensors: Mapping[str, Tensor]) -> None:
    """Check that a spec lists exactly these tensors, with their axes and one size for each group.

    Raises ValueError with everything that does not fit, a group on two axes of one tensor included: the
    matching of such a group would be no linear assignment.
    """
    problems = [
        f"{name!r} has no entry: write one item for each of its {tensor.ndim} axes, None where nothing moves"
        + _nearest(name, spec.axes.keys() - tensors.keys())
        for name, tensor in tensors.items()
        if name not in spec.axes
    ]
    problems += [
        f"{name!r} is no tensor of the net: remove its entry{_nearest(name, tensors)}"
        for name in spec.axes
        if name not in tensors
    ]
    problems += [
        f"{name!r} has {tensors[name].ndim} axes and its entry has {len(axes)}"
        for name, axes in spec.axes.items()
        if name in tensors and len(axes) != tensors[name].ndim
    ]
    for group, ties in spec.groups.items():
        fitting = [t for t in ties if t.tensor in tensors and t.axis < tensors[t.tensor].ndim]
        problems += _misfits(group, fitting, tensors)
        problems += [
            f"{tensor!r} has group {group!r} on {count} axes, which no linear assignment can match: "
            "set the axes of this group to None"
            for tensor, count in Counter(tie.tensor for tie in ties).items()
            if count > 1
        ]
    if problems:
        raise ValueError("the permutation spec does not fit the net\n  " + "\n  ".join(problems))


def verify_spec(
    net: nn.Module,
    spec: PermutationSpec,
    images: Float[Tensor, "batch *image"],
    labels: Int[Tensor, " batch"],
) -> None:
    """Check that permuting by this spec keeps the function of `net`, and permutes its gradient.

    Both are tried in fp64 on a copy with random tensors, for permutations of several groups at once. The
    function is tried in evaluation, with permuted buffers; gradients of the cross-entropy use the batch-norm
    statistics of the batch. `net` may be a user's own, and gives its architecture only; a handful of small
    images is enough.

    Source: learning transfer, section 7.3 (oracle 1).
    Raises ValueError when the spec does not fit the net, or naming the axes that are wrong; also when batch-norm
    sees too few values for gradients to be compared.
    """
    check_spec(spec, {**dict(net.named_parameters()), **dict(net.named_buffers())})
    trial = _Trial(net, images, labels)
    sizes = spec.sizes(trial.tensors)
    permutation = _drawn(sizes)
    # any two groups are told apart by one of these rounds, even where their permutations are equal
    for bit in range(len(sizes).bit_length()):
        chosen = {group for number, group in enumerate(sizes, 1) if number >> bit & 1}
        if trial.broken(spec, _only(chosen, permutation)) is not None:
            break
    else:
        return
    lines = []
    for group in sizes:
        alone = _only({group}, permutation)
        broken = trial.broken(spec, alone)
        if broken is not None:
            changes = _changes(spec, group, trial.tensors)
            mended = (words for words, changed in changes if trial.broken(changed, alone) is None)
            lines.append(next(mended, _unmended(spec, group, broken)))
    raise ValueError(
        f"permuting by this spec changes {type(net).__name__}\n  "
        + "\n  ".join(lines)
        + "\nMend these entries; None on every axis of a group leaves its units where they are."
    )


class _Trial:
    """A copy of a net with random tensors in fp64, and what it computes when nothing is permuted."""

    def __init__(self, net: nn.Module, images: Tensor, labels: Tensor):
        self.net = copy.deepcopy(net).cpu().double()
        self.images, self.labels = images.detach().cpu().double(), labels.cpu()
        self.parameters = {name: _random(name, p) for name, p in self.net.named_parameters()}
        self.buffers = {name: _random(name, b) for name, b in self.net.named_buffers()}
        self.tensors = {**self.parameters, **self.buffers}
        self.logits = self._logits(self.tensors)
        self.gradient = self._gradient(self.tensors, self.images)
        # batch-norm of two values is all but a step, whose gradient says nothing in floating point
        nudged = self._gradient(self.tensors, self.images * (1 + 1e-15 * self.images))
        if self._changed(nudged, self.gradient):
            raise ValueError(
                f"rounding alone changes the gradient of {type(net).__name__} on {len(images)} images of "
                f"{tuple(images.shape[1:])}: verify its spec on more or larger ones, for batch-norm to see more values"
            )

    def broken(self, spec: PermutationSpec, permutation: Permutation) -> str | None:
        """Say what a permutation changes that it should keep, or None."""
        permuted = permute(spec, permutation, self.tensors)
        if _differ(self._logits(permuted), self.logits, self.logits):
            return "the function changes"
        wrong = self._changed(
            self._gradient(permuted, self.images), permute(spec, permutation, self.gradient)
        )
        return f"the function stays but the gradient of {wrong[0]!r} changes" if wrong else None

    def _changed(self, found: Tensors, expected: Tensors) -> list[str]:
        """Name the parameters whose gradients differ."""
        largest = max(self.gradient.values(), key=lambda g: g.abs().max().item())
        return [name for name in expected if _differ(found[name], expected[name], largest)]

    def _logits(self, tensors: Tensors) -> Tensor:
        self.net.eval()
        with torch.no_grad():
            logits: Tensor = functional_call(self.net, tensors, (self.images,))
        return logits

    def _gradient(self, tensors: Tensors, images: Tensor) -> Tensors:
        """Compute the gradient with batch-norm in training; whatever else is random in training stays off."""
        self.net.eval()
        for module in self.net.modules():
            if isinstance(module, _NormBase):
                module.train()
        leaves = {name: tensors[name].clone().requires_grad_() for name in self.parameters}
        buffers = {name: tensors[name].clone() for name in self.buffers}
        loss = F.cross_entropy(functional_call(self.net, {**leaves, **buffers}, (images,)), self.labels)
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
        return dict(zip(leaves, found, strict=True))


def _random(name: str, like: Tensor) -> Shaped[Tensor, "*shape"]:
    """Draw a tensor for which every axis matters: ReLUs mostly pass, variances are positive."""
    if not like.is_floating_point():
        return like.detach().clone()
    stream = rng.generator(0, "verify", name)
    if isinstance(like, nn.Parameter) and like.ndim > 1:
        return torch.empty_like(like).normal_(0, sqrt(2 / like[0].numel()), generator=stream)
    return torch.empty_like(like).uniform_(0.5, 1.5, generator=stream)


def _drawn(sizes: Mapping[str, int]) -> Permutation:
    """Draw a permutation that moves units of every group of more than one."""
    drawn = draw(sizes, rng.generator(0, "verify"))
    still = identity(sizes)
    return {g: p.roll(1) if torch.equal(p, still[g]) else p for g, p in drawn.items()}


def _only(chosen: set[str], permutation: Permutation) -> Permutation:
    still = identity({group: len(order) for group, order in permutation.items()})
    return {group: permutation[group] if group in chosen else still[group] for group in permutation}


def _differ(found: Tensor, expected: Tensor, scale: Tensor) -> bool:
    """Compare to rounding; anything that is not finite differs."""
    return not bool((found - expected).abs().max() <= TOLERANCE * scale.abs().max())


def _changes(spec: PermutationSpec, group: str, tensors: Tensors) -> Iterator[tuple[str, PermutationSpec]]:
    """Yield each spec in which a group lies elsewhere on one tensor, with the change in words."""
    ties = {tie.tensor: tie for tie in spec.groups[group]}
    units = spec.sizes(tensors)[group]
    for name in [*ties, *(name for name in tensors if name not in ties)]:
        tie = ties.get(name)
        others: Axes = tuple(None if a is not None and a.group == group else a for a in spec.axes[name])
        for number, size in enumerate(tensors[name].shape):
            if size % units == 0 and (tie is None or number != tie.axis):
                axis = Axis(group, size // units)
                moved = f", not on axis {tie.axis}" if tie else ""
                words = f"{name!r}: {axis} belongs on axis {number}{moved}"
                yield words, _with(spec, name, (*others[:number], axis, *others[number + 1 :]))
        if tie and len(ties) > 1:
            yield f"{name!r}: group {group!r} does not belong on axis {tie.axis}", _with(spec, name, others)


def _with(spec: PermutationSpec, name: str, axes: Axes) -> PermutationSpec:
    return PermutationSpec({**spec.axes, name: axes})


def _misfits(group: str, ties: list[Tie], tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """Say which axes do not have the number of units that most axes of their group have."""
    sound = []
    for tie in ties:
        size = tensors[tie.tensor].shape[tie.axis]
        if tie.repeat < 1 or size % tie.repeat:
            yield (
                f"{tie.tensor!r}, axis {tie.axis}, has {size} entries, which do not go into {tie.repeat} for "
                f"each unit of group {group!r}"
            )
        else:
            sound.append((tie, size // tie.repeat))
    usual = Counter(units for _, units in sound).most_common(1)
    for tie, units in sound:
        if units != usual[0][0]:
            yield (
                f"{tie.tensor!r}, axis {tie.axis}, has {units} units of group {group!r}, which has "
                f"{usual[0][0]} elsewhere"
            )


def _nearest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _unmended(spec: PermutationSpec, group: str, broken: str) -> str:
    ties = ", ".join(f"axis {tie.axis} of {tie.tensor!r}" for tie in spec.groups[group])
    return f"{broken} with group {group!r}, and no change to one tensor mends it; it has {ties}"
