"""The re-sampling lemma, the subset-sum comparison and the whole-network construction."""

from itertools import combinations, pairwise
from math import ceil, log, sqrt

import numpy as np
import pytest

from carryover.iterand import theory, theory_network
from carryover.iterand.theory_settings import Precision, TargetNet, TheorySettings

REFERENCE_NETS = [
    # dims, eps, sufficient draws, success with these draws and with half of them, of 500 reference trials
    ((4, 5, 3), 0.1, 9_602, 0.978, 0.542),
    ((8, 8, 8, 4), 0.1, 30_177, 0.992, 0.390),
    ((16, 16, 10), 0.2, 22_123, 0.998, 0.492),
]


@pytest.mark.parametrize("eps", [0.02, 0.1, 0.7])
@pytest.mark.parametrize("alpha", [-1.0, -0.95, -0.3, 0.0, 0.5, 1.0])
def test_one_draw_hits_as_often_as_a_fine_grid_of_draws_does(alpha, eps):
    grid = (np.arange(200_000) + 0.5) / 100_000 - 1
    share = float(np.mean(np.abs(grid - alpha) <= eps))
    assert theory.hit_probability(alpha, eps) == pytest.approx(share, abs=1e-5)
    assert eps / 2 - 1e-12 <= theory.hit_probability(alpha, eps) <= eps + 1e-12


def test_a_goal_at_the_end_is_hit_half_as_often_as_one_inside():
    assert theory.hit_probability(0.0, 0.1) == pytest.approx(0.1)
    assert theory.hit_probability(1.0, 0.1) == pytest.approx(0.05)
    assert theory.hit_probability(-1.0, 0.1) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("eps", "delta", "num_draws", "num_slots", "exact"),
    [
        (0.1, 0.1, 10, 5, (0.0052, 0.0052, 0.0769)),
        (0.05, 0.05, 20, 6, (0.0021, 0.0021, 0.0479)),
        (0.02, 0.01, 50, 10, (4.1e-5, 4.1e-5, 0.0066)),
    ],
)
def test_the_exact_miss_probability_is_the_reference_one_and_below_delta(
    eps, delta, num_draws, num_slots, exact
):
    assert (ceil(1 / eps), ceil(2 * log(1 / delta))) == (num_draws, num_slots)
    for alpha, expected in zip((0.0, 0.5, 1.0), exact, strict=True):
        miss = theory.miss_probability(alpha, eps, num_slots, num_draws)
        assert miss == pytest.approx(expected, abs=6e-5)
        assert miss <= theory.miss_bound(eps, num_slots, num_draws) <= delta


def test_observed_misses_are_within_four_standard_errors_and_not_above_delta():
    for row in theory.miss_rows(TheorySettings()):
        assert abs(row["observed"] - row["exact"]) <= 4 * row["standard_error"], row
        assert row["observed"] <= row["delta"], row


def test_read_literally_the_fragment_of_the_paper_misses_far_more_often_than_delta():
    once = theory.miss_probability(1.0, 0.1, ceil(2 * log(10)), 1)
    assert once == pytest.approx(0.77, abs=0.01)
    with_the_factor = theory.miss_probability(1.0, 0.1, ceil(2 / 0.1 * log(10)), 1)
    assert with_the_factor == pytest.approx(0.0897, abs=1e-4)


def test_only_the_product_of_slots_and_draws_counts():
    assert theory.miss_probability(1.0, 0.05, 6, 20) == theory.miss_probability(1.0, 0.05, 120, 1)


@pytest.mark.parametrize(
    ("precision", "exact", "bound"),
    [
        (0.05, [119, 60, 24, 12, 6, 3, 2, 1], [120, 60, 24, 12, 6, 3, 2, 1]),
        (0.01, [919, 460, 184, 92, 46, 19, 10, 5], [922, 461, 185, 93, 47, 19, 10, 5]),
    ],
)
def test_the_smallest_number_of_slots_is_the_reference_one(precision, exact, bound):
    draws = (1, 2, 5, 10, 20, 50, 100, 200)
    settings = TheorySettings(width_cases=(Precision(eps=precision, delta=precision),), width_draws=draws)
    rows = theory.width_rows(settings)
    assert [row["exact"] for row in rows] == exact
    assert [row["bound"] for row in rows] == bound


