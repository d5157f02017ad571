"""What a study says about a figure of learning transfer. Light: the Snakefile reads this without pandas."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from carryover.core.config import Settings

Draw = Literal[
    "cosines", "ablation", "curves", "continuation", "landscape", "plane", "inheritance", "ensembles", "steps",
    "widths", "cost", "synced",
]  # fmt: skip
Kind = Literal["trainings", "transfers", "continuations", "cosines", "synced", "landscapes", "ensembles"]
Published = Literal[
    "fig3a", "fig3b", "fig3c", "fig4", "fig5a", "fig5b", "fig5c", "fig5d", "fig5e", "fig5f", "fig6a", "fig6b",
    "fig6c", "fig6d", "fig7a", "fig7b", "fig7c", "fig8a", "fig8b", "fig9a", "fig9b", "fig9c", "fig9d", "fig9e",
    "fig9f", "table3",
]  # fmt: skip
"""Panels of the paper whose numbers are known."""

SHOWS: dict[Draw, Kind] = {
    "cosines": "cosines",
    "ablation": "transfers",
    "curves": "transfers",
    "continuation": "continuations",
    "landscape": "landscapes",
    "plane": "landscapes",
    "inheritance": "continuations",
    "ensembles": "ensembles",
    "steps": "transfers",
    "widths": "transfers",
    "cost": "transfers",
    "synced": "synced",
}
"""Kind of run that a drawing is about."""
PRINTED: dict[Draw, tuple[str, ...]] = {
    "cosines": ("fig3",),
    "ablation": ("fig4",),
    "curves": ("fig5", "fig9"),
    "continuation": ("fig6",),
    "plane": ("fig7",),
    "inheritance": ("fig8",),
    "ensembles": ("table3",),
}
"""Figures of the paper that a drawing can show beside ours."""
AT_A_STEP: tuple[Draw, ...] = ("ensembles", "steps", "widths", "cost")
"""Drawings of results, not of courses."""

Names = list[Annotated[str, Field(min_length=1)]]


class TransferFigureSettings(Settings):
    """One figure of learning transfer."""

    draw: Draw
    """Which drawing: see docs/methods/learning_transfer.md."""
    trainings: Names = []
    """Trainings that it shows beside those that its other runs start from."""
    transfers: Names = []
    """Transfers that it shows."""
    continuations: Names = []
    """Trainings after transfer that it shows."""
    cosines: Names = []
    """Measurements of Assumption (P) that it shows."""
    synced: Names = []
    """Trainings side by side that it shows."""
    landscapes: Names = []
    """Lines and planes between solutions that it shows."""
    ensembles: Names = []
    """Ensembles that it shows."""
    split: Literal["val", "test"] | None = None
    """Split whose accuracy is shown; none is validation along trajectories and trainings, as in the paper, and test
    for results: at the last step, or at the one that validation selected."""
    methods: Names = []
    """Methods that it shows, in this order; none shows all that its runs have."""
    epochs: list[Annotated[int, Field(ge=1)]] = []
    """Epochs of ordinary training whose accuracy is a level line (`curves` only); none is the first, a quarter and
    all of them."""
    published: list[Published] = []
    """Panels of the paper to show: as open markers where data set and setting of a run agree, else beside ours."""

    @model_validator(mode="after")
    def _names_what_it_draws(self) -> "TransferFigureSettings":
        if not getattr(self, SHOWS[self.draw]):
            raise ValueError(f"`draw: {self.draw}` needs the names of runs in `{SHOWS[self.draw]}`")
        if self.epochs and self.draw != "curves":
            raise ValueError(f"`draw: {self.draw}` has no level lines: leave `epochs` to `draw: curves`")
        for key in self.published:
            if not key.startswith(PRINTED.get(self.draw, ())):
                raise ValueError(f"`draw: {self.draw}` cannot show {key}: it is another kind of figure")
        return self

    @property
    def shown_split(self) -> Literal["val", "test"]:
        """Split whose accuracy is shown."""
        return self.split or ("test" if self.draw in AT_A_STEP else "val")


class TransferFigureSpec(TransferFigureSettings):
    """The text that a figure's rule passes: the settings of the figure; its results say the rest."""
