"""Sections 1.3, 1.5 and oracles T4, T5 and T13: what a mask leaves of a net, and where it comes from."""

import pytest
import torch
from metaticket_problems import LOOP, VMAP, learner_of, meta_gradient, network_of, run_of, same, tasks_of

from carryover.core.rng import generator
from carryover.metaticket.adapt import adapt, graph_gradient
from carryover.metaticket.batching import Inner, after_steps, outer_gradient
from carryover.metaticket.learner import Learner
from carryover.metaticket.starts import initial_threshold
from carryover.sparse.masks import at_least

EVERY_BACKEND = pytest.mark.parametrize("batching", [LOOP, VMAP], ids=["loop", "vmap"])


def posed(method="metaticket", **changes):
    run = run_of(method, **changes)
    network = network_of(run)
    return run, network, learner_of(run, network), tasks_of(run)


def adapted_nets(run, network, learner, tasks, num_steps=3):
    """Adapt to the first task; give the parameters on the way."""
    task = type(tasks)(*(part[0] for part in tasks))
    start, rates = learner.parametrise()
    loss = lambda own: network.support_loss(own, task)  # noqa: E731
    gradient = graph_gradient(second=False)
    return list(adapt(loss, start, rates, num_steps, derivatives="none", gradient=gradient))


def pruned_moved_by(learner, change):
    """The same learner with other values of the weights that its masks prune."""
    masks = learner.masks()
    moved = {
        n: torch.where(masks[n] == 0, change(w), w) if n in masks else w for n, w in learner.weights.items()
    }
    return Learner(
        moved, learner.roles, learner.rates, learner.learned, dict(learner.scores), dict(learner.thresholds)
    )


@EVERY_BACKEND
@pytest.mark.parametrize("derivatives", ["second", "first"])
def test_a_mask_of_ones_gives_mamls_predictions_and_losses_to_the_last_bit(derivatives, batching):
    """T4: the same start, adapted under a mask that keeps all, and without one."""
    _, network, dense, tasks = posed("metaticket", initial_sparsity=0.0, order=derivatives)
    assert all((mask == 1).all() for mask in dense.masks().values())
    maml = Learner(dense.weights, dense.roles, dense.rates, tuple(dense.weights))
    steps = [0, 1, 2, 5]
    of_mask, of_none = (
        after_steps(network, *own.parametrise(), tasks, steps, batching) for own in (dense, maml)
    )
    assert torch.equal(of_mask[0], of_none[0])
    assert torch.equal(of_mask[1], of_none[1])
    for weight in dense.weights.values():
        weight.requires_grad_(True)
    inner = Inner(2, derivatives)
    losses = [
        outer_gradient(
            network, *own.parametrise(second=inner.derivatives == "second"), tasks, inner, batching
        ).losses
        for own in (dense, maml)
    ]
    assert torch.equal(*losses)


@pytest.mark.parametrize("method", ["metaticket", "metaticket-boil", "meta-lth"])
def test_pruned_weights_are_zero_and_stay_so_while_all_kept_ones_move(method):
    """T5 and facts 1 and 2 of section 1.3."""
    run, network, learner, tasks = posed(method)
    masks = learner.masks()
    before, *path = adapted_nets(run, network, learner, tasks)
    for name, mask in masks.items():
        assert 0 < (mask == 0).sum() < mask.numel()
        assert torch.equal(before[name], mask * learner.weights[name])
        for after in path:
            assert (after[name][mask == 0] == 0).all()
        moved = path[-1][name] != before[name]
        assert (
            moved[mask == 1].double().mean() > 0.8
        )  # the others lead from a ReLU that is off on the whole support
        assert not moved[mask == 0].any()


@EVERY_BACKEND
def test_values_of_pruned_weights_change_no_loss_but_their_own_meta_gradient(batching):
    """T5: the gradient at a pruned entry is its weight times a number that does not depend on it."""
    run, _, learner, tasks = posed("metaticket")
    masks = learner.masks()
    loss, gradients = meta_gradient(run, learner, tasks, batching)
    for factor in (2.0, -4.0):
        other = pruned_moved_by(learner, lambda w, by=factor: by * w)
        other_loss, other_gradients = meta_gradient(run, other, tasks, batching)
        assert torch.equal(loss, other_loss)
        for name, mask in masks.items():
            own, others = gradients[f"scores/{name}"], other_gradients[f"scores/{name}"]
            assert torch.equal(others[mask == 1], own[mask == 1])
            assert torch.equal(others[mask == 0], factor * own[mask == 0])
            assert own[mask == 0].any()


def test_a_hundred_more_on_every_pruned_weight_changes_no_prediction():
    run, network, learner, tasks = posed("metaticket")
    other = pruned_moved_by(learner, lambda w: w + 100)
    for own, others in zip(
        *(adapted_nets(run, network, each, tasks) for each in (learner, other)), strict=True
    ):
        assert same(own, others)


@pytest.mark.parametrize(("asked", "sparsity"), [(0.0, 0.0), (0.25, 0.25), (0.5, 0.5), (1.0, 0.75)])
def test_the_threshold_of_four_scores_prunes_what_is_asked_and_never_the_last(asked, sparsity):
    """T13."""
    scores = torch.tensor([[3.0, 1.0], [4.0, 2.0]])
    mask = at_least(scores, initial_threshold(scores, asked))
    assert 1 - mask.mean().item() == sparsity


@pytest.mark.parametrize("asked", [0.0, 0.1, 0.25, 0.5, 0.9, 1.0])
def test_each_tensor_is_pruned_by_its_own_quantile(asked):
    _, _, learner, _ = posed(initial_sparsity=asked)
    for name, mask in learner.masks().items():
        assert (mask == 0).sum() == round(asked * (mask.numel() - 1))
        assert learner.thresholds[name] in learner.scores[name]
    if asked == 0:
        assert all(sparsity == 0 for sparsity in learner.sparsities().values())


def test_a_score_at_the_threshold_is_kept():
    scores = torch.rand(50, generator=generator(0, "scores"))
    threshold = initial_threshold(scores, 0.3)
    assert at_least(scores, threshold)[scores == threshold].tolist() == [1.0]
