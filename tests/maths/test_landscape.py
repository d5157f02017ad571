"""Lines and planes between nets, loss barriers, and how far the transferred points move."""

from itertools import product

import pytest
import torch

from carryover.core import rng
from carryover.permute.permutation import draw as draw_permutation
from carryover.permute.permutation import identity, permute
from carryover.permute.spec import Axis, PermutationSpec
from carryover.transfer import landscape, planes, vectors
from carryover.transfer.consistency import distances
from carryover.transfer.network import Network

SHAPES = {"weight": (4, 3), "bias": (4,)}


def drawn(seed, dtype=torch.float64):
    draw = rng.generator(seed, "net")
    return {name: torch.randn(shape, generator=draw, dtype=dtype) for name, shape in SHAPES.items()}


def flat(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors.values()]).double()


def bowl(center):
    """Measure the squared distance from a net as the loss, and something of it as the accuracy."""

    def measure(parameters):
        loss = (flat(parameters) - flat(center)).square().sum().item()
        return {"loss": loss, "accuracy": 1 / (1 + loss)}

    return measure


def test_vectors_are_those_of_all_tensors_in_a_row():
    a, b = drawn(0), drawn(1)
    assert vectors.inner(a, b) == pytest.approx((flat(a) @ flat(b)).item())
    assert vectors.norm(a) == pytest.approx(flat(a).norm().item())
    torch.testing.assert_close(flat(vectors.difference(a, b)), flat(a) - flat(b))
    torch.testing.assert_close(flat(vectors.moved(a, b, -2.0)), flat(a) - 2 * flat(b))
    torch.testing.assert_close(flat(vectors.interpolated(a, b, 0.3)), 0.7 * flat(a) + 0.3 * flat(b))


def test_the_ends_of_a_line_are_its_nets_to_the_last_bit():
    a, b = drawn(0, torch.float32), drawn(1, torch.float32)
    seen = []
    landscape.walk(lambda p: seen.append(p) or {"loss": 0.0, "accuracy": 0.0}, a, b, 4)
    assert torch.equal(flat(seen[0]), flat(a))
    assert torch.equal(flat(seen[-1]), flat(b))


def test_points_of_a_line_are_equally_spaced():
    a, b, center = drawn(0), drawn(1), drawn(2)
    line = landscape.walk(bowl(center), a, b, 101)
    assert line.positions[37] == pytest.approx(0.37)
    for number in (0, 37, 100):
        point = flat(a) + number / 100 * (flat(b) - flat(a))
        assert line.losses[number] == pytest.approx((point - flat(center)).square().sum().item())
        assert line.accuracies[number] == pytest.approx(1 / (1 + line.losses[number]))
    assert line.lowest_accuracy == min(line.accuracies)


def test_the_barrier_is_the_highest_loss_above_the_chord():
    # chord: 1, 1.5, 2, 2.5, 3
    assert landscape.loss_barrier([1.0, 2.25, 2.5, 0.0, 3.0]) == pytest.approx(0.75)
    line = landscape.Segment(losses=[1.0, 2.25, 2.5, 0.0, 3.0], accuracies=[0.0] * 5)
    assert line.barrier == pytest.approx(0.75)


def test_the_barrier_of_a_concave_loss_is_that_of_its_middle():
    # -|x - c|^2 lies above its chord by s (1 - s) |b - a|^2
    a, b, center = drawn(0), drawn(1), drawn(2)
    line = landscape.walk(lambda p: {"loss": -bowl(center)(p)["loss"], "accuracy": 0.0}, a, b, 51)
    assert line.barrier == pytest.approx(
        (flat(b) - flat(a)).square().sum().item() * 25 / 51 * 26 / 51, rel=0.01
    )


@pytest.mark.parametrize("losses", [[0.3, 0.1, 0.0, 0.1, 0.2], [0.1, 0.2, 0.3], [0.1 + 0.2, 0.3, 0.3]])
def test_a_loss_that_is_never_above_the_chord_has_no_barrier(losses):
    assert landscape.loss_barrier(losses) == pytest.approx(0, abs=1e-15)
    assert landscape.loss_barrier(losses) >= 0


def test_the_three_curves_join_transferred_source_and_target():
    x, source, target = drawn(0), drawn(1), drawn(2)
    measure = bowl(drawn(3))
    found = landscape.curves(measure, landscape.Solutions(transferred=x, source=source, target=target), 5)
    ends = {"source": (x, source), "target": (x, target), "between": (source, target)}
    assert {
        name: (measure(first)["loss"], measure(last)["loss"]) for name, (first, last) in ends.items()
    } == {name: (line.losses[0], line.losses[-1]) for name, line in found.items()}


def test_statistics_are_rebuilt_for_every_net_that_is_measured():
    # y = batch-norm of w x: with the statistics of w itself, w and 100 w are the same net
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(2, 3, bias=False), torch.nn.BatchNorm1d(3, affine=False)
    ).requires_grad_(False)
    draw = rng.generator(0, "images")
    batches = [
        (torch.randn(50, 1, 1, 2, generator=draw), torch.randint(3, (50,), generator=draw)) for _ in range(2)
    ]
    network = Network(net, dict(net.named_buffers()), "fp32")
    measure = landscape.measure_on(network, batches, batches)
    weight = torch.randn(3, 2, generator=draw)
    once, scaled = (measure({"1.weight": factor * weight}) for factor in (1.0, 100.0))
    assert scaled["loss"] == pytest.approx(once["loss"], rel=1e-3)
    x = torch.cat([images.flatten(1) for images, _ in batches]) @ weight.T
    means = torch.stack([part.mean(0) for part in x.split(50)]).mean(0)
    variances = torch.stack([part.var(0) for part in x.split(50)]).mean(0)
    logits, labels = (x - means) / (variances + 1e-5).sqrt(), torch.cat([labels for _, labels in batches])
    assert once["loss"] == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)
    assert once["accuracy"] == pytest.approx((logits.argmax(-1) == labels).double().mean().item())


