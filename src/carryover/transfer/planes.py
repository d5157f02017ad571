"""Loss and accuracy on the plane through three nets."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

from carryover.core.block import Tensors
from carryover.transfer.landscape import Measure
from carryover.transfer.vectors import difference, inner, moved, norm

CELLS_ACROSS = 24
"""Cells along the wider side of a plane whose spacing is not given."""
_COLLINEAR = 1e-5
"""Third point's distance from the line through the others, as a fraction of its distance from the first."""
_ROUNDING = 1e-9

Coordinates = tuple[float, float]


@dataclass(frozen=True)
class Plane:
    """Parameters `origin + a u + b v`; u and v are orthogonal and have norm 1, so a and b are lengths."""

    origin: Tensors
    u: Tensors
    v: Tensors

    def point(self, at: Coordinates) -> Tensors:
        """Give the parameters at a place of the plane."""
        return moved(moved(self.origin, self.u, at[0]), self.v, at[1])

    def coordinates(self, parameters: Tensors) -> Coordinates:
        """Give the place of the plane that is nearest to `parameters`, which is their own if they lie on it."""
        displacement = difference(parameters, self.origin)
        return inner(displacement, self.u), inner(displacement, self.v)


def plane_through(origin: Tensors, first: Tensors, second: Tensors) -> Plane:
    """Span the plane on which `first` lies on the positive u axis and `second` above it, by Gram-Schmidt.

    Source: learning transfer, section 3 (E3a and E3b).
    Raises ValueError when the three lie on a line.
    """
    along, across = difference(first, origin), difference(second, origin)
    length, reach = norm(along), norm(across)
    u = _scaled(along, length)
    # twice: the first pass leaves what rounding has left of u, the second takes that too
    for _ in range(2):
        across = moved(across, u, -inner(across, u))
    height = norm(across)
    if not height > _COLLINEAR * reach or not length > 0:
        raise ValueError(
            "a plane needs three nets that are not on one line: the third lies "
            f"{height:.3g} from the line through the others, of length {length:.3g}. Take other nets."
        )
    return Plane(origin, u, _scaled(across, height))


def _scaled(vector: Tensors, length: float) -> Tensors:
    return {name: tensor / length if length else tensor for name, tensor in vector.items()}


def grid(places: Sequence[Coordinates], spacing: float | None, margin: float) -> list[Coordinates]:
    """List the places of a grid around `places`, row by row (v), each row with rising u.

    Coordinates are multiples of the spacing, so that the plane's origin is one of them, and the outermost are
    the first at or beyond the margin on each side. `margin` is a fraction of the places' spread, in u or in v,
    whichever is larger; no spacing means that the wider side has 24 cells.

    Source: learning transfer, section 3 (E3b: 5 units of the norm from -20 on; E3a: 20 from -30 on).
    Departs: the margin follows the spread of the nets and is the same on all sides.
    """
    sides = [[place[axis] for place in places] for axis in range(2)]
    spread = max(max(side) - min(side) for side in sides)
    assert spread > 0, "the places differ"
    step = spacing or spread * (1 + 2 * margin) / CELLS_ACROSS
    us, vs = (_ticks(min(side) - margin * spread, max(side) + margin * spread, step) for side in sides)
    return [(u, v) for v in vs for u in us]


def _ticks(low: float, high: float, step: float) -> list[float]:
    return [
        number * step for number in range(floor(low / step + _ROUNDING), ceil(high / step - _ROUNDING) + 1)
    ]


@dataclass(frozen=True)
class Cell:
    """What was measured at one place of a plane."""

    u: float
    v: float
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Survey:
    """A plane's grid and its three nets, measured."""

    cells: list[Cell]
    """Row by row (v), each row with rising u."""
    markers: list[Cell]
    """The three nets that span the plane, in their order; the first is at (0, 0), the second at v = 0."""


def survey(
    measure: Measure, nets: tuple[Tensors, Tensors, Tensors], spacing: float | None, margin: float
) -> Survey:
    """Measure the plane through three nets on a grid.

    The paper's nets are trained target, continued FGMT and permuted source (figure 7), in its first version trained
    target, oracle and GMT.

    Source: learning transfer, section 3 (E3a and E3b).
    Raises ValueError when the three lie on a line.
    """
    plane = plane_through(*nets)
    places = [plane.coordinates(parameters) for parameters in nets]
    markers = [_cell(measure, place, parameters) for place, parameters in zip(places, nets, strict=True)]
    return Survey(
        [_cell(measure, place, plane.point(place)) for place in grid(places, spacing, margin)], markers
    )


def _cell(measure: Measure, place: Coordinates, parameters: Tensors) -> Cell:
    found = measure(parameters)
    return Cell(*place, found["accuracy"], found["loss"])
