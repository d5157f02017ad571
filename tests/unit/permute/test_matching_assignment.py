from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import learning_transfer as published
from scipy.optimize import linear_sum_assignment

from carryover.core.rng import generator
from carryover.permute import assignment
from carryover.permute.assignment import assign, prices, settled
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
def test_ties_are_settled_by_one_rule_whatever_the_solver_returns(units, idle, seed):
    """Rows of the matrix in another order make the solver return another order of units without gradient."""
    cost, present = case(units, idle, seed)
    best = torch.from_numpy(linear_sum_assignment(cost.numpy(), maximize=True)[1])
    expected = published.settled(cost.numpy(), best.numpy(), present.numpy())
    for shuffle in range(4):
        rows = torch.randperm(units, generator=generator(seed, "shuffle", shuffle))
        other = torch.empty_like(best)
        other[rows] = torch.from_numpy(linear_sum_assignment(cost[rows].numpy(), maximize=True)[1])
        assert settled(other, present, cost).tolist() == expected.tolist()


def test_units_without_gradient_stay_where_they_are_if_they_can():
    cost = torch.zeros(5, 5, dtype=torch.float64)
    cost[:2, :2] = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert assign(cost, torch.tensor([0, 1, 4, 3, 2])).order.tolist() == [1, 0, 4, 3, 2]
    # source unit 0, without gradient, is in the place of a unit that has one; what it leaves is the lowest free
    assert assign(cost, torch.tensor([4, 1, 0, 3, 2])).order.tolist() == [1, 0, 4, 3, 2]


def test_without_any_gradient_every_unit_stays():
    present = torch.tensor([2, 0, 1])
    found = assign(torch.zeros(3, 3, dtype=torch.float64), present)
    assert (found.order.tolist(), found.gain) == (present.tolist(), 0.0)


def test_a_unit_with_gradient_takes_none_of_its_kind_in_exchange_for_one_without():
    """It loses by every other unit and gets one without gradient; that it kept its present one would cost."""
    cost = torch.tensor([[1.0, -1.0, 0.0], [2.0, -2.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    found = assign(cost, torch.tensor([0, 1, 2]))
    assert found.order.tolist() == [2, 0, 1]
    assert found.gain == 2.0 - (1.0 - 2.0)


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
