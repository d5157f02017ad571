"""The board of claims: what a paper's claims say, what was measured, and the verdict on each."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from pandas import DataFrame

from carryover.figures import style

_LINE = 0.125  # inches of a line of text
_GAP = 0.7  # lines between two claims
_PLAIN, _FAINT = "#404040", "#737373"
_TICKS = (-0.5, -0.2, -0.1, -0.05, -0.02, 0.0, 0.02, 0.05, 0.1, 0.2, 0.5)
_DRAWN = ["effect", "low", "high", "margin_low", "margin_high"]
_APART = 14  # dots between two ticks, before the layout
_LINEAR = 0.02  # differences beyond this are drawn closer and closer together
_PAIRED = {"learning transfer": "pair of source and target", "Meta-ticket": "seed and task"}
"""What differences of a paper's claims are paired by; by seed where a paper is not here."""
_KNOWN = {
    "IteRand": "(replica): an ordering that small-scale replicas showed; of IteRand's own results, only what the "
    "abstract says was available.",
    "learning transfer": "(replica): an ordering that a small-scale replica showed; (own): a question of this project; "
    "all others are claims of the paper.",
    "Meta-ticket": "(replica): an ordering that a small replica showed; (own): a question of this project; of the "
    "paper's results only the abstract was available. n: seeds; tasks and both spreads: claims.csv.",
}
"""Where a paper's claims come from."""


@dataclass(frozen=True)
class _Mark:
    """How a verdict appears: by colour, by symbol and, in the last column, in words."""

    color: str
    symbol: str
    marker: str
    face: str


_MARKS = {
    "holds": _Mark("#009E73", "\N{CHECK MARK}", "o", "#009E73"),
    "does not hold": _Mark("#D55E00", "\N{BALLOT X}", "x", "#D55E00"),
    "undecided": _Mark("#737373", "?", "o", "white"),
    "not tested": _Mark("#737373", "\N{EN DASH}", "", "white"),
}


@dataclass(frozen=True)
class _Row:
    """One claim on the board, with its place: lines of text from the top."""

    claim: DataFrame
    parts: DataFrame
    statement: list[str]
    numbers: list[str]
    top: float
    bottom: float


@style.house_style()
def draw(table: DataFrame) -> Figure:
    """Draw a table of claims: a row for each, with every part's effect, interval and margin."""
    rows = list(_rows(table))
    lines = rows[-1].bottom
    figure, axes = style.new_figure(style.PAGE, 1.0 + _LINE * lines, 1, 3)
    for axis, title in zip(
        axes, ("claim", "measured: mean difference and 95% interval", "verdict"), strict=True
    ):
        axis.set_ylim(lines, -0.2)
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
        axis.set_title(title, color=_FAINT, fontsize=style.SMALL + 1)
    grid = axes[0].get_gridspec()
    assert grid is not None
    grid.set_width_ratios([2.75, 2.5, 1.05])
    for axis in (axes[0], axes[2]):
        axis.set_xlim(0, 1)
        axis.set_xticks([])
        axis.spines["bottom"].set_visible(False)
    _scale(axes[1], table)
    for row in rows:
        _statement(axes[0], row)
        _measurements(axes[1], row)
        _verdict(axes[2], row)
        for axis in axes:
            axis.axhline(row.bottom - _GAP / 2, color="#d9d9d9", linewidth=0.4)
    style.note(figure, _remarks(table))
    return figure


def _rows(table: DataFrame) -> Iterator[_Row]:
    top = 0.0
    for _, rows in table.groupby("claim", sort=False):
        claim, parts = rows[rows["part"] == 0], rows[rows["part"] > 0]
        statement = textwrap.wrap(str(claim["statement"].iloc[0]), 52)
        numbers = list(_numbers(claim, parts))
        bottom = top + max(len(statement) + 1.0, len(numbers) + 1.2, 0.42 * len(parts)) + _GAP
        yield _Row(claim, parts, statement, numbers, top, bottom)
        top = bottom


