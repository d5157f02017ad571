"""Many tasks: one after the other or together, with the memory bounded by how many are in flight."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from carryover.core.block import Tensors
from carryover.metaticket.adapt import Derivatives, Gradient, Rates, adapt, functional_gradient, graph_gradient
from carryover.metaticket.network import Network
from carryover.nets.episode_norm import norms_with
from carryover.data.tasks import Tasks, in_chunks, num_tasks, one_by_one

Backend = Literal["loop", "vmap"]


@dataclass(frozen=True)
class Batching:
    """How tasks are run."""

    backend: Backend = "loop"
    chunk: int | None = None
    """Tasks in flight; None is one for the loop and all for `vmap`."""

    def chunks(self, tasks: Tasks) -> Iterator[Tasks]:
        """Yield groups of tasks whose graphs are held at the same time."""
        size = self.chunk or (1 if self.backend == "loop" else num_tasks(tasks))
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
    """Choose the backend of a setting: `auto` is what was faster where it was measured (benchmarks/metaticket_step.py)."""
    backend: Backend = "vmap" if setting == "vmap" or (setting == "auto" and device.type == "cuda") else "loop"
    return Batching(backend, chunk)


@dataclass(frozen=True)
class Outer:
    """What one outer step learns of its tasks; losses and scores are on the device, one for each task."""

    start: Tensors
    """Gradient of the mean query loss with respect to the start, for the tensors that were asked for."""
    rates: Tensors
    """The same with respect to those rates that are tensors."""
    losses: Float[Tensor, " tasks"]
    scores: Float[Tensor, " tasks"]


def outer_gradient(
    network: Network,
    start: Tensors,
    rates: Rates,
    tasks: Tasks,
    num_steps: int,
    *,
    learned: Sequence[str],
    derivatives: Derivatives,
    batching: Batching,
) -> Outer:
    """Derive the mean query loss of adapted nets with respect to the start (of `learned` names) and tensor rates.

    Chunk after chunk is run and released, so the memory is that of one chunk. Differentiating the sum of a chunk's
    losses keeps one gradient for all of its tasks.
    Source: Meta-ticket, sections 1.4 and 6.1.
    """
    leaves = {f"start/{name}": start[name].detach().requires_grad_() for name in learned}
    leaves |= {f"rate/{name}": r.detach().requires_grad_() for name, r in rates.items() if isinstance(r, Tensor)}
    own_start = {name: leaves.get(f"start/{name}", tensor.detach()) for name, tensor in start.items()}
    own_rates = {name: leaves.get(f"rate/{name}", rate) for name, rate in rates.items()}
    gradient = batching.gradient(second=derivatives == "second")

    def run(task: Tasks) -> tuple[Tensor, ...]:
        *_, adapted = adapt(
            lambda own: network.support_loss(own, task),
            own_start,
            own_rates,
            num_steps,
            derivatives=derivatives,
            gradient=gradient,
        )
        outputs = network.query_outputs(adapted, task)
        return network.loss(outputs, task.query_y), network.score(outputs, task.query_y)

    total = {name: torch.zeros_like(leaf, requires_grad=False) for name, leaf in leaves.items()}
    losses, scores = [], []
    for chunk in batching.chunks(tasks):
        own_losses, own_scores = batching.over(run, chunk, network)
        slopes = torch.autograd.grad(own_losses.sum() / num_tasks(tasks), list(leaves.values()))
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
    """Give query losses and scores of every task after each of some numbers of inner steps.

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
        losses: list[Tensor] = []
        scores: list[Tensor] = []
        with torch.no_grad():
            for number, adapted in enumerate(path):
                if number in steps:
                    outputs = network.query_outputs(adapted, task)
                    losses.append(network.loss(outputs, task.query_y))
                    scores.append(network.score(outputs, task.query_y))
        return torch.stack(losses), torch.stack(scores)

    parts = [batching.over(run, chunk, network) for chunk in batching.chunks(tasks)]
    all_losses, all_scores = (torch.cat(part).T for part in zip(*parts, strict=True))
    return all_losses, all_scores
