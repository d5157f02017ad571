"""Oracle 8: where fixed permutations lead, and what holds when source and target are the same."""

import pytest
from transfer_problems import NETS, Recorded, images_of, near, problem, same, start_of, trained

from carryover.permute.permutation import identity
from carryover.transfer.compose import compose, segment_starts
from carryover.transfer.grids import cosine, uniform
from carryover.transfer.methods import METHODS
from carryover.transfer.trajectories import Linear

HOLDING = ["naive", "random", "oracle", "weights"]


def last(method, own):
    *_, found = METHODS[method](own)
    return found


@pytest.mark.parametrize("net", NETS)
def test_naive_transfer_ends_at_the_targets_start_and_the_sources_whole_displacement(net):
    start, end, target = start_of(net, 1), trained(net, 1), start_of(net, 2)
    expected = {name: target[name] + end[name] - start[name] for name in target}
    assert near(last("naive", problem(net)).parameters, expected, 1e-14)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("method", HOLDING)
def test_a_fixed_permutation_ends_at_the_same_point_whatever_the_steps_and_the_grid(net, method):
    start, end = start_of(net, 1), trained(net, 1)
    actual = Recorded([start, start_of(net, 5), start_of(net, 6), end])
    grids = [uniform(1), uniform(7), cosine(3)]
    results = [
        last(method, problem(net, source=own))
        for own in (actual, *(Linear(start, end, grid) for grid in grids))
    ]
    assert all(same(found.parameters, results[0].parameters) for found in results)
    assert all(same(found.permutations[0], results[0].permutations[0]) for found in results)


@pytest.mark.parametrize("net", NETS)
def test_where_both_start_alike_naive_transfer_is_the_source(net):
    own = problem(net, target=start_of(net, 1))
    for found in METHODS["naive"](own):
        assert near(found.parameters, own.source.point(found.step), 1e-14)


@pytest.mark.parametrize("net", ["shallow", "deep", "resnet"])
@pytest.mark.parametrize("method", ["gmt", "fgmt"])
def test_where_both_start_alike_gradient_matching_finds_the_identity(net, method):
    own = problem(net, target=start_of(net, 1))
    for found in METHODS[method](own):
        assert same(found.permutations[0], identity(own.spec.sizes(own.target)))
        assert near(found.parameters, own.source.point(found.step), 1e-14)


@pytest.mark.parametrize("net", ["shallow", "deep", "resnet"])
def test_for_two_equal_trainings_the_oracle_is_the_identity(net):
    own = problem(net, target=start_of(net, 1), trained=trained(net, 1))
    assert same(last("oracle", own).permutations[0], identity(own.spec.sizes(own.target)))


def test_a_composition_is_built_from_the_targets_start_whatever_came_before():
    own = problem("deep", num_steps=6)
    found = list(METHODS["fgmt"](own))
    for one in found:
        rebuilt = compose(own.target, one.permutations, own.source, one.step, own.spec)
        assert same(one.parameters, rebuilt)
    newest = compose(own.target, found[-1].permutations, own.source, 0, own.spec)
    assert same(newest, own.target)


@pytest.mark.parametrize("method", ["gmt", "fgmt"])
def test_the_permutations_of_all_segments_rebuild_each_point(method):
    own = problem("deep", num_steps=5, num_segments=2)
    for found in METHODS[method](own):
        rebuilt = compose(own.target, found.permutations, own.source, found.step, own.spec, 2)
        assert same(found.parameters, rebuilt)


def test_one_permutation_in_every_segment_is_as_one_for_the_whole_trajectory():
    own = problem("deep", num_steps=5)
    permutation = last("random", own).permutations[0]
    whole = compose(own.target, [permutation], own.source, 5, own.spec)
    assert near(compose(own.target, [permutation] * 3, own.source, 5, own.spec, 3), whole, 1e-14)


@pytest.mark.parametrize("num_steps", range(1, 8))
def test_segments_cover_all_steps_in_lengths_that_differ_by_one_at_most(num_steps):
    for num_segments in range(1, num_steps + 1):
        starts = segment_starts(num_steps, num_segments)
        lengths = [after - before for before, after in zip(starts, [*starts[1:], num_steps], strict=True)]
        assert starts[0] == 0
        assert sum(lengths) == num_steps
        assert max(lengths) - min(lengths) <= 1
        assert min(lengths) >= 1


def test_more_segments_than_steps_are_an_error():
    with pytest.raises(ValueError, match="segments: each needs a step of the trajectory, which has 3: got 4"):
        next(METHODS["gmt"](problem("shallow", num_segments=4)))


def test_transferred_points_classify_better_than_the_start():
    """Not an equation: the point of it all, on the smallest of problems."""
    own = problem("deep", num_steps=5)
    images, labels = images_of(400, "test")

    def accuracy(parameters):
        return (own.network.logits(parameters, images).argmax(-1) == labels).double().mean().item()

    for method in ("gmt", "fgmt", "oracle"):
        assert accuracy(last(method, own).parameters) > accuracy(own.target) + 0.2