def _scale(axis: Axes, table: DataFrame) -> None:
    """Lay out an axis that shows a difference of one point as well as one of thirty."""
    bounds = table[["low", "high", "effect"]].to_numpy(float)
    known = bounds[np.isfinite(bounds)]
    low, high = min(-0.05, known.min(initial=0.0)), max(0.05, known.max(initial=0.0))
    axis.set_xscale("asinh", linear_width=_LINEAR)
    axis.set_xlim(low * 1.25, high * 1.25)
    axis.xaxis.set_major_locator(FixedLocator(_spread(axis)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(lambda value, _: _signed(f"{100 * value:+.0f}") if value else "0")
    others = sorted({_unit(unit) for unit in table["unit"] if not _is_accuracy(unit)})
    axis.set_xlabel(
        f"percentage points of accuracy; hundredths of {' or '.join(others)}"
        if others
        else "difference of accuracy (percentage points)"
    )


def _spread(axis: Axes) -> list[float]:
    """Choose the ticks that are far enough from one another, from 0 outwards."""
    place = axis.get_xaxis_transform().transform
    chosen = [0.0]
    for tick in sorted(_TICKS, key=abs):
        near = min(abs(place((tick, 0))[0] - place((other, 0))[0]) for other in chosen)
        if near > _APART:
            chosen.append(tick)
    return sorted(chosen)


def _is_accuracy(unit: object) -> bool:
    return str(unit).startswith("accuracy")


def _unit(unit: object) -> str:
    """Name a unit that is not accuracy: `loss, nats per example` is a loss."""
    return f"a {str(unit).partition(',')[0]}"


def _statement(axis: Axes, row: _Row) -> None:
    text = "\n".join(row.statement)
    axis.text(0, row.top, text, va="top", fontsize=style.TEXT - 1, linespacing=1.15)
    basis = str(row.claim["basis"].iloc[0])
    source = str(row.claim["where"].iloc[0]) + (f" ({basis})" if basis in ("replica", "own") else "")
    axis.text(0, row.top + len(row.statement), source, va="top", fontsize=style.SMALL, color=_FAINT)


def _measurements(axis: Axes, row: _Row) -> None:
    """Draw each part's interval, over the differences that the claim allows."""
    tested = row.parts[row.parts["n"] > 0]
    if tested.empty:
        reason = "\n".join(textwrap.wrap(str(row.claim["reason"].iloc[0]), 50)[:3])
        place = axis.get_yaxis_transform()
        axis.text(0.02, row.top, reason, va="top", fontsize=style.SMALL, color=_FAINT, transform=place)
        return
    height = (row.bottom - _GAP - row.top) / len(tested)
    axis.vlines(0, row.top, row.bottom - _GAP, color=_FAINT, linewidth=0.5, zorder=1)
    for number, (verdict, cells) in enumerate(
        zip(tested["verdict"], tested[_DRAWN].to_numpy(float), strict=True)
    ):
        _part(axis, _MARKS[verdict], cells, row.top + height * np.array([number, number + 1.0]))


def _part(axis: Axes, mark: _Mark, cells: Float[np.ndarray, "5"], edges: Float[np.ndarray, "2"]) -> None:
    effect, low, high, *margins = cells
    left, right = np.where(np.isnan(margins), axis.get_xlim(), margins)
    axis.fill_betweenx(edges, left, right, color="#e8f1ee", linewidth=0, zorder=0)
    axis.vlines(margins, *edges, color=_PLAIN, linewidth=0.9, linestyle=":", zorder=2)
    middle = edges.mean()
    axis.plot([low, high], [middle, middle], color=mark.color, linewidth=1.0)
    axis.plot(
        effect,
        middle,
        color=mark.color,
        marker=mark.marker,
        markerfacecolor=mark.face,
        markersize=3.6,
        markeredgewidth=1.2,
    )


def _verdict(axis: Axes, row: _Row) -> None:
    verdict = str(row.claim["verdict"].iloc[0])
    mark = _MARKS[verdict]
    axis.text(0, row.top, f"{mark.symbol} {verdict}", va="top", color=mark.color, fontweight="bold")
    numbers = "\n".join(row.numbers)
    axis.text(0, row.top + 1.2, numbers, va="top", fontsize=style.SMALL, color=_FAINT, linespacing=1.25)


def _numbers(claim: DataFrame, parts: DataFrame) -> Iterator[str]:
    """Say how large the effect is in the part that decides, and how many seeds and parts there are."""
    tested = parts[parts["n"] > 0]
    if tested.empty:
        return
    unit = claim["unit"].iloc[0]
    scale, digits = (100, 1) if _is_accuracy(unit) else (1, 3)
    effect, low, high = scale * claim[["effect", "low", "high"]].to_numpy(float)[0]
    between = "no interval" if np.isnan(low) else f"[{low:+.{digits}f}, {high:+.{digits}f}]"
    yield _signed(f"{effect:+.{digits}f}{',' if np.isnan(low) else ''} {between}")
    if not _is_accuracy(unit):
        yield str(unit)
    least, most = tested["n"].min(), tested["n"].max()
    seeds = f"n = {least}" if least == most else f"n = {least} to {most}"
    yield f"{seeds}, worst of {len(tested)} parts" if len(tested) > 1 else seeds
    if tested["diverged"].any():
        yield f"{tested['diverged'].max()} diverged, left out"
    if (tested["split"] == "val").any():
        yield "validation images"


def _signed(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def _remarks(table: DataFrame) -> str:
    paper = str(table["paper"].iloc[0])
    return (
        f"Point and bar: mean of the differences, paired by {_PAIRED.get(paper, 'seed')}, and its 95% interval "
        "(Student's t), for each part of a claim in the order of claims.csv; numbers: the part that is worst for the "
        "claim, in points. Shaded: what the claim says, up to its margin (dotted), which was fixed in advance. A claim "
        "holds if all its parts do, and does not if a part is contradicted (2.5%, Holm's correction). "
        f"{_KNOWN.get(paper, '')}"
    )
