"""Sections 1.3 and 1.9: the inner loop by itself, on losses whose steps are known."""

import pytest
import torch

from carryover.core.rng import generator
from carryover.metaticket.adapt import adapt, functional_gradient, graph_gradient

GRADIENTS = {
    "graph": lambda second: graph_gradient(second=second),
    "functional": lambda second: functional_gradient,
}
EVERY_GRADIENT = pytest.mark.parametrize("gradient", GRADIENTS.values(), ids=GRADIENTS)


def noise(name, *shape):
    return torch.randn(shape, generator=generator(0, name), dtype=torch.float64)


def curvature():
    """A symmetric matrix with eigenvalues of size 1."""
    matrix = noise("curvature", 4, 4)
    return (matrix + matrix.T) / 4


def bowl(own):
    """Half x' A x, plus what holds x and y together."""
    return own["x"] @ curvature() @ own["x"] / 2 + (own["x"] * own["y"]).sum()


def walk(start, rates, num_steps, derivatives="none", gradient=None, loss=bowl):
    gradient = gradient or graph_gradient(second=derivatives == "second")
    return list(adapt(loss, start, rates, num_steps, derivatives=derivatives, gradient=gradient))


@EVERY_GRADIENT
@pytest.mark.parametrize("derivatives", ["second", "first", "none"])
@pytest.mark.parametrize("num_steps", [0, 1, 5])
def test_each_step_goes_down_the_gradient_at_the_rate(num_steps, derivatives, gradient):
    start = {"x": noise("x", 4), "y": noise("y", 4)}
    path = walk(start, {"x": 0.3, "y": 0.1}, num_steps, derivatives, gradient(derivatives == "second"))
    assert len(path) == num_steps + 1
    x, y = start["x"], start["y"]
    for point in path:
        assert torch.allclose(point["x"], x, rtol=0, atol=1e-14)
        assert torch.allclose(point["y"], y, rtol=0, atol=1e-14)
        x, y = x - 0.3 * (curvature() @ x + y), y - 0.1 * x


def test_every_entry_may_have_a_rate_of_its_own():
    rate = torch.tensor([0.0, 0.5, 1.0, 2.0], dtype=torch.float64)
    start = {"x": noise("x", 4), "y": noise("y", 4)}
    _, after = walk(start, {"x": rate}, 1)
    expected = start["x"] - rate * (curvature() @ start["x"] + start["y"])
    assert torch.allclose(after["x"], expected, rtol=0, atol=1e-15)
    assert after["x"][0] == start["x"][0]


def test_the_first_point_is_the_start_itself_and_what_has_no_rate_passes_through_as_it_is():
    start = {"x": noise("x", 4), "y": noise("y", 4)}
    path = walk(start, {"x": 0.3}, 3)
    assert path[0] is start
    assert all(point["y"] is start["y"] for point in path)
    assert [list(point) for point in path] == [["x", "y"]] * 4


def test_gradients_are_taken_of_what_has_a_rate_and_of_nothing_else():
    asked = []

    def gradient(loss, moving):
        asked.append(list(moving))
        return graph_gradient(second=False)(loss, moving)

    walk({"x": noise("x", 4), "y": noise("y", 4)}, {"y": 0.3}, 2, "none", gradient)
    assert asked == [["y"], ["y"]]


@EVERY_GRADIENT
@pytest.mark.parametrize("derivatives", ["second", "first", "none"])
def test_where_nothing_has_a_rate_every_step_stays_at_the_start(derivatives, gradient):
    start = {"x": noise("x", 4), "y": noise("y", 4)}
    path = walk(start, {}, 2, derivatives, gradient(derivatives == "second"))
    assert len(path) == 3
    assert all(point[name] is start[name] for point in path for name in start)


def test_a_step_is_taken_when_it_is_asked_for():
    asked = []

    def gradient(loss, moving):
        asked.append(1)
        return graph_gradient(second=False)(loss, moving)

    path = adapt(
        bowl, {"x": noise("x", 4), "y": noise("y", 4)}, {"x": 0.3}, 5, derivatives="none", gradient=gradient
    )
    next(path)
    assert len(asked) == 0
    next(path)
    assert len(asked) == 1