@pytest.mark.parametrize("num_draws", [1, 3, 10, 1000])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_one_slot_fewer_than_the_smallest_number_misses_too_often(alpha, num_draws):
    smallest = theory.smallest_slots(alpha, 0.05, 0.05, num_draws)
    assert theory.miss_probability(alpha, 0.05, smallest, num_draws) <= 0.05
    assert theory.miss_probability(alpha, 0.05, smallest - 1, num_draws) > 0.05


def test_enough_summands_are_found_as_by_trying_every_subset():
    draws = np.random.default_rng(0).uniform(-1, 1, 8)
    grid = np.linspace(-1, 1, 201)

    def worst_distance(count):
        subsets = (c for size in range(count + 1) for c in combinations(range(count), size))
        sums = np.array([draws[list(chosen)].sum() for chosen in subsets])
        return np.abs(grid[:, None] - sums).min(axis=1).max()

    eps = (0.5, 0.25, 0.1, 0.001)
    reached = [[n for n in range(1, 9) if worst_distance(n) <= value] for value in eps]
    assert theory.summands_needed(eps, draws).tolist() == [min(counts, default=9) for counts in reached]


def test_the_subset_sum_comparison_needs_the_reference_widths():
    rows = theory.subset_sum_rows(TheorySettings())
    sums = [row for row in rows if row["method"] == "subset sum"]
    for row, reference in zip(sums, (13, 13, 15, 15), strict=True):
        assert abs(row["num_slots"] - reference) <= 1
        assert row["low"] <= row["num_slots"] <= row["high"]
    redrawn = [row for row in rows if row["method"] == "redrawn"]
    assert [row["num_slots"] for row in redrawn] == [1, 1, 1, 1]


def test_a_precision_out_of_reach_of_the_brute_force_is_an_error_that_names_the_setting():
    never = np.array([theory._MOST_SUMMANDS + 1])
    with pytest.raises(ValueError, match=r"subset_eps.*raise"):
        theory._quantile(never, 0.95)


@pytest.mark.parametrize(("dims", "eps", "draws"), [net[:3] for net in REFERENCE_NETS])
def test_the_sufficient_number_of_draws_is_the_reference_one(dims, eps, draws):
    assert theory_network.sufficient_draws(dims, eps, 0.1) == draws


@pytest.mark.parametrize("dims", [net[0] for net in REFERENCE_NETS])
def test_all_weights_of_the_construction_are_counted(dims):
    inner = sum(len("+-") * inputs for inputs in dims[:-1])
    outer = sum(len("+-") * inputs * outputs for inputs, outputs in pairwise(dims))
    assert theory_network.num_edges(dims) == inner + outer


@pytest.mark.parametrize("eps", [0.01, 0.1, 1.0])
def test_the_tolerance_keeps_the_error_bound_below_eps(eps):
    for dims, *_ in REFERENCE_NETS:
        tolerance = theory_network.edge_tolerance(dims, eps)
        assert eps / 2 < theory_network.error_bound(dims, tolerance) <= eps


def test_a_layer_of_weights_at_the_edge_of_the_tolerance_errs_less_than_the_bound():
    rng, tolerance = np.random.default_rng(1), 0.01
    (target,) = theory_network.draw_target((6, 5), rng)
    signs = rng.choice([-1, 1], (2, 5, 6))
    built_plus, built_minus = target + tolerance * signs[0], -target + tolerance * signs[1]
    x = rng.standard_normal((6, 1000))
    x /= np.linalg.norm(x, axis=0)
    u = 1 - tolerance
    built = built_plus @ np.maximum(u * x, 0) + built_minus @ np.maximum(-u * x, 0)
    error = np.linalg.norm(built - target @ x, axis=0).max()
    assert 0 < error <= theory_network.error_bound((6, 5), tolerance)


def test_targets_have_the_largest_norm_allowed():
    targets = theory_network.draw_target((4, 5, 3), np.random.default_rng(0))
    assert [target.shape for target in targets] == [(5, 4), (3, 5)]
    assert [np.linalg.norm(target) for target in targets] == pytest.approx([1, 1])


def test_without_tolerance_the_construction_is_the_target():
    targets = theory_network.draw_target((4, 5, 3), np.random.default_rng(0))
    tried = theory_network.simulate(targets, 1e-9, 3, np.random.default_rng(1))
    assert tried.errors.max() < 1e-7


