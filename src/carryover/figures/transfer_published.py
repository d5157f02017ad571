"""Published curves of learning transfer in the tables of figures: on axes of ours, or in panels of their own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan, sqrt

from scipy.special import stdtrit

from carryover.io.recipes import Recipe
from carryover.published.learning_transfer import NUM_PAIRS, PAPER, Curve, Panel, panel

LEVEL = 0.95
"""Confidence level of intervals."""
ALONG = {"step": "step of the trajectory, t", "epoch": "epoch", "iteration": "optimizer step"}
"""What we call that along which a published curve goes."""

Row = dict[str, object]


@dataclass(frozen=True)
class Shown:
    """A panel of ours that a published curve may be drawn in."""

    recipe: Recipe
    split: str
    cells: Mapping[str, object]
    """Cells of the rows of that panel."""


def published_rows(keys: Sequence[str], ours: Sequence[Shown]) -> Iterator[Row]:
    """Yield rows of published panels: `agreeing` in a panel of ours, `reference` in one of their own.

    A curve is drawn on axes of ours only where every setting that is stored with it is that of our run, and both are
    of validation images.
    """
    for found in (each for key in keys for each in panel(key)):
        for curve in found.curves:
            homes = [shown for shown in ours if agrees(curve, shown)]
            for shown in homes:
                yield from _points(found, curve, {**shown.cells, "part": "agreeing"})
            if not homes:
                yield from _points(found, curve, _reference(found))
        if not any(agrees(curve, shown) for curve in found.curves for shown in ours):
            yield from _levels(found)


def agrees(curve: Curve, shown: Shown) -> bool:
    """Tell whether a run of ours has every setting behind a published curve; one without any agrees with none."""
    same = all(shown.recipe.get(key) == value for key, value in curve.settings.items())
    return bool(curve.settings) and same and shown.split in ("val", "none")


def _reference(found: Panel) -> Row:
    return {
        "panel": found.key,
        "title": f"published: {PAPER}, {found.figure}",
        "subtitle": f"{found.shown}, {spread_of(found)}",
        "part": "reference",
        "along": ALONG[found.along],
    }


def spread_of(found: Panel) -> str:
    """Say how many pairs are behind a published panel."""
    known = all(curve.sd is not None for curve in found.curves)
    return f"n = {NUM_PAIRS} pairs" if known else "n and spread not known"


def _points(found: Panel, curve: Curve, cells: Mapping[str, object]) -> Iterator[Row]:
    spread = curve.sd or (nan,) * len(curve.mean)
    for x, mean, sd in zip(found.place, curve.mean, spread, strict=True):
        yield {
            **cells,
            "quantity": found.quantity,
            "split": "none" if found.quantity == "cosine" else "val",
            "method": curve.method,
            "label": curve.name,
            "x": x,
            "mean": mean,
            "sd": sd,
            "n": None if curve.sd is None else NUM_PAIRS,
        }


def _levels(found: Panel) -> Iterator[Row]:
    for level in found.levels:
        yield {
            **_reference(found),
            "part": "reference level",
            "quantity": found.quantity,
            "split": "val",
            "method": "standard",
            "label": "standard training",
            "x": float(level.epoch),
            "mean": level.accuracy,
        }


@dataclass(frozen=True)
class Sample:
    """Mean, sample standard deviation and number of independent values."""

    mean: float
    sd: float
    n: int


def welch(ours: Sample, theirs: Sample) -> tuple[float, float, float]:
    """Give the difference of two means, ours minus theirs, and its 95 % interval.

    Welch's: standard error e = sqrt(s1^2 / n1 + s2^2 / n2), and Student's t with e^4 / (sum of (s^2 / n)^2 / (n - 1))
    degrees of freedom. Without a spread on either side there is no interval: nan.
    """
    difference = ours.mean - theirs.mean
    parts = [(sample.sd**2 / sample.n, sample.n - 1) for sample in (ours, theirs) if sample.n > 1]
    total = sum(part for part, _ in parts)
    if len(parts) < 2 or not total > 0:
        return difference, nan, nan
    freedom = total**2 / sum(part**2 / df for part, df in parts)
    half = float(stdtrit(freedom, 0.5 + LEVEL / 2)) * sqrt(total)
    return difference, difference - half, difference + half
