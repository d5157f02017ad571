"""What adaptation changes in a trained net: weights, gradients and features, averaged over tasks."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from carryover.core.block import Tensors
from carryover.data.tasks import Tasks
from carryover.metaticket.adapt import adapt
from carryover.metaticket.batching import EVALUATED, Batching
from carryover.metaticket.features import class_cosines, linear_cka, recorded
from carryover.metaticket.learner import Learner
from carryover.metaticket.network import Network


@dataclass(frozen=True)
class Finding:
    """One number about one layer or one tensor."""

    layer: str
    """Hidden layer by its number, the first is 1; or the name of a parameter."""
    role: str
    """Part that the parameter plays; the body for activations of a hidden layer."""
    metric: str
    value: float
    """Mean over tasks."""


def analyse(
    network: Network, learner: Learner, groups: Iterable[Tasks], num_steps: int, batching: Batching
) -> list[Finding]:
    """Compare a net before and after `num_steps` inner steps, task by task; tasks come in groups of any size.

    Of each hidden layer's activations of the query: `cka` between before and after, and of images the mean cosine
    similarity of two examples of one class and of two classes, `within_before`, `within_after`, `between_before` and
    `between_after`. Of each parameter: `gradient`, the mean size of an entry of the first inner gradient divided by
    the fraction that the mask keeps, whether or not the inner loop follows it; `change`, the norm of what adaptation
    adds to the effective values divided by their norm; `sparsity`, where it is masked.
    What is not defined is left out: `change` of parameters that start at 0, and similarity within classes that have
    one example.
    Source: Meta-ticket, section 5.3.
    """
    start, rates = learner.parametrise()
    fixed = {name: start[name].detach() for name in learner.roles}  # in the order of the net
    fixed_rates = {name: rate.detach() if isinstance(rate, Tensor) else rate for name, rate in rates.items()}
    masks = {name: mask.detach() for name, mask in learner.masks().items()}
    gradient = batching.gradient(second=False)

    def run(task: Tasks) -> tuple[Tensor, ...]:
        def loss(own: Tensors) -> Tensor:
            return network.support_loss(own, task)

        slopes = gradient(loss, fixed)
        *_, adapted = adapt(loss, fixed, fixed_rates, num_steps, derivatives="none", gradient=gradient)
        with torch.no_grad():
            before, after = (_activations(network, own, task) for own in (fixed, adapted))
            cka = [linear_cka(*pair) for pair in zip(before, after, strict=True)]
            sizes = [_size(slope, masks.get(name)) for name, slope in slopes.items()]
            changes = [_change(fixed[name], adapted[name]) for name in fixed]
            parts = [cka, sizes, changes]
            if not network.regression:
                cosines = [class_cosines(own, task.query_y) for own in (*before, *after)]
                parts += [[within for within, _ in cosines], [between for _, between in cosines]]
        return tuple(torch.stack(part) for part in parts)

    every = []
    for tasks in groups:
        every += [batching.over(run, chunk, network) for chunk in batching.chunks(tasks, EVALUATED)]
        labels = tasks.query_y[0].tolist()
    cka, sizes, changes, *cosines = [torch.cat(parts).mean(0).cpu() for parts in zip(*every, strict=True)]
    of_layers = {"cka": cka}
    if not network.regression:
        num_labels, num_classes = len(labels), len(set(labels))
        defined = {"within": num_labels > num_classes, "between": num_classes > 1}
        for (where, is_defined), each in zip(defined.items(), cosines, strict=True):
            if is_defined:
                of_layers |= dict(zip((f"{where}_before", f"{where}_after"), each.chunk(2), strict=True))
    return [*_of_layers(of_layers), *_of_parameters(learner, fixed, sizes, changes)]


def _of_layers(measured: Mapping[str, Float[Tensor, " layers"]]) -> Iterator[Finding]:
    """Yield what is known of each hidden layer."""
    for metric, values in measured.items():
        for number, value in enumerate(values.tolist(), start=1):
            yield Finding(str(number), "body", metric, value)


def _of_parameters(
    learner: Learner,
    start: Tensors,
    sizes: Float[Tensor, " parameters"],
    changes: Float[Tensor, " parameters"],
) -> Iterator[Finding]:
    """Yield what is known of each parameter."""
    sparsities = {name: float(sparsity) for name, sparsity in learner.sparsities().items()}
    for name, size, change in zip(start, sizes.tolist(), changes.tolist(), strict=True):
        role = learner.roles[name]
        yield Finding(name, role, "gradient", size)
        if bool(start[name].any()):
            yield Finding(name, role, "change", change)
        if name in sparsities:
            yield Finding(name, role, "sparsity", sparsities[name])


def _activations(network: Network, parameters: Tensors, task: Tasks) -> list[Float[Tensor, "query *shape"]]:
    """Give the activations of the query in every hidden layer, under the statistics that predictions have."""
    with recorded(network.net) as found:
        network.query_outputs(parameters, task)
    return [found[number][-len(task.query_x) :] for number in sorted(found)]


def _size(slope: Float[Tensor, "*shape"], mask: Float[Tensor, "*shape"] | None) -> Float[Tensor, ""]:
    """Average the size of a gradient with respect to unmasked weights over those that are kept."""
    if mask is None:
        return slope.double().abs().mean()
    return (slope * mask).double().abs().sum() / mask.double().sum().clamp(min=1)


def _change(before: Float[Tensor, "*shape"], after: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Divide the norm of what was added by the norm of what was there."""
    added, own = (t.double().square().sum().sqrt() for t in (after - before, before))
    return added / own
