"""Everything visual, in one place: sizes, type, colours, markers, and how a figure becomes two files.

A figure module decorates its drawing function with `house_style()`, takes its axes from `new_figure` and its
looks from `METHODS` or `series`, and returns the `Figure`; it computes nothing. Accuracies stay fractions
until they reach an axis.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import matplotlib
from jaxtyping import Integer, Real
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter
from numpy import linspace, ndarray

from carryover.io.files import replacing

COLUMN, PAGE = 3.25, 6.75
"""Widths of a figure in inches: one column of a paper, and both."""

TEXT, SMALL = 8, 6
"""Sizes of type in points: everything, and notes."""

_RC: dict[Any, Any] = {
    "axes.labelsize": TEXT,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": TEXT,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",  # it comes with matplotlib: the same letters on every machine
    "font.size": TEXT,
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.4,
    "legend.fontsize": SMALL + 1,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "lines.linewidth": 1.2,
    "lines.markeredgewidth": 0.8,
    "lines.markersize": 4,
    "mathtext.fontset": "dejavusans",
    "pdf.fonttype": 42,  # letters stay text: searchable, and accepted by journals
    "svg.hashsalt": "carryover",
    "xtick.labelsize": SMALL + 1,
    "xtick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.labelsize": SMALL + 1,
    "ytick.major.width": 0.6,
    "ytick.minor.width": 0.4,
}


@dataclass(frozen=True)
class Look:
    """How one method, or one series of anything else, appears everywhere."""

    label: str
    color: str
    marker: str
    line: str = "-"

    def drawn(self) -> dict[str, Any]:
        """Give the keywords that make `Axes.plot` draw it so: a line with markers, named in the legend."""
        return {"color": self.color, "marker": self.marker, "linestyle": self.line, "label": self.label}


ITERAND: dict[str, Look] = {
    "dense": Look("weight training", "#000000", "o"),
    "popup-ku": Look("edge-popup (KU)", "#56B4E9", "s"),
    "popup-sc": Look("edge-popup (SC)", "#0072B2", "D", "--"),
    "iterand-ku": Look("IteRand (KU)", "#E69F00", "^"),
    "iterand-sc": Look("IteRand (SC)", "#D55E00", "v", "--"),
}
TRANSFER: dict[str, Look] = {
    "source": Look("source", "#000000", "o", ":"),
    "target": Look("target", "#000000", "s"),
    "standard": Look("standard training", "#737373", "P", "--"),
    "standard-gmt": Look("standard training, GMT's budget", "#737373", "X", ":"),
    "naive": Look("naive", "#56B4E9", "s"),
    "random": Look("random", "#0072B2", "D", "--"),
    "weights": Look("weight matching", "#CC79A7", "p", "-."),
    "signs": Look("gradient signs", "#CC79A7", "h", ":"),
    "oracle": Look("oracle", "#009E73", "o"),
    "gmt": Look("GMT", "#E69F00", "^"),
    "fgmt": Look("FGMT", "#D55E00", "v"),
}
METHODS = {**ITERAND, **TRANSFER}
"""The methods of all papers, in the colours of Okabe and Ito; in one paper no two look alike."""

_SERIES = (
    ("#009E73", "o", "-"),
    ("#CC79A7", "s", "--"),
    ("#737373", "D", ":"),
    ("#009E73", "^", "-."),
    ("#CC79A7", "v", "-"),
    ("#737373", "P", "--"),
)

_VARIANTS = "^v<>Pdsp"


def series(index: int, label: str) -> Look:
    """Give a look to a series that is no method (a precision, a size), in a colour that no method has."""
    return Look(label, *_SERIES[index])


def look_of(arm: str) -> Look:
    """Give an arm its look; one that METHODS does not have gets that of a series, always the same."""
    return METHODS[arm] if arm in METHODS else series(crc32(arm.encode()) % len(_SERIES), arm)


def in_order(arms: Iterable[str]) -> list[str]:
    """Order arms as METHODS has them, others behind them by name; each once."""
    known = list(METHODS)
    return sorted(set(arms), key=lambda arm: (known.index(arm) if arm in known else len(known), arm))


def shades(look: Look, labels: Sequence[str]) -> list[Look]:
    """Give looks to variants of one method that are in an order, from light to dark; its colour stays known."""
    steps = linspace(-0.55, 0.45, len(labels)) if len(labels) > 1 else [0.0]
    return [
        Look(label, _mixed(look.color, step), _VARIANTS[index % len(_VARIANTS)], look.line)
        for index, (label, step) in enumerate(zip(labels, steps, strict=True))
    ]


def _mixed(color: str, step: float) -> str:
    """Lighten a colour by mixing it with white (`step` below 0), or darken it with black (above 0)."""
    aim = 1.0 if step < 0 else 0.0
    red, green, blue = ((1 - abs(step)) * part + abs(step) * aim for part in to_rgb(color))
    return to_hex((red, green, blue))


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house style inside; also a decorator.

    Settings that the user or a `matplotlibrc` made do not count inside, and are back afterwards.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


@house_style()
def new_figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """Make a figure of a size in inches and its panels, row by row; `width` is `COLUMN` or `PAGE`."""
    assert width in (COLUMN, PAGE), f"a figure is {COLUMN} or {PAGE} inches wide: {width}"
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def line_with_band(
    axis: Axes,
    x: Real[ndarray, " points"],
    mean: Real[ndarray, " points"],
    sd: Real[ndarray, " points"],
    look: Look,
    markers: int | list[int] | None = None,
) -> None:
    """Draw a mean as a line with markers, and one standard deviation to both sides as a band.

    Where `sd` is nan (a single seed) there is no band. `markers` says at which points there are markers, as
    matplotlib's `markevery` does; fewer markers make the band lighter too.
    """
    axis.plot(x, mean, **look.drawn(), markevery=markers)
    alpha = 0.18 if markers is None else 0.1
    axis.fill_between(x, mean - sd, mean + sd, color=look.color, alpha=alpha, linewidth=0)


def points_with_bars(
    axis: Axes,
    x: Real[ndarray, " points"],
    mean: Real[ndarray, " points"],
    sd: Real[ndarray, " points"],
    look: Look,
) -> None:
    """Draw means as markers with error bars and no line: for categories, and where a band would mislead."""
    axis.errorbar(
        x,
        mean,
        yerr=sd,
        color=look.color,
        fmt=look.marker,
        capsize=2,
        elinewidth=0.8,
        label=look.label,
        zorder=3,
    )


def mark_fewer(
    axis: Axes,
    x: Real[ndarray, " points"],
    mean: Real[ndarray, " points"],
    num_seeds: Integer[ndarray, " points"],
    most: int,
) -> None:
    """Write n beside every point that has fewer seeds than `most`; a point without seeds is not there."""
    for place, height, number in zip(x, mean, num_seeds, strict=True):
        if 0 < number < most:
            text = f"n = {number}"
            axis.annotate(text, (place, height), (3, -8), textcoords="offset points", fontsize=SMALL)


def published_marker(axis: Axes, x: float, y: float, look: Look) -> None:
    """Draw a number that a paper printed, as an open marker: only where its setting and its data are ours."""
    axis.plot(
        [x],
        [y],
        color=look.color,
        marker=look.marker,
        linestyle="none",
        markerfacecolor="white",
        markersize=6,
        label=f"{look.label}, published",
    )


@house_style()
def legend_above(figure: Figure, columns: int) -> None:
    """Name every method of a figure once, in the order of METHODS, above all panels.

    A method that is a mere level in one panel is shown with the marker that it has in others.
    """
    known: dict[str, Any] = {}
    for axis in figure.axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            if label not in known or getattr(known[label], "get_marker", str)() == "None":
                known[label] = handle
    order = [look.label for look in METHODS.values()]
    labels = sorted(known, key=lambda label: order.index(label) if label in order else len(order))
    handles = [known[label] for label in labels]
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, columnspacing=1.2)


def percent_axis(axis: Axes, quantity: str) -> None:
    """Count the vertical axis in percent, labelled `quantity (%)` unless that is empty; the data are fractions."""
    axis.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{100 * value:.5g}".replace("-", "\N{MINUS SIGN}"))
    )
    axis.set_ylabel(f"{quantity} (%)" if quantity else "")


@house_style()
def note(figure: Figure, text: str) -> None:
    """Write remarks below all panels in small type: n, what a bar is, where a number comes from.

    The layout keeps room for them, so that they never meet a panel. A figure has one note.
    """
    lines, room = [""], 0.96 * figure.get_figwidth() * 72  # points
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if _points(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=SMALL, color="#404040", linespacing=1.3)


def _points(line: str) -> float:
    return float(text_to_path.get_text_width_height_descent(line, FontProperties(size=SMALL), False)[0])


def empty_panel(axis: Axes, text: str) -> None:
    """Say in an otherwise empty panel why there is nothing to see."""
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)
    wrapped = "\n".join(textwrap.wrap(text, 36))
    axis.text(0.5, 0.5, wrapped, ha="center", va="center", color="#737373", transform=axis.transAxes)


@house_style()
def save_figure(figure: Figure, pdf: Path, png: Path) -> None:
    """Write a figure as PDF and PNG (300 dpi); equal figures give equal bytes, today and tomorrow.

    For that, neither file says when or by which version it was made.
    """
    with replacing(pdf) as temporary:
        unsigned = {"CreationDate": None, "Creator": None, "Producer": None}
        figure.savefig(temporary, format="pdf", metadata=unsigned)
    with replacing(png) as temporary:
        figure.savefig(temporary, format="png", dpi=300, metadata={"Software": None})
