"""Algorithms 1 and 2 against their plain text, and oracles 4, 10, 13 and 15."""

from copy import deepcopy
from itertools import islice

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch.nn import functional as F
from transfer_problems import EXACT, NETS, Recorded, near, problem, same, start_of, trained

from carryover.permute.pairs import Pairs
from carryover.permute.permutation import identity, permute
from carryover.transfer.grids import uniform
from carryover.transfer.methods import METHODS
from carryover.transfer.search import Before, Search
from carryover.transfer.trajectories import Linear
from carryover.transfer.vectors import difference, interpolated

SEARCHING = ["gmt", "fgmt"]
HOLDING = ["naive", "random", "oracle", "weights"]
PERMUTING = [*HOLDING, *SEARCHING]


def gradient_of(own, parameters, t):
    """Average over mini-batches what autograd gives for the module itself."""
    module = deepcopy(own.network.net).requires_grad_(True)
    module.load_state_dict(parameters)
    parts = list(own.batches(t))
    for images, labels in parts:
        (F.cross_entropy(module(images), labels) / len(parts)).backward()
    return {name: parameter.grad for name, parameter in module.named_parameters()}


def assignment(pairs):
    """Solve the one assignment problem of a net with one hidden layer, from matrices written out."""
    cost = sum(
        target["fc1.weight"] @ source["fc1.weight"].T
        + torch.outer(target["fc1.bias"], source["fc1.bias"])
        + target["fc2.weight"].T @ source["fc2.weight"]
        for target, source in pairs
    )
    return {"fc1": torch.from_numpy(linear_sum_assignment(cost.numpy(), maximize=True)[1])}


def written_out(own, *, keeps_old):
    """Algorithm 1 (GMT), or 2 (FGMT) where old target gradients are kept, for one hidden layer."""
    start = own.source.point(0)
    permutation = identity({"fc1": 16})
    pairs, found = [], []

    def pair(t):
        moved = permute(own.spec, permutation, difference(own.source.point(t), start))
        composed = {name: tensor + moved[name] for name, tensor in own.target.items()}
        return gradient_of(own, composed, t), gradient_of(own, own.source.point(t), t)

    for s in range(1, own.source.num_steps + 1):
        pairs = [*pairs, pair(s - 1)] if keeps_old else [pair(t) for t in range(s)]
        permutation = assignment(pairs)
        found.append(permutation)
    return found


@pytest.mark.parametrize("method", SEARCHING)
def test_each_algorithm_finds_step_by_step_what_its_text_says(method):
    own = problem("shallow", num_steps=5)
    expected = written_out(own, keeps_old=method == "fgmt")
    found = list(METHODS[method](own))
    assert [result.step for result in found] == [1, 2, 3, 4, 5]
    assert all(same(result.permutations[0], one) for result, one in zip(found, expected, strict=True))
    assert not same(expected[0], expected[-1])


def test_the_two_algorithms_differ_where_old_target_gradients_matter():
    own = problem("shallow", num_steps=5)
    assert not all(
        same(a.permutations[0], b.permutations[0])
        for a, b in zip(METHODS["gmt"](own), METHODS["fgmt"](own), strict=True)
    )


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("method", PERMUTING)
def test_each_transferred_point_is_the_targets_start_and_the_permuted_way_of_the_source(net, method):
    own = problem(net)
    for found in METHODS[method](own):
        way = difference(own.source.point(found.step), own.source.point(0))
        moved = permute(own.spec, found.permutations[-1], way)
        assert near(found.parameters, {n: start + moved[n] for n, start in own.target.items()}, 1e-12)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("num_steps", [1, 3])
def test_gmt_and_fgmt_are_the_same_at_the_first_step(net, num_steps):
    own = problem(net, num_steps)
    first, second = next(METHODS["gmt"](own)), next(METHODS["fgmt"](own))
    assert same(first.permutations[0], second.permutations[0])
    assert same(first.parameters, second.parameters)
    assert first.objective == second.objective


