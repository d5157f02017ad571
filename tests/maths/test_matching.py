"""Learning transfer, sections 1.2, 1.3 and 6.2, and oracles 3 to 7, 11 and 13: cost matrices and coordinate descent."""

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matching_pairs import SPECS, pairs_of, sides, spec_and_sizes
from reference import learning_transfer as published
from transfer_problems import EXACT, NETS, problem

from carryover.core.rng import generator
from carryover.permute.colouring import colour_classes, neighbours
from carryover.permute.matching import match
from carryover.permute.pairs import Pairs, objective_of
from carryover.permute.permutation import draw, identity, permute
from carryover.permute.settings import MatchingSettings
from carryover.transfer.methods import METHODS

EVERY_SPEC = pytest.mark.parametrize("name", SPECS)


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[group], second[group]) for group in first)


def solver_for(spec, sizes, **changes):
    return published.Solver(spec, sizes, colour_classes(neighbours(spec, sizes)), break_ties=True, **changes)


@EVERY_SPEC
def test_the_objective_is_the_sum_of_inner_products_entry_by_entry(name):
    spec, sizes = spec_and_sizes(name)
    permutation = draw(sizes, generator(1, "permutation"))
    pairs, expected = Pairs(spec, sizes, torch.float64), 0.0
    for weight, (target, source) in zip((1.0, -0.5, 2.0), sides(name, 3), strict=True):
        pairs.append(target, source, weight)
        for tensor, moved in permute(spec, permutation, source).items():
            expected += weight * sum(
                g2 * g1
                for g2, g1 in zip(target[tensor].flatten().tolist(), moved.flatten().tolist(), strict=True)
            )
    assert pairs.objective(permutation) == pytest.approx(expected, rel=1e-12)


@EVERY_SPEC
def test_the_distance_of_permuted_gradients_is_their_norms_less_twice_the_objective(name):
    spec, sizes = spec_and_sizes(name)
    permutation = draw(sizes, generator(2, "permutation"))
    distance = norms = 0.0
    for target, source in sides(name, 3):
        for tensor, moved in permute(spec, permutation, source).items():
            distance += ((moved - target[tensor]) ** 2).sum().item()
            norms += (source[tensor] ** 2).sum().item() + (target[tensor] ** 2).sum().item()
    assert distance == pytest.approx(norms - 2 * pairs_of(name).objective(permutation), rel=1e-12)


@EVERY_SPEC
def test_a_cost_matrix_gives_the_difference_of_the_objective_for_any_order_of_its_group(name):
    pairs = pairs_of(name)
    permutation, other = (draw(pairs.sizes, generator(seed, "permutation")) for seed in (1, 2))
    for group in pairs.sizes:
        cost = pairs.cost(group, permutation)
        changed = pairs.objective({**permutation, group: other[group]}) - pairs.objective(permutation)
        told = objective_of(cost, other[group]) - objective_of(cost, permutation[group])
        assert told == pytest.approx(changed, rel=1e-9)


@EVERY_SPEC
def test_an_entry_of_a_cost_matrix_is_what_one_unit_in_one_place_adds(name):
    """Exchanging two units changes the objective by four entries of the matrix."""
    pairs = pairs_of(name, count=2)
    start = draw(pairs.sizes, generator(3, "permutation"))
    for group, size in pairs.sizes.items():
        cost, order = pairs.cost(group, start), start[group]
        for first in range(size):
            for second in range(first):
                swapped = order.clone()
                swapped[first], swapped[second] = order[second], order[first]
                gain = pairs.objective({**start, group: swapped}) - pairs.objective(start)
                kept = cost[first, order[first]] + cost[second, order[second]]
                crossed = cost[first, order[second]] + cost[second, order[first]]
                assert gain == pytest.approx((crossed - kept).item(), abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 7), st.integers(0, 10**6))
