"""State dicts and mini-batches that people bring: do they belong to one net?"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import torch
from torch import Tensor, nn

from carryover.core.block import Tensors
from carryover.transfer.network import Batch

State = Mapping[str, Tensor]
"""Tensors of one net by name, as `net.state_dict()` gives them; buffers may be missing."""
MOST_PROBLEMS = 8
"""Problems of one state that are listed; of another architecture there are hundreds."""


@dataclass(frozen=True)
class Points:
    """States along one training as a trajectory of a net's parameters (implements `Trajectory`)."""

    num_steps: int
    """Number of increments, T."""
    read: Callable[[int], State]
    """Gives the state of point t."""
    net: nn.Module
    """Says which tensors are parameters, and where they go."""

    def point(self, t: int) -> Tensors:
        """Copy the parameters of point t."""
        return parameters_of(self.read(t), self.net)


def parameters_of(state: State, net: nn.Module) -> Tensors:
    """Copy the parameters of a net out of a state dict, to the device that each has in the net."""
    return {name: state[name].detach().to(own.device, copy=True) for name, own in net.named_parameters()}


def names_of(net: nn.Module) -> dict[str, str]:
    """Give the first name of each tensor of a net by all of its names: tied tensors have several."""
    own = [*net.named_parameters(remove_duplicate=False), *net.named_buffers(remove_duplicate=False)]
    first: dict[int, str] = {}
    for name, tensor in own:
        first.setdefault(id(tensor), name)
    return {name: first[id(tensor)] for name, tensor in own}


def check_state(what: str, state: State, net: nn.Module) -> None:
    """Check that a state dict has every parameter of a net and nothing foreign, in its shapes and dtypes, finite.

    `what` names it in the message. Buffers may be missing.
    Raises ValueError with everything that does not fit.
    """
    problems = list(_problems(state, net))
    if problems:
        more = len(problems) - MOST_PROBLEMS
        listed = problems[:MOST_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        raise ValueError(
            f"{what} does not fit the net, a {type(net).__name__}: source and target must have one architecture\n  "
            + "\n  ".join(listed)
        )


def _problems(state: State, net: nn.Module) -> Iterator[str]:
    known = names_of(net)
    tensors = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    for name, first in known.items():
        own, found = tensors[first], state.get(name)
        if found is None:
            if name == first and isinstance(own, nn.Parameter):
                yield f"{name!r} is missing{_nearest(name, state.keys() - known.keys())}"
        elif found.shape != own.shape:
            yield f"{name!r} has the shape {tuple(found.shape)}, and in the net {tuple(own.shape)}"
        elif found.dtype != own.dtype:
            yield f"{name!r} is {found.dtype}, and in the net {own.dtype}: convert one of them with .to({own.dtype})"
        elif not torch.isfinite(found).all():
            yield f"{name!r} is not finite everywhere: has this training diverged?"
    for name in state.keys() - known.keys():
        yield f"{name!r} is no tensor of the net: remove or rename it{_nearest(name, known)}"


def _nearest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def check_moves(first: State, last: State) -> None:
    """Check that a source has moved from its first point to its last.

    Raises ValueError when both are equal.
    """
    if all(torch.equal(own, last[name]) for name, own in first.items()):
        raise ValueError(
            "the first and the last point of the source are equal, so there is nothing to transfer: "
            "`net.state_dict()` shares memory with the net, so take copy.deepcopy(net.state_dict()) before training"
        )


def checked_batch(number: int, batch: object, like: Tensor) -> Batch:
    """Bring a mini-batch to the device of `like`, and its images to its dtype.

    Raises ValueError when it is no pair of images and labels.
    """
    where = f"mini-batch {number}"
    if not (
        isinstance(batch, tuple | list) and len(batch) == 2 and all(isinstance(b, Tensor) for b in batch)
    ):
        raise ValueError(f"{where} is no pair of tensors (images, labels): got {type(batch).__name__}")
    images, labels = batch
    if images.ndim != 4:
        raise ValueError(
            f"{where}: images have the axes (batch, channels, height, width): got the shape {tuple(images.shape)}; "
            "give a net of vectors images of one pixel, which it flattens"
        )
    if not images.is_floating_point():
        raise ValueError(f"{where}: images are what the net takes, normalised numbers: got {images.dtype}")
    if labels.is_floating_point() or labels.shape != images.shape[:1] or not len(labels):
        raise ValueError(
            f"{where}: labels are one whole number for each image: got {labels.dtype} in the shape "
            f"{tuple(labels.shape)} for {len(images)} images"
        )
    return images.to(like), labels.to(like.device, torch.int64)


@torch.no_grad()
def check_fits(net: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Check that a net gives logits of such images, for classes that have these labels.

    Raises ValueError when it cannot take them, or when labels are no classes.
    """
    try:
        logits = net(images)
    except (RuntimeError, TypeError, ValueError) as error:  # whatever the person's own code says to them
        raise ValueError(f"the net cannot take images of the shape {tuple(images.shape)}: {error}") from error
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise ValueError(
            "the net must give one tensor of logits (batch, classes): wrap it in a module that does"
        )
    highest = int(labels.max())
    if highest >= logits.shape[1] or int(labels.min()) < 0:
        raise ValueError(
            f"labels run from {int(labels.min())} to {highest}, and the net has the classes 0 to {logits.shape[1] - 1}"
        )
