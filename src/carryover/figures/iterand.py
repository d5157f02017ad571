"""Every drawing of IteRand's figures by the name that a study gives it: first a table, then a figure of it."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure
from pandas import DataFrame

from carryover.figures import (
    iterand_diagnostics,
    iterand_imagenet,
    iterand_parameters,
    iterand_rate,
    iterand_sweeps,
    iterand_width,
)
from carryover.figures.settings import FigureSpec


@dataclass(frozen=True)
class Drawing:
    """How one kind of figure is made."""

    tabulate: Callable[[DataFrame, FigureSpec], DataFrame]
    """From results (`io.results.read_results`) to the table that is saved beside the figure."""
    draw: Callable[[DataFrame], Figure]
    """From that table, and nothing else, to the figure."""


DRAWINGS: dict[str, Drawing] = {
    "rate": Drawing(iterand_rate.tabulate_rate, iterand_rate.draw_rate),
    "curves": Drawing(iterand_rate.tabulate_curves, iterand_rate.draw_curves),
    "width": Drawing(iterand_width.tabulate_width, iterand_width.draw_width),
    "imagenet": Drawing(iterand_imagenet.tabulate_imagenet, iterand_imagenet.draw_imagenet),
    "sweeps": Drawing(iterand_sweeps.tabulate_sweeps, iterand_sweeps.draw_sweeps),
    "diagnostics": Drawing(iterand_diagnostics.tabulate_diagnostics, iterand_diagnostics.draw_diagnostics),
    "parameters": Drawing(iterand_parameters.tabulate_parameters, iterand_parameters.draw_parameters),
}