def test_with_one_hidden_layer_no_permutation_is_better_than_the_one_that_is_found(units, seed):
    spec, _ = spec_and_sizes("one hidden layer")
    target, source = (
        {
            tensor: torch.randn(shape, generator=generator(seed, side, tensor), dtype=torch.float64)
            for tensor, shape in {"fc1": (units, 2), "fc1.bias": (units,), "fc2": (3, units)}.items()
        }
        for side in ("target", "source")
    )
    pairs = Pairs(spec, {"a": units}, torch.float64)
    pairs.append(target, source)
    rows, columns = (torch.cat([s["fc1"], s["fc1.bias"][:, None], s["fc2"].T], 1) for s in (target, source))
    gain = [
        [sum(x * y for x, y in zip(row, column, strict=True)) for column in columns.tolist()]
        for row in rows.tolist()
    ]
    best = max(sum(gain[i][j] for i, j in enumerate(order)) for order in permutations(range(units)))
    found = match(pairs, identity(pairs.sizes), generator(0, "order"), MatchingSettings())
    assert found.objective == pytest.approx(best, rel=1e-12)


def test_each_group_gets_the_best_of_all_orders_given_the_others():
    pairs = pairs_of("residual", count=2)
    found = match(pairs, identity(pairs.sizes), generator(0, "order"), EXACT)
    for group, size in pairs.sizes.items():
        every = (torch.tensor(order) for order in permutations(range(size)))
        cost = pairs.cost(group, found.permutation)
        best = max(objective_of(cost, order) for order in every)
        assert objective_of(cost, found.permutation[group]) == pytest.approx(best, rel=1e-9)


@EVERY_SPEC
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["fp32", "fp64"])
def test_the_objective_never_falls_and_its_history_is_true(name, dtype):
    pairs = pairs_of(name, dtype=dtype)
    start = identity(pairs.sizes)
    found = match(pairs, start, generator(0, "order"), MatchingSettings())
    rounding = 1e-5 if dtype == torch.float32 else 1e-12
    fresh = pairs_of(name)
    assert found.converged
    assert found.history[0] == pytest.approx(fresh.objective(start), rel=rounding)
    assert (
        found.history[-1]
        == found.objective
        == pytest.approx(fresh.objective(found.permutation), rel=rounding)
    )
    assert found.history == sorted(found.history)
    assert len(set(found.history)) > 1


@EVERY_SPEC
def test_a_search_that_starts_where_one_has_ended_changes_nothing(name):
    pairs = pairs_of(name)
    found = match(pairs, identity(pairs.sizes), generator(0, "order"), EXACT)
    for seed in range(5):
        again = match(pairs, found.permutation, generator(seed, "order"), EXACT)
        assert same(again.permutation, found.permutation)
        assert again.num_solved == len(pairs.sizes)


@EVERY_SPEC
@pytest.mark.parametrize("seed", range(4))
def test_the_permutation_is_that_of_the_published_algorithm_which_visits_every_group_in_every_sweep(
    name, seed
):
    """So neither what is remembered nor which groups are left out changes a result."""
    spec, sizes = spec_and_sizes(name)
    start = draw(sizes, generator(seed, "start"))
    plain = solver_for(spec, sizes, tolerance=1e-9)
    expected = plain(list(sides(name, 3, seed=seed)), generator(seed, "order"), start)
    found = match(pairs_of(name, seed=seed), start, generator(seed, "order"), EXACT)
    assert same(found.permutation, expected)
    assert found.num_sweeps <= plain.num_sweeps[-1]
    assert found.num_solved <= plain.num_sweeps[-1] * len(sizes)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("method", ["gmt", "fgmt"])
