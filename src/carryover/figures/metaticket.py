"""Every drawing of few-shot learning's figures by the name that a study gives it: a table, then a figure of it."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure
from pandas import DataFrame

from carryover.figures import (
    metaticket_changes,
    metaticket_cost,
    metaticket_curves,
    metaticket_places,
    metaticket_results,
    metaticket_steps,
    metaticket_widths,
)
from carryover.figures.metaticket_settings import Draw, FewshotFigureSettings
from carryover.io.fewshot import Results


@dataclass(frozen=True)
class Drawing:
    """How one kind of figure is made."""

    tabulate: Callable[[Results, FewshotFigureSettings], DataFrame]
    """From results (`io.fewshot.read_fewshot`) to the table that is saved beside the figure."""
    draw: Callable[[DataFrame], Figure]
    """From that table, and nothing else, to the figure."""


DRAWINGS: dict[Draw, Drawing] = {
    "results": Drawing(metaticket_results.tabulate_results, metaticket_results.draw_results),
    "widths": Drawing(metaticket_widths.tabulate_widths, metaticket_widths.draw_widths),
    "curves": Drawing(metaticket_curves.tabulate_curves, metaticket_curves.draw_curves),
    "steps": Drawing(metaticket_steps.tabulate_steps, metaticket_steps.draw_steps),
    "roles": Drawing(metaticket_places.tabulate_roles, metaticket_places.draw_roles),
    "cross": Drawing(metaticket_places.tabulate_cross, metaticket_places.draw_cross),
    "gap": Drawing(metaticket_widths.tabulate_gap, metaticket_widths.draw_gap),
    "sparsity": Drawing(metaticket_curves.tabulate_sparsity, metaticket_curves.draw_sparsity),
    "features": Drawing(metaticket_changes.tabulate_features, metaticket_changes.draw_features),
    "magnitudes": Drawing(metaticket_changes.tabulate_magnitudes, metaticket_changes.draw_magnitudes),
    "sweep": Drawing(metaticket_widths.tabulate_sweep, metaticket_widths.draw_sweep),
    "sinusoid": Drawing(metaticket_steps.tabulate_sinusoid, metaticket_steps.draw_sinusoid),
    "cost": Drawing(metaticket_cost.tabulate_cost, metaticket_cost.draw_cost),
}
