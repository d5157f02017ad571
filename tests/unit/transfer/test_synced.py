from collections.abc import Iterator

import pytest
import torch
from transfer_problems import (
    CLASSES,
    EXACT,
    NETS,
    SHAPE,
    Recorded,
    images_of,
    near,
    network,
    problem,
    same,
    start_of,
)

from carryover.core.loop import Batches
from carryover.nets.specs import spec_of
from carryover.permute.permutation import permute
from carryover.transfer.descent import Descent
from carryover.transfer.methods import METHODS
from carryover.transfer.settings import NetTraining, SyncedRun
from carryover.transfer.synced import SyncedProblem, synced
from carryover.transfer.vectors import difference

TRAINING = {
    "dataset": "none",
    "net": NETS["deep"].model_dump(),
    "epochs": 99,
    "lr": 0.1,
    "schedule": "constant",
}
RUN = {"training": "none", "epochs": 3, "matchings_per_epoch": 2, "matching": EXACT.model_dump()}


class Drawn:
    """Batches of one net: five steps an epoch, all different."""

    num_steps = 5

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for position in range(start, self.num_steps):
            images, labels = images_of(20, "synced", epoch, position)
            yield images[None], labels[None]


def posed(net="deep", training=None, **run):
    return SyncedProblem(
        network=network(net),
        spec=spec_of(NETS[net], SHAPE, CLASSES),
        source=start_of(net, 1),
        target=start_of(net, 2),
        batches=Drawn(),
        training=NetTraining.model_validate({**TRAINING, **(training or {})}),
        run=SyncedRun.model_validate({**RUN, **run}),
        seed=0,
    )


def trained_on(net, seed, num_steps, weight_decay=1e-4):
    """Points of a net that trains on the same batches, before each step and after the last, and the batches."""
    own, descent = network(net), Descent(start_of(net, seed), momentum=0.9, weight_decay=weight_decay)
    points, batches = [descent.parameters], []
    for step in range(num_steps):
        images, labels = next(Drawn().epoch(*divmod(step, 5)))
        batches.append((images[0], labels[0]))
        descent.descend(own.gradient(descent.parameters, batches[-1:]), 0.1)
        points.append(descent.parameters)
    return points, batches


def test_the_stand_in_gives_batches_as_a_training_does():
    assert isinstance(Drawn(), Batches)


@pytest.mark.parametrize("net", ["deep", "resnet"])
def test_both_nets_train_from_their_own_starts_on_the_same_batches(net):
    run = {"epochs": 2 if net == "deep" else 1}
    epochs = list(synced(posed(net, **run)))
    assert [found.epoch for found in epochs] == list(range(1, run["epochs"] + 1))
    for seed, role in ((1, "source"), (2, "target")):
        points, _ = trained_on(net, seed, 5 * run["epochs"])
        assert all(near(getattr(found, role), points[5 * found.epoch], 1e-12) for found in epochs)


def test_the_recipe_is_that_of_the_training_stretched_over_the_epochs_of_the_run():
    kept, lowered = (
        list(synced(posed(training={"schedule": schedule}, method="random", epochs=2)))
        for schedule in ("constant", "cosine")
    )
    assert same(kept[0].source, lowered[0].source)
    assert not near(kept[1].source, lowered[1].source, 1e-6)


@pytest.mark.parametrize("method", ["gmt", "fgmt", "random"])
def test_the_composed_net_is_the_targets_start_and_the_permuted_way_of_the_source(method):
    own = posed(method=method)
    for found in synced(own):
        moved = permute(own.spec, found.permutation, difference(found.source, own.source))
        assert near(found.composed, {n: start + moved[n] for n, start in own.target.items()}, 1e-14)


@pytest.mark.parametrize("method", ["gmt", "fgmt"])
@pytest.mark.parametrize("net", ["shallow", "deep"])
def test_synced_matching_is_the_method_itself_on_the_points_and_batches_that_were_stored(net, method):
    points, batches = trained_on(net, 1, 15)
    stored = [0, 3, 6, 9, 12]  # every 1 + floor(5 / 2) steps
    # a transfer of T steps also composes with the last point, which nothing is matched at
    recorded = Recorded([*(points[step] for step in stored), points[15]])
    offline = problem(net, source=recorded, batches=lambda t: [batches[stored[t]]])
    expected = list(METHODS[method](offline))
    found = list(synced(posed(net, method=method)))
    assert [one.num_matchings for one in found] == [2, 4, 5]
    for one in found:
        assert same(one.permutation, expected[one.num_matchings - 1].permutations[0])
        assert one.matching.objective == pytest.approx(expected[one.num_matchings - 1].objective, rel=1e-12)
    assert near(found[-1].composed, expected[-1].parameters, 1e-12)


@pytest.mark.parametrize("method", ["gmt", "fgmt"])
def test_true_gradients_are_those_that_the_target_trains_with(method):
    sources, batches = trained_on("shallow", 1, 15)
    targets, _ = trained_on("shallow", 2, 15)
    stored = [0, 3, 6, 9, 12]
    source, target = (Recorded([*(own[step] for step in stored), own[15]]) for own in (sources, targets))
    offline = problem("shallow", source=source, batches=lambda t: [batches[stored[t]]], observed=target)
    (*_, expected) = METHODS["fgmt"](offline)
    (*_, found) = synced(posed("shallow", method=method, gradients="true"))
    assert same(found.permutation, expected.permutations[0])
    (*_, composed) = synced(posed("shallow", method=method))
    assert not same(found.permutation, composed.permutation)


def test_after_the_most_matchings_the_permutation_stays():
    found = list(synced(posed(max_matchings=3)))
    assert [one.num_matchings for one in found] == [2, 3, 3]
    assert same(found[1].permutation, found[2].permutation)


@pytest.mark.parametrize(("per_epoch", "expected"), [(1, 1), (2, 2), (4, 3), (5, 3), (50, 5)])
def test_matchings_lie_1_plus_floor_of_steps_by_matchings_apart(per_epoch, expected):
    (found,) = synced(posed(epochs=1, matchings_per_epoch=per_epoch))
    assert found.num_matchings == expected


def test_a_random_permutation_is_never_matched():
    own = posed(method="random")
    found = list(synced(own))
    assert {one.num_matchings for one in found} == {0}
    assert all(same(one.permutation, found[0].permutation) for one in found)
    assert found[0].matching is None
    assert not same(found[0].permutation, synced_start("deep"))
    assert own.network.num_gradients == 2 * 15


def synced_start(net):
    return {group: torch.arange(size) for group, size in posed(net).spec.sizes(start_of(net, 1)).items()}


def test_fgmt_stores_no_point_that_it_needs_no_more():
    model = sum(own.nbytes for own in start_of("deep", 1).values())
    once, again = (list(synced(posed(method=method)))[-1] for method in ("fgmt", "gmt"))
    matrices = 2 * 8 * (12**2 + 10**2)
    assert once.cache_bytes <= 2 * 5 * model + matrices
    assert once.cache_bytes < again.cache_bytes <= 3 * 5 * model + matrices


def test_a_training_that_diverges_is_an_error_that_names_it():
    with pytest.raises(
        ValueError, match=r"training none: nets diverge within \d+ steps at lr = 1e\+200; lower it"
    ):
        list(synced(posed(training={"lr": 1e200})))