def test_from_the_same_starts_and_batches_every_permutation_is_that_of_the_published_algorithm(net, method):
    own = problem(net, num_steps=4)
    solver = solver_for(own.spec, own.spec.sizes(own.target), tolerance=own.matching.tolerance)
    plain = published.Problem(
        published.Gradients(own.network.net),
        solver,
        [own.source.point(t) for t in range(5)],
        own.target,
        own.batches,
        lambda step: generator(own.seed, "matching", step),
        warm=True,
    )
    expected = list({"gmt": published.gmt, "fgmt": published.fgmt}[method](plain))
    found = list(METHODS[method](own))
    for ours, theirs in zip(found, expected, strict=True):
        assert same(ours.permutations[-1], theirs)
    assert plain.gradients.num_gradients == {"gmt": 4 * 5, "fgmt": 2 * 4}[method]
    assert found[-1].num_gradients == {"gmt": 4 + 4 * 5 // 2, "fgmt": 2 * 4}[method]


@EVERY_SPEC
def test_from_any_start_the_published_algorithm_finds_no_group_to_improve(name):
    spec, sizes = spec_and_sizes(name)
    for seed in range(4):
        start = draw(sizes, generator(seed, "start"))
        found = match(pairs_of(name), start, generator(seed, "order"), EXACT)
        plain = solver_for(spec, sizes, tolerance=1e-9)
        assert not any(
            plain.improve_(dict(found.permutation), group, list(sides(name, 3))) for group in sizes
        )


@pytest.mark.parametrize("num_threads", [2, 5])
@EVERY_SPEC
def test_the_number_of_threads_changes_no_bit(name, num_threads):
    one, many = (
        match(pairs_of(name), identity(spec_and_sizes(name)[1]), generator(0, "order"), EXACT, threads)
        for threads in (1, num_threads)
    )
    assert same(one.permutation, many.permutation)
    assert one.history == many.history


def test_the_same_seed_gives_the_same_permutation_and_another_one_another_order():
    found = [
        match(pairs_of("residual"), identity(spec_and_sizes("residual")[1]), generator(seed, "order"), EXACT)
        for seed in (0, 0, *range(1, 9))
    ]
    assert same(found[0].permutation, found[1].permutation)
    assert len({tuple(each.history) for each in found}) > 1


def test_with_one_hidden_layer_the_seed_of_the_solver_changes_nothing():
    own = {seed: list(METHODS["gmt"](problem("shallow", seed=seed))) for seed in (0, 1)}
    for one, other in zip(own[0], own[1], strict=True):
        assert same(one.permutations[0], other.permutations[0])


def test_with_one_step_both_methods_find_the_same_permutation_and_so_at_the_first_of_many():
    first = [
        next(METHODS[method](problem("deep", num_steps=steps)))
        for method in ("gmt", "fgmt")
        for steps in (1, 4)
    ]
    assert all(same(each.permutations[0], first[0].permutations[0]) for each in first)


@pytest.mark.parametrize("name", ["three hidden layers", "residual"])
def test_restarts_never_lose_and_are_worth_something(name):
    gained = []
    for seed in range(6):
        start = identity(spec_and_sizes(name)[1])
        once, often = (
            match(
                pairs_of(name, seed=seed),
                start,
                generator(seed, "order"),
                EXACT.model_copy(update={"restarts": n}),
            )
            for n in (0, 10)
        )
        gained.append(often.objective - once.objective)
    assert min(gained) >= 0
    assert max(gained) > 0


@EVERY_SPEC
def test_a_planted_permutation_is_the_best_and_where_the_search_stays(name):
    spec, sizes = spec_and_sizes(name)
    planted = draw(sizes, generator(4, "planted"))
    pairs = Pairs(spec, sizes, torch.float64)
    for _, source in sides(name, 2):
        pairs.append(permute(spec, planted, source), source)
    assert same(match(pairs, planted, generator(0, "order"), EXACT).permutation, planted)
    often = EXACT.model_copy(update={"restarts": 20})
    found = match(pairs, identity(sizes), generator(0, "order"), often)
    assert found.objective == pytest.approx(pairs.objective(planted), rel=1e-12)
    assert same(found.permutation, planted)


def test_a_search_that_runs_out_of_sweeps_says_so():
    pairs = pairs_of("residual")
    short = match(
        pairs, identity(pairs.sizes), generator(0, "order"), EXACT.model_copy(update={"max_sweeps": 1})
    )
    assert (short.num_sweeps, short.converged) == (1, False)
    assert short.objective == pytest.approx(pairs_of("residual").objective(short.permutation), rel=1e-12)