def test_directions_of_a_plane_are_orthonormal_and_pass_its_nets():
    a, b, c = drawn(0), drawn(1), drawn(2)
    plane = planes.plane_through(a, b, c)
    gram = [vectors.inner(first, second) for first, second in product((plane.u, plane.v), repeat=2)]
    assert gram == pytest.approx([1, 0, 0, 1], abs=1e-12)
    first, second, third = (plane.coordinates(net) for net in (a, b, c))
    assert first == pytest.approx((0, 0), abs=1e-12)
    assert second == pytest.approx(((flat(b) - flat(a)).norm().item(), 0), abs=1e-12)
    assert third[1] > 0
    for net, place in ((a, first), (b, second), (c, third)):
        torch.testing.assert_close(flat(plane.point(place)), flat(net))


def test_distances_on_a_plane_are_those_of_parameters():
    plane = planes.plane_through(drawn(0), drawn(1), drawn(2))
    apart = vectors.norm(vectors.difference(plane.point((1.0, 2.0)), plane.point((4.0, -2.0))))
    assert apart == pytest.approx(5)


def test_the_place_of_a_net_off_the_plane_is_the_nearest():
    plane, net = planes.plane_through(drawn(0), drawn(1), drawn(2)), drawn(3)
    design = torch.stack([flat(plane.u), flat(plane.v)], dim=1)
    nearest = torch.linalg.lstsq(design, flat(net) - flat(plane.origin)).solution
    assert plane.coordinates(net) == pytest.approx(tuple(nearest.tolist()))


def test_a_plane_through_nearly_equal_directions_is_still_orthogonal_in_fp32():
    a, b = drawn(0, torch.float32), drawn(1, torch.float32)
    c = vectors.moved(vectors.interpolated(a, b, 2.0), drawn(2, torch.float32), 1e-3)
    plane = planes.plane_through(a, b, c)
    assert vectors.inner(plane.u, plane.v) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("first", "second"), [(0.5, 1.5), (0.5, 0.0), (0.0, 1.0)])
def test_three_nets_on_a_line_span_no_plane(first, second):
    a, b = drawn(0, torch.float32), drawn(1, torch.float32)
    points = [vectors.interpolated(a, b, position) for position in (first, second)]
    with pytest.raises(ValueError, match="not on one line"):
        planes.plane_through(a, *points)


def test_a_grid_has_the_origin_on_it_and_reaches_just_beyond_the_margin():
    places = [(0.0, 0.0), (42.1, 0.0), (15.6, 75.4)]
    found = planes.grid(places, spacing=5.0, margin=0.25)  # 18.85 on all sides
    us, vs = (sorted({place[axis] for place in found}) for axis in range(2))
    assert us == [5.0 * number for number in range(-4, 14)]
    assert vs == [5.0 * number for number in range(-4, 20)]
    assert found == [(u, v) for v in vs for u in us]


@pytest.mark.parametrize("margin", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("wide", [1.0, 0.3, 77.7])
def test_without_a_spacing_the_wider_side_has_24_cells(wide, margin):
    found = planes.grid([(0.0, 0.0), (wide, 0.0), (0.2 * wide, 0.8 * wide)], None, margin)
    us, vs = (sorted({place[axis] for place in found}) for axis in range(2))
    # one more where a margin is no multiple of the spacing
    assert 24 <= len(us) - 1 <= 25
    assert (us[0], us[-1]) == pytest.approx(
        (-margin * wide, (1 + margin) * wide), abs=wide * (1 + 2 * margin) / 24
    )
    assert len(vs) < len(us)


def test_a_survey_measures_every_cell_and_the_three_nets_themselves():
    nets = drawn(0), drawn(1), drawn(2)
    measure = bowl(drawn(3))
    found = planes.survey(measure, nets, spacing=1.5, margin=0.1)
    assert [marker.loss for marker in found.markers] == [measure(net)["loss"] for net in nets]
    assert [marker.accuracy for marker in found.markers] == [measure(net)["accuracy"] for net in nets]
    plane = planes.plane_through(*nets)
    for cell in found.cells:
        assert cell.loss == pytest.approx(measure(plane.point((cell.u, cell.v)))["loss"])
    places = [(marker.u, marker.v) for marker in found.markers]
    assert [(cell.u, cell.v) for cell in found.cells] == planes.grid(places, 1.5, 0.1)
    at_origin = next(cell for cell in found.cells if (cell.u, cell.v) == (0, 0))
    assert at_origin.loss == pytest.approx(found.markers[0].loss)


def test_transferred_points_of_two_permutations_are_as_far_apart_as_their_displacements():
    spec = PermutationSpec({"weight": (Axis("out"), Axis("in")), "bias": (Axis("out"),)})
    sizes = {"out": 4, "in": 3}
    orders = [identity(sizes), *(draw_permutation(sizes, rng.generator(s, "order")) for s in range(3))]
    source0, source_t, target0 = drawn(0), drawn(1), drawn(2)
    displacement = vectors.difference(source_t, source0)
    points = [flat(target0) + flat(permute(spec, order, displacement)) for order in orders]
    found = distances(spec, orders, displacement)
    torch.testing.assert_close(
        found, torch.cdist(torch.stack(points), torch.stack(points)), atol=1e-7, rtol=1e-7
    )
    assert found[0, 1] > 0
    assert torch.equal(
        distances(spec, [orders[1], orders[1]], displacement), torch.zeros(2, 2, dtype=torch.float64)
    )
