"""Every drawing of learning transfer's figures by the name that a study gives it: a table, then a figure of it."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure
from pandas import DataFrame

from carryover.figures import (
    transfer_ablation,
    transfer_continuation,
    transfer_cosines,
    transfer_cost,
    transfer_curves,
    transfer_ensembles,
    transfer_inheritance,
    transfer_landscape,
    transfer_plane,
    transfer_sweeps,
    transfer_synced,
)
from carryover.figures.transfer_settings import TransferFigureSpec


@dataclass(frozen=True)
class Drawing:
    """How one kind of figure is made."""

    tabulate: Callable[[DataFrame, TransferFigureSpec], DataFrame]
    """From results (`io.observations.read_observations`) to the table that is saved beside the figure."""
    draw: Callable[[DataFrame], Figure]
    """From that table, and nothing else, to the figure."""


DRAWINGS: dict[str, Drawing] = {
    "cosines": Drawing(transfer_cosines.tabulate_cosines, transfer_cosines.draw_cosines),
    "ablation": Drawing(transfer_ablation.tabulate_ablation, transfer_ablation.draw_ablation),
    "curves": Drawing(transfer_curves.tabulate_curves, transfer_curves.draw_curves),
    "continuation": Drawing(
        transfer_continuation.tabulate_continuation, transfer_continuation.draw_continuation
    ),
    "inheritance": Drawing(transfer_inheritance.tabulate_inheritance, transfer_inheritance.draw_inheritance),
    "landscape": Drawing(transfer_landscape.tabulate_landscape, transfer_landscape.draw_landscape),
    "plane": Drawing(transfer_plane.tabulate_plane, transfer_plane.draw_plane),
    "ensembles": Drawing(transfer_ensembles.tabulate_ensembles, transfer_ensembles.draw_ensembles),
    "steps": Drawing(transfer_sweeps.tabulate_steps, transfer_sweeps.draw_steps),
    "widths": Drawing(transfer_sweeps.tabulate_widths, transfer_sweeps.draw_widths),
    "cost": Drawing(transfer_cost.tabulate_cost, transfer_cost.draw_cost),
    "synced": Drawing(transfer_synced.tabulate_synced, transfer_synced.draw_synced),
}