@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_gmt_evaluates_t_plus_t_t_plus_1_over_2_gradients_and_fgmt_2_t(num_steps):
    for method, expected in {
        "gmt": [t + t * (t + 1) // 2 for t in range(1, num_steps + 1)],
        "fgmt": [2 * t for t in range(1, num_steps + 1)],
    }.items():
        own = problem("deep", num_steps)
        assert [found.num_gradients for found in METHODS[method](own)] == expected
        assert own.network.num_gradients == expected[-1]


@pytest.mark.parametrize("method", HOLDING)
def test_one_permutation_for_all_steps_takes_no_gradient(method):
    own = problem("deep")
    assert [found.num_gradients for found in METHODS[method](own)] == [0, 0, 0]
    assert own.network.num_gradients == 0


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_bits(net, method):
    first, second = ([*METHODS[method](problem(net, num_steps=2))][-1] for _ in range(2))
    assert same(first.parameters, second.parameters)
    assert first.objective == second.objective


@pytest.mark.parametrize("method", SEARCHING)
def test_with_one_hidden_layer_the_seed_of_the_search_changes_nothing(method):
    first, second = ([*METHODS[method](problem("shallow", seed=seed))] for seed in (0, 1))
    assert all(same(a.parameters, b.parameters) for a, b in zip(first, second, strict=True))


def test_random_permutations_differ_between_seeds():
    first, second = (next(METHODS["random"](problem("shallow", seed=seed))) for seed in (0, 1))
    assert not same(first.permutations[0], second.permutations[0])


@pytest.mark.parametrize("net", ["shallow", "deep", "conv"])
def test_the_oracle_fits_the_displacement_best(net):
    own = problem(net, matching=EXACT.model_copy(update={"restarts": 8}))
    oracle = next(METHODS["oracle"](own))
    pairs = Pairs(own.spec, own.spec.sizes(own.target), torch.float64)
    ways = [difference(trained(net, seed), start_of(net, seed)) for seed in (2, 1)]
    pairs.append(*ways)
    assert oracle.objective == pytest.approx(pairs.objective(oracle.permutations[0]), rel=1e-12)
    for method in (*SEARCHING, "naive", "random", "weights"):
        *_, last = METHODS[method](own)
        assert pairs.objective(last.permutations[0]) <= oracle.objective + 1e-9


def test_the_first_variant_of_the_oracle_is_fitted_to_a_point_before_the_end():
    own = problem("shallow", trained=trained("shallow", 2, steps=4), trained_at=1)
    way = difference(trained("shallow", 2, steps=4), own.target)
    first_way = difference(own.source.point(1), own.source.point(0))
    (found,) = islice(METHODS["oracle"](own), 1)
    assert same(found.permutations[0], assignment([(way, first_way)]))


def test_the_oracle_needs_a_trained_target():
    with pytest.raises(ValueError, match="trained"):
        next(METHODS["oracle"](problem("shallow", trained=None)))


def test_weight_matching_brings_the_starts_together():
    own = problem("shallow")
    (found,) = islice(METHODS["weights"](own), 1)
    assert same(found.permutations[0], assignment([(own.target, own.source.point(0))]))


@pytest.mark.parametrize("method", SEARCHING)
def test_cold_starts_search_from_the_identity(method):
    cold = problem("deep", matching=EXACT.model_copy(update={"start": "identity"}))
    warm = problem("deep")
    first, second = ([*METHODS[method](own)] for own in (cold, warm))
    assert same(first[0].permutations[0], second[0].permutations[0])
    search = Search(cold)
    search.pairs.append(*search.gradients(0))
    search.solve(1)
    again = Search(cold)
    again.pairs.append(*search.gradients(0))
    assert same(search.solve(2).permutation, again.solve(2).permutation)


def test_gradients_of_an_observed_target_are_matched_in_place_of_the_composed_ones():
    points = [trained("shallow", 2, steps) for steps in (0, 4, 8, 12)]
    own = problem("shallow", observed=Recorded(points))
    *_, last = METHODS["fgmt"](own)
    pairs = [(gradient_of(own, points[t], t), gradient_of(own, own.source.point(t), t)) for t in range(3)]
    assert same(last.permutations[0], assignment(pairs))
    *_, recomputed = METHODS["gmt"](own)
    assert same(recomputed.permutations[0], last.permutations[0])


def test_a_later_segment_has_a_permutation_of_its_own_and_is_asked_to_act_like_the_one_before():
    # a short way, since over a long one the displacement outweighs the gradients and nothing changes
    short = Linear(
        start_of("shallow", 1), interpolated(start_of("shallow", 1), trained("shallow", 1), 0.4), uniform(4)
    )
    own = problem("shallow", source=short, num_segments=4)
    spec, composed, before, permutations, unasked = own.spec, own.target, None, [], []
    for s, found in enumerate(METHODS["gmt"](own), start=1):
        pairs = [(gradient_of(own, composed, s - 1), gradient_of(own, own.source.point(s - 1), s - 1))]
        unasked.append(assignment(pairs))
        if before is not None:
            pairs.append((permute(spec, permutations[-1], before), before))
        permutations.append(assignment(pairs))
        assert len(found.permutations) == s
        assert all(same(a, b) for a, b in zip(found.permutations, permutations, strict=True))
        before = difference(own.source.point(s), own.source.point(s - 1))
        moved = permute(spec, permutations[-1], before)
        composed = {name: tensor + moved[name] for name, tensor in composed.items()}
        assert near(found.parameters, composed, 1e-12)
    assert not same(permutations[0], permutations[-1])
    assert not all(same(a, b) for a, b in zip(permutations, unasked, strict=True))


def test_the_pair_of_the_segment_before_alone_is_best_served_by_its_permutation():
    own = problem("shallow")
    displacement = difference(own.source.point(3), own.source.point(0))
    permutation = next(METHODS["random"](own)).permutations[0]
    search = Search(own, Before(permutation, displacement))
    assert same(search.solve(1).permutation, permutation)
    search.pairs.append(*search.gradients(0))
    search.forget()
    assert len(search.pairs) == 1


@pytest.mark.parametrize("method", SEARCHING)
def test_segments_count_the_gradients_of_all_before_them(method):
    own = problem("deep", num_steps=5, num_segments=2)
    counts = {"gmt": [2, 5, 7, 10, 14], "fgmt": [2, 4, 6, 8, 10]}[method]
    found = list(METHODS[method](own))
    assert [one.step for one in found] == [1, 2, 3, 4, 5]
    assert [one.num_gradients for one in found] == counts
    assert [len(one.permutations) for one in found] == [1, 1, 2, 2, 2]


def test_one_segment_is_the_first_part_of_what_several_find():
    whole, parts = problem("deep", num_steps=4), problem("deep", num_steps=4, num_segments=2)
    for one, other in islice(zip(METHODS["fgmt"](whole), METHODS["fgmt"](parts), strict=True), 2):
        assert same(one.parameters, other.parameters)


@pytest.mark.parametrize("num_segments", [1, 2])
@pytest.mark.parametrize("num_known", [1, 3, 4])
@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_method_goes_on_as_if_it_had_not_been(method, num_known, num_segments):
    whole = list(METHODS[method](problem("deep", num_steps=5, num_segments=num_segments)))
    known = {found.step: found.permutations for found in whole[:num_known]}
    own = problem("deep", num_steps=5, num_segments=num_segments, known=known)
    resumed = list(METHODS[method](own))
    for found, expected in zip(resumed, whole, strict=True):
        assert same(found.parameters, expected.parameters)
        assert all(same(a, b) for a, b in zip(found.permutations, expected.permutations, strict=True))
    for found, expected in zip(resumed[num_known:], whole[num_known:], strict=True):
        assert found.num_gradients == expected.num_gradients
        assert found.objective == expected.objective


def test_gmt_spends_no_gradients_on_known_steps():
    known = {found.step: found.permutations for found in islice(METHODS["gmt"](problem("deep", 5)), 4)}
    own = problem("deep", 5, known=known)
    found = METHODS["gmt"](own)
    assert [next(found).step for _ in range(4)] == [1, 2, 3, 4]
    assert own.network.num_gradients == 0
    next(found)
    assert own.network.num_gradients == 10


def test_an_observed_target_is_followed_through_all_segments():
    points = [trained("shallow", 2, steps) for steps in (0, 3, 6, 9, 12)]
    recorded = Recorded(points)
    list(METHODS["fgmt"](problem("shallow", num_steps=4, num_segments=2, observed=recorded)))
    assert recorded.read == [0, 1, 2, 3]