def test_the_exact_chance_of_a_network_is_a_product_over_its_weights():
    targets, tolerance, num_draws = [np.array([[0.3, -0.995]])], 0.01, 400
    single = [
        1 - (1 - theory.hit_probability(goal, tolerance)) ** num_draws
        for goal in (1.0, 1.0, -1.0, -1.0, 0.3, -0.3, -0.995, 0.995)
    ]
    exact = theory_network.reach_probability(targets, tolerance, num_draws)
    assert exact == pytest.approx(float(np.prod(single)))
    lowest = 1 - theory_network.num_edges((2, 1)) * (1 - tolerance / 2) ** num_draws
    assert exact >= lowest


def test_networks_succeed_as_often_as_the_exact_product_says():
    for row in theory_network.network_rows(TheorySettings()):
        assert abs(row["observed"] - row["exact"]) <= 4 * row["standard_error"] + 1e-9, row
        assert row["bound"] <= row["exact"], row
        assert row["error_max"] is None or row["error_max"] <= row["eps"] / 30, row


@pytest.mark.parametrize(("dims", "eps", "draws", "full", "half"), REFERENCE_NETS)
def test_networks_succeed_about_as_often_as_in_the_reference_run(dims, eps, draws, full, half):
    case = TargetNet(dims=dims, eps=eps, delta=0.1)
    settings = TheorySettings(networks=(case,), network_fractions=(0.25, 0.5, 1.0))
    quarter_row, half_row, full_row = theory_network.network_rows(settings)
    for row, reference in ((half_row, half), (full_row, full)):
        error = sqrt(row["standard_error"] ** 2 + row["exact"] * (1 - row["exact"]) / 500)
        assert abs(row["observed"] - reference) <= 4 * error
    assert quarter_row["observed"] < 0.01
    assert (full_row["num_draws"], full_row["num_units"]) == (draws, 1)


def test_a_first_success_within_the_draws_is_as_likely_as_in_drawing_one_by_one():
    tolerance, num_draws, trials = 0.2, 6, 4000
    targets = [np.array([[0.5]])]
    rng = np.random.default_rng(3)
    goals = np.array([1.0, -1.0, 0.5, -0.5])
    draws = rng.uniform(-1, 1, (trials, num_draws, 4))
    honest = np.mean((np.abs(draws - goals) <= tolerance).any(axis=1).all(axis=1))
    tried = theory_network.simulate(targets, tolerance, trials, np.random.default_rng(4))
    shortcut = np.mean(tried.draws_needed <= num_draws)
    exact = theory_network.reach_probability(targets, tolerance, num_draws)
    error = sqrt(exact * (1 - exact) / trials)
    assert abs(honest - exact) <= 4 * error
    assert abs(shortcut - exact) <= 4 * error


def test_a_sufficient_number_of_units_suffices_when_weights_are_drawn_seldom():
    dims, eps, delta, num_draws, trials = (2, 2), 0.5, 0.2, 40, 500
    tolerance = theory_network.edge_tolerance(dims, eps)
    num_units = theory_network.sufficient_units(dims, eps, delta, num_draws)
    reach = 1 - (1 - tolerance / 2) ** num_draws  # both weights at the hardest goal
    rng = np.random.default_rng(5)
    read = rng.random((trials, 2, 2, 1, num_units)) < reach  # sign, input, -, unit
    write = rng.random((trials, 2, 2, 2, num_units)) < reach  # sign, input, output, unit
    success = np.mean((read & write).any(axis=-1).all(axis=(1, 2, 3)))
    assert num_units > 1
    assert success >= 1 - delta


def test_the_width_falls_like_the_square_of_the_draws_while_they_are_few():
    dims, eps, delta = (8, 8, 8, 4), 0.1, 0.1
    tolerance = theory_network.edge_tolerance(dims, eps)
    for num_draws in (5, 10, 20):
        limit = 4 / (num_draws * tolerance) ** 2 * log(2 * (64 + 64 + 32) / delta)
        width = theory_network.sufficient_units(dims, eps, delta, num_draws)
        assert width == pytest.approx(limit, rel=0.02)


def test_the_same_seed_gives_the_same_tables_and_another_seed_others():
    small = {"lemma_trials": 500, "subset_trials": 20, "network_trials": 20}
    for rows in (theory.miss_rows, theory_network.network_rows):
        first, again, other = (rows(TheorySettings(seed=seed, **small)) for seed in (1, 1, 2))
        assert first == again
        assert first != other
