from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import learning_transfer as published
from scipy.optimize import linear_sum_assignment

from carryover.core.rng import generator
from carryover.permute import assignment
from carryover.permute.assignment import assign, preferences, prices
from carryover.permute.pairs import objective_of

CASES = {"units": st.integers(1, 7), "idle": st.integers(0, 3), "seed": st.integers(0, 10**6)}


def case(units, idle, seed):
    """Draw a cost matrix with some rows and columns of zeros, and an order."""
    draws = generator(seed, "case")
    cost = torch.randn(units, units, generator=draws, dtype=torch.float64)
    for axis in (0, 1):
        zeros = torch.randperm(units, generator=draws)[:idle]
        cost.index_fill_(axis, zeros, 0.0)
    return cost, torch.randperm(units, generator=draws)


@settings(max_examples=60, deadline=None)
@given(**CASES)
def test_no_order_is_better_than_the_assigned_one(units, idle, seed):
    cost, present = case(units, idle, seed)
    best = max(objective_of(cost, torch.tensor(order)) for order in permutations(range(units)))
    for start in (present, assign(cost, present).order):
        found = assign(cost, start)
        assert objective_of(cost, found.order) == pytest.approx(best, abs=1e-12)
        assert found.present == objective_of(cost, start)
        assert found.present + found.gain == pytest.approx(best, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(**CASES)
def test_among_many_best_orders_every_solver_finds_the_same_one(units, idle, seed):
    """Rows and columns in another order make another solver: without preferences it returns another best order."""
    cost, present = case(units, idle, seed)
    clear = cost + preferences(cost, present)
    for shuffle in range(4):
        rows, columns = (
            torch.randperm(units, generator=generator(seed, shuffle, axis)) for axis in ("r", "c")
        )
        other = torch.empty(units, dtype=torch.int64)
        found = linear_sum_assignment(clear[rows][:, columns].numpy(), maximize=True)[1]
        other[rows] = columns[torch.from_numpy(found)]
        assert assign(cost, present).order.tolist() == other.tolist()


@pytest.mark.parametrize("units", [1, 2, 7, 40])
def test_preferences_are_those_of_the_published_algorithm_with_ties_broken(units):
    cost, present = case(units, 0, 0)
    expected = torch.from_numpy(published.preferences(cost.numpy(), present.numpy()))
    assert torch.allclose(preferences(cost, present), expected, rtol=1e-9, atol=1e-18)


def test_units_without_gradient_stay_where_they_are_if_they_can():
    cost = torch.zeros(5, 5, dtype=torch.float64)
    cost[:2, :2] = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert assign(cost, torch.tensor([0, 1, 4, 3, 2])).order.tolist() == [1, 0, 4, 3, 2]
    assert assign(cost, torch.tensor([4, 1, 2, 3, 0])).order[:4].tolist() == [1, 0, 2, 3]


def test_without_any_gradient_every_unit_stays():
    present = torch.tensor([2, 0, 1])
    found = assign(torch.zeros(3, 3, dtype=torch.float64), present)
    assert (found.order.tolist(), found.gain) == (present.tolist(), 0.0)


def test_preferences_decide_over_less_than_any_gradient_that_fp64_tells_from_none():
    cost = torch.diag(torch.tensor([1.0, 1e-10, 1e-10], dtype=torch.float64))
    assert assign(cost, torch.tensor([0, 2, 1])).order.tolist() == [0, 1, 2]


@pytest.mark.parametrize("seed", range(3))
def test_prices_change_no_result_near_the_best_order(seed, monkeypatch):
    units = 60
    cost = torch.randn(units, units, generator=generator(seed, "cost"), dtype=torch.float64)
    present = assign(cost, torch.arange(units)).order
    present[:10] = present[:10].roll(1)
    found = assign(cost, present)
    assert prices(cost, present).any()
    monkeypatch.setattr(assignment, "NEAR", 2.0)
    assert torch.equal(assign(cost, present).order, found.order)


def test_prices_of_the_best_order_leave_no_unit_a_gain_from_taking_another():
    """Given enough exchanges: then they prove that the order is the best."""
    cost = torch.randn(6, 6, generator=generator(0, "cost"), dtype=torch.float64)
    best = assign(cost, torch.arange(6)).order
    found = prices(cost, best)
    for _ in range(3):
        found = torch.maximum(found, (cost - cost.gather(1, best[:, None]) + found[best][:, None]).amax(0))
    priced = cost - found
    assert torch.allclose(priced.amax(1), priced.gather(1, best[:, None])[:, 0], atol=1e-12)
