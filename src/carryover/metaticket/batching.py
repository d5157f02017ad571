"""Many tasks: one after the other or together, with the memory bounded by how many are in flight."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from carryover.core.block import Tensors
from carryover.data.tasks import Tasks, in_chunks, num_tasks, one_by_one
from carryover.metaticket.adapt import (
    Derivatives,
    Gradient,
    Rates,
    adapt,
    functional_gradient,
    graph_gradient,
)
from carryover.metaticket.network import Network
from carryover.nets.episode_norm import norms_with

Backend = Literal["loop", "vmap"]
EVALUATED = 8
"""Tasks that are measured together under `vmap` where no chunk is set: there may be thousands, and a measurement holds
less than half as much of each as an outer step does."""


@dataclass(frozen=True)
class Batching:
    """How tasks are run."""

    backend: Backend = "loop"
    chunk: int | None = None
    """Tasks in flight; None is one for the loop, and for `vmap` the whole meta-batch, or `EVALUATED` where nothing is
    learned."""

    def chunks(self, tasks: Tasks, together: int | None = None) -> Iterator[Tasks]:
        """Yield groups of tasks whose graphs are held at the same time.

        Where no chunk is set, `vmap` takes `together` of them, or all.
        """
        size = self.chunk or (1 if self.backend == "loop" else together or num_tasks(tasks))
        return in_chunks(tasks, size)

    def over(
        self, function: Callable[[Tasks], tuple[Tensor, ...]], tasks: Tasks, network: Network
    ) -> tuple[Tensor, ...]:
        """Run a function of one task on each of a chunk, and stack what it returns."""
        if self.backend == "vmap":
            with norms_with(network.net, fused=False):
                together: tuple[Tensor, ...] = vmap(function)(tasks)
            return together
        each = [function(task) for task in one_by_one(tasks)]
        return tuple(torch.stack(parts) for parts in zip(*each, strict=True))

    def gradient(self, *, second: bool) -> Gradient:
        """Give the way to take inner gradients."""
        return functional_gradient if self.backend == "vmap" else graph_gradient(second=second)


def batching_of(setting: str, chunk: int | None, device: torch.device) -> Batching:
    """Choose the backend of a setting: `auto` is what was faster where it was measured.

    benchmarks/metaticket_step.py measures it.
    """
    together = setting == "vmap" or (setting == "auto" and device.type == "cuda")
    return Batching("vmap" if together else "loop", chunk)


@dataclass(frozen=True)
class Outer:
    """What one outer step learns of its tasks; losses and scores are on the device, one for each task."""

    start: Tensors
    """Gradient of the mean query loss with respect to the start, for the tensors that ask for one."""
    rates: Tensors
    """The same with respect to those rates that are tensors."""
    losses: Float[Tensor, " tasks"]
    scores: Float[Tensor, " tasks"]


@dataclass(frozen=True)
class Inner:
    """How long the inner loop of a training is, and what of it can be derived again."""

    num_steps: int
    derivatives: Derivatives = "second"


def outer_gradient(
    network: Network, start: Tensors, rates: Rates, tasks: Tasks, inner: Inner, batching: Batching
) -> Outer:
    """Derive the mean query loss of adapted nets with respect to those tensors of start and rates that ask for it.

    A tensor asks by `requires_grad`; how it was made is not looked at. Chunk after chunk is run and released, so the
    memory is that of one chunk. Differentiating the sum of a chunk's losses keeps one gradient for all of its tasks.
    Source: Meta-ticket, sections 1.4 and 6.1.
    """
    wanted = {f"start/{name}": tensor for name, tensor in start.items() if tensor.requires_grad}
    wanted |= {f"rate/{name}": r for name, r in rates.items() if isinstance(r, Tensor) and r.requires_grad}
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in wanted.items()}
    own_start = {name: leaves.get(f"start/{name}", tensor) for name, tensor in start.items()}
    own_rates = {name: leaves.get(f"rate/{name}", rate) for name, rate in rates.items()}
    gradient = batching.gradient(second=inner.derivatives == "second")

    def run(task: Tasks) -> tuple[Tensor, ...]:
        path = adapt(
            lambda own: network.support_loss(own, task),
            own_start,
            own_rates,
            inner.num_steps,
            derivatives=inner.derivatives,
            gradient=gradient,
        )
        (adapted,) = deque(path, maxlen=1)  # the points on the way are let go
        outputs = network.query_outputs(adapted, task)
        return network.loss(outputs, task.query_y), network.score(outputs, task.query_y)

    total = {name: torch.zeros_like(leaf, requires_grad=False) for name, leaf in leaves.items()}
    losses, scores = [], []
    for chunk in batching.chunks(tasks):
        own_losses, own_scores = batching.over(run, chunk, network)
        mean = own_losses.sum() / num_tasks(tasks)
        # zeros for what the loss does not depend on, such as rates where no step is taken
        slopes = torch.autograd.grad(mean, list(leaves.values()), materialize_grads=True)
        for name, slope in zip(leaves, slopes, strict=True):
            total[name] += slope
        losses.append(own_losses.detach())
        scores.append(own_scores)
    return Outer(
        {name.removeprefix("start/"): t for name, t in total.items() if name.startswith("start/")},
        {name.removeprefix("rate/"): t for name, t in total.items() if name.startswith("rate/")},
        torch.cat(losses),
        torch.cat(scores),
    )


def after_steps(
    network: Network, start: Tensors, rates: Rates, tasks: Tasks, steps: Sequence[int], batching: Batching
) -> tuple[Float[Tensor, "steps tasks"], Float[Tensor, "steps tasks"]]:
    """Give query losses and scores of every task after each of some numbers of inner steps, in their order.

    Nothing of it can be derived: no graph outlives an inner step.
    Source: Meta-ticket, section 1.12.
    """
    fixed_start = {name: tensor.detach() for name, tensor in start.items()}
    fixed_rates = {name: r.detach() if isinstance(r, Tensor) else r for name, r in rates.items()}
    gradient = batching.gradient(second=False)

    def run(task: Tasks) -> tuple[Tensor, ...]:
        path = adapt(
            lambda own: network.support_loss(own, task),
            fixed_start,
            fixed_rates,
            max(steps),
            derivatives="none",
            gradient=gradient,
        )
        found: dict[int, tuple[Tensor, Tensor]] = {}
        with torch.no_grad():
            for number, adapted in enumerate(path):
                if number in steps:
                    outputs = network.query_outputs(adapted, task)
                    found[number] = network.loss(outputs, task.query_y), network.score(outputs, task.query_y)
        losses, scores = zip(*(found[number] for number in steps), strict=True)
        return torch.stack(losses), torch.stack(scores)

    parts = [batching.over(run, chunk, network) for chunk in batching.chunks(tasks, EVALUATED)]
    all_losses, all_scores = (torch.cat(part).T for part in zip(*parts, strict=True))
    return all_losses, all_scores
