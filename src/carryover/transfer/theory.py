"""The theorem of learning transfer: permuted expected gradients of two wide random nets are alike.

A net is f(x) = sum_i v_i relu(w_i . x) with squared loss / 2; its gradients are taken over fixed samples in fp64.

Source: learning transfer, section 5 (Theorem 3.1).
Departs: the proof takes the output of a net at its start as zero. Its variance does not fall with the width here
(v is drawn from U[-1, 1] / sqrt(N)), and the outputs of two nets have nothing in common: with them the distance ends
on a plateau, which the labels `without output` leave out as the proof does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from carryover.core import rng
from carryover.transfer.theory_settings import TransferTheorySettings

Row = dict[str, object]
Matrix = Float[np.ndarray, "units columns"]

LABELS = ("dependent", "independent", "without output")
"""y of the specification's run; y of zero mean that x says nothing of, which breaks the theorem's assumption on labels;
and y of the specification with the output of the net counted as zero, as the proof does."""

_SAMPLES_AT_ONCE = 500  # they stay in the cache


def numpy_stream(seed: int, *path: str | int) -> np.random.Generator:
    """Make the numpy generator of a named stream of the simulation."""
    return np.random.default_rng(rng.stream_key(seed, "transfer theory", *path))


@dataclass(frozen=True)
class Samples:
    """Examples: x uniform on [-1, 1]^d, with both kinds of labels."""

    x: Float[np.ndarray, "samples inputs"]
    dependent: Float[np.ndarray, " samples"]
    """y = 1 + sin(3 x_1) / 2 + 0.3 x_2."""
    independent: Float[np.ndarray, " samples"]
    """y uniform on [-1, 1]."""


def draw_samples(num_samples: int, num_inputs: int, draw: np.random.Generator) -> Samples:
    """Draw examples of at least two inputs.

    Source: learning transfer, section 5 (what to simulate).
    """
    x = draw.uniform(-1, 1, (num_samples, num_inputs))
    dependent = 1 + np.sin(3 * x[:, 0]) / 2 + 0.3 * x[:, 1]
    return Samples(x, dependent, draw.uniform(-1, 1, num_samples))


@dataclass(frozen=True)
class TwoLayers:
    """A net of two layers without biases: f(x) = sum_i v_i relu(w_i . x)."""

    w: Float[np.ndarray, "units inputs"]
    v: Float[np.ndarray, " units"]

    @property
    def scaled(self) -> Matrix:
        """Place each unit in the cube [-1, 1]^(d+1), uniformly: (sqrt(d) w_i, sqrt(N) v_i)."""
        num_units, num_inputs = self.w.shape
        return np.column_stack([sqrt(num_inputs) * self.w, sqrt(num_units) * self.v])


def draw_net(num_inputs: int, num_units: int, draw: np.random.Generator) -> TwoLayers:
    """Draw a start: w from U[-1, 1] / sqrt(d), v from U[-1, 1] / sqrt(N).

    Source: learning transfer, section 5 (Theorem 3.1).
    """
    w = draw.uniform(-1, 1, (num_units, num_inputs)) / sqrt(num_inputs)
    return TwoLayers(w, draw.uniform(-1, 1, num_units) / sqrt(num_units))


def expected_gradients(net: TwoLayers, samples: Samples) -> Mapping[str, Matrix]:
    """Give the gradient of the loss for each kind of `LABELS`: row i is (dL/dw_i, dL/dv_i).

    With C(w) = E[(f(x) - y) x 1{w.x > 0}] it is dL/dw_i = v_i C(w_i) and dL/dv_i = w_i . C(w_i).
    Source: learning transfer, section 5 (proof idea), there with f(x) = 0.
    """
    total = np.zeros((len(net.v), len(LABELS), net.w.shape[1]))
    for first in range(0, len(samples.x), _SAMPLES_AT_ONCE):
        part = slice(first, first + _SAMPLES_AT_ONCE)
        x, y = samples.x[part], samples.dependent[part]
        before = x @ net.w.T
        output = np.maximum(before, 0) @ net.v
        residuals = np.column_stack([output - y, output - samples.independent[part], -y])
        weighted = residuals[:, :, None] * x[:, None, :]
        total += ((before > 0).T.astype(float) @ weighted.reshape(len(x), -1)).reshape(total.shape)
    c = total / len(samples.x)
    return {
        labels: np.column_stack([net.v[:, None] * c[:, number], (net.w * c[:, number]).sum(1)])
        for number, labels in enumerate(LABELS)
    }


def nearest(first: Matrix, second: Matrix) -> Int[np.ndarray, " units"]:
    """Pair rows so that the squared distances add up to the least; row i of `first` gets `second[p[i]]`.

    The norms of the rows change nothing: it is the pairing of the greatest inner product too.
    """
    return linear_sum_assignment(cdist(first, second, "sqeuclidean"))[1].astype(np.int64)


def distance(first: Matrix, second: Matrix) -> float:
    """Measure the normalised distance ||a - b|| / sqrt(||a|| ||b||).

    Source: learning transfer, section 5 (Theorem 3.1).
    """
    norms = np.linalg.norm(first) * np.linalg.norm(second)
    return float(np.linalg.norm(first - second) / np.sqrt(norms))


def cosine(first: Matrix, second: Matrix) -> float:
    """Measure the cosine of the angle between two gradients."""
    return float((first * second).sum() / (np.linalg.norm(first) * np.linalg.norm(second)))


def predicted_slope(num_inputs: int) -> float:
    """Give the exponent of N in the distance after pairing (a): nearest pairs of N points in d + 1 dimensions.

    Source: learning transfer, section 5 (rate to expect).
    """
    return -1 / (num_inputs + 1)


def theory_rows(settings: TransferTheorySettings) -> list[Row]:
    """Tabulate distance and cosine of two nets' gradients after each pairing of their units.

    `pairing` is `identity`; `parameters`, the proof's (a), of nearest scaled parameters; or `gradients`, (b), of
    nearest gradient rows, as GMT does. `slope` is the exponent of the width that is predicted of (a), and only of it,
    under the theorem's assumptions.

    Source: learning transfer, section 5 (what to simulate).
    """
    rows: list[Row] = []
    for num_inputs in settings.inputs:
        samples = draw_samples(
            settings.samples, num_inputs, numpy_stream(settings.seed, "samples", num_inputs)
        )
        for width in settings.widths:
            for seed in range(settings.seeds):
                draw = numpy_stream(settings.seed, "nets", num_inputs, width, seed)
                nets = [draw_net(num_inputs, width, draw) for _ in range(2)]
                shared: Row = {"inputs": num_inputs, "width": width, "seed": seed}
                rows += [{**row, **shared} for row in _pair_rows(nets[0], nets[1], samples)]
    return [{name: row[name] for name in _COLUMNS} for row in rows]


_COLUMNS = ("labels", "inputs", "width", "pairing", "seed", "distance", "cosine", "slope")


def _pair_rows(first: TwoLayers, second: TwoLayers, samples: Samples) -> list[Row]:
    ones, others = expected_gradients(first, samples), expected_gradients(second, samples)
    by_parameters = nearest(first.scaled, second.scaled)
    rows: list[Row] = []
    for labels in LABELS:
        one, other = ones[labels], others[labels]
        for pairing, paired in (
            ("identity", other),
            ("parameters", other[by_parameters]),
            ("gradients", other[nearest(one, other)]),
        ):
            rows.append(
                {
                    "labels": labels,
                    "pairing": pairing,
                    "distance": distance(one, paired),
                    "cosine": cosine(one, paired),
                    "slope": predicted_slope(first.w.shape[1]) if pairing == "parameters" else None,
                }
            )
    return rows