@EVERY_GRADIENT
@pytest.mark.parametrize("num_steps", [1, 3])
def test_second_derivatives_pass_through_the_steps_and_first_ones_around_them(num_steps, gradient):
    """The end of K steps on a bowl is (I - rate A)^K times the start; without second derivatives it is the start."""
    contraction = torch.matrix_power(torch.eye(4, dtype=torch.float64) - 0.3 * curvature(), num_steps)
    for derivatives, expected in (("second", contraction), ("first", torch.eye(4, dtype=torch.float64))):
        x = noise("x", 4).requires_grad_()
        start = {"x": x, "y": torch.zeros(4, dtype=torch.float64)}
        end = walk(start, {"x": 0.3}, num_steps, derivatives, gradient(derivatives == "second"))[-1]["x"]
        rows = [torch.autograd.grad(entry, x, retain_graph=True)[0] for entry in end]
        assert torch.allclose(torch.stack(rows), expected, rtol=0, atol=1e-14)


@EVERY_GRADIENT
@pytest.mark.parametrize("derivatives", ["second", "first"])
def test_a_rate_has_the_gradient_of_its_steps(derivatives, gradient):
    """With one step both orders give minus the slope; with two the second order also sees where the first step led."""
    rate = torch.full((4,), 0.3, dtype=torch.float64, requires_grad=True)
    start = {"x": noise("x", 4), "y": noise("y", 4)}
    own = gradient(derivatives == "second")
    path = walk(start, {"x": rate}, 2, derivatives, own)
    slopes = [curvature() @ point["x"] + start["y"] for point in path]
    (found,) = torch.autograd.grad(path[1]["x"].sum(), rate, retain_graph=True)
    assert torch.allclose(found, -slopes[0], rtol=0, atol=1e-14)
    (found,) = torch.autograd.grad(path[2]["x"].sum(), rate)
    through = 0.3 * curvature().sum(0) * slopes[0] if derivatives == "second" else 0.0
    assert torch.allclose(found, -slopes[0] - slopes[1] + through, rtol=0, atol=1e-14)


@EVERY_GRADIENT
def test_with_no_derivatives_nothing_can_be_derived_whatever_asks_for_it(gradient):
    start = {"x": noise("x", 4).requires_grad_(), "y": noise("y", 4).requires_grad_()}
    rate = torch.full((4,), 0.3, dtype=torch.float64, requires_grad=True)
    for point in walk(start, {"x": rate}, 3, "none", gradient(False))[1:]:
        assert not point["x"].requires_grad


@EVERY_GRADIENT
def test_gradients_are_found_where_gradients_are_off(gradient):
    start = {"x": noise("x", 4), "y": noise("y", 4)}
    expected = walk(start, {"x": 0.3}, 3)[-1]["x"]
    with torch.no_grad():
        assert torch.equal(walk(start, {"x": 0.3}, 3, "none", gradient(False))[-1]["x"], expected)


@EVERY_GRADIENT
@pytest.mark.parametrize("derivatives", ["second", "first", "none"])
def test_a_parameter_that_the_loss_does_not_use_stays_where_it_is(derivatives, gradient):
    start = {"x": noise("x", 4), "y": noise("y", 4), "unused": noise("unused", 3)}
    own = gradient(derivatives == "second")
    after = walk(start, {"x": 0.3, "unused": 0.3}, 2, derivatives, own)[-1]
    assert torch.equal(after["unused"], start["unused"])
    assert not torch.equal(after["x"], start["x"])


def test_gradients_of_first_order_leave_no_graph_and_those_of_second_order_one():
    moving = {"x": noise("x", 4)}
    loss = lambda own: bowl({**own, "y": noise("y", 4)})  # noqa: E731
    assert not graph_gradient(second=False)(loss, moving)["x"].requires_grad
    assert graph_gradient(second=True)(loss, moving)["x"].requires_grad
    assert not moving["x"].requires_grad


def test_functional_gradients_work_on_many_starts_together():
    starts = noise("starts", 5, 4)

    def end(x):
        return walk({"x": x}, {"x": 0.3}, 3, "none", functional_gradient, lambda own: (own["x"] ** 4).sum())[
            -1
        ]["x"]

    together = torch.func.vmap(end)(starts)
    assert torch.allclose(together, torch.stack([end(x) for x in starts]), rtol=1e-14)


@pytest.mark.parametrize("num_steps", [1, 4])
def test_a_squared_mask_in_the_rate_is_the_inner_loop_on_unmasked_weights(num_steps):
    """The identity on which masked inner steps rest, for real masks as well."""
    mask = torch.tensor([0.0, 1.0, 0.5, -2.0], dtype=torch.float64)
    weights = {"x": noise("x", 4), "y": noise("y", 4)}
    unmasked = walk(weights, {"x": 0.3}, num_steps, loss=lambda own: bowl({**own, "x": mask * own["x"]}))[-1]
    effective = walk({**weights, "x": mask * weights["x"]}, {"x": 0.3 * mask**2}, num_steps)[-1]
    assert torch.allclose(effective["x"], mask * unmasked["x"], rtol=0, atol=1e-14)
