"""What a study says about a figure of few-shot learning. Light: the Snakefile reads this without pandas."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from carryover.core.config import Settings

Draw = Literal[
    "results", "widths", "curves", "steps", "roles", "cross", "gap", "sparsity", "features", "magnitudes", "sweep",
    "sinusoid", "cost",
]  # fmt: skip
Kind = Literal["trainings", "tests", "analyses"]
SHOWS: dict[Draw, Kind] = {
    "results": "tests",
    "widths": "tests",
    "curves": "trainings",
    "steps": "tests",
    "roles": "tests",
    "cross": "tests",
    "gap": "tests",
    "sparsity": "trainings",
    "features": "analyses",
    "magnitudes": "analyses",
    "sweep": "tests",
    "sinusoid": "tests",
    "cost": "trainings",
}
"""Kind of run that a drawing is about."""
Names = list[Annotated[str, Field(min_length=1)]]


class FewshotFigureSettings(Settings):
    """One figure of few-shot learning."""

    draw: Draw
    """Which drawing: see docs/methods/meta_ticket.md."""
    trainings: Names = []
    """Trainings that it shows beside those of its tests and analyses."""
    tests: Names = []
    """Tests that it shows."""
    analyses: Names = []
    """Analyses that it shows."""
    step: Annotated[int, Field(ge=0)] | None = None
    """Number of inner steps at which a drawing of single values takes them; the largest when it is not given."""
    x: str | None = None
    """Setting along the axis (sweep only)."""
    anchors: bool = False
    """Also list published values of neighbouring papers, with their recipes (results only)."""

    @model_validator(mode="after")
    def _has_what_it_draws(self) -> "FewshotFigureSettings":
        kind = SHOWS[self.draw]
        if not getattr(self, kind):
            raise ValueError(f"draw {self.draw} shows {kind}: name at least one of them")
        if (self.draw == "sweep") != (self.x is not None):
            raise ValueError(
                "x is the setting along the axis of a sweep: give it with draw sweep, and only there"
            )
        return self
