"""What a study says about a figure. Light: the Snakefile reads this without pandas or matplotlib."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from carryover.core.config import Settings

Split = Literal["val", "test"]
Sweep = Literal[
    "batch_size", "epochs", "lr", "randomize_every", "randomize_prob", "rank", "scope", "score_lr", "sparsity",
    "weight_decay",
]  # fmt: skip
"""Settings that a panel of `sweeps` can have along its axis."""


class FigureSettings(Settings):
    """One figure of a paper."""

    draw: Literal["rate", "curves", "width", "sweeps", "diagnostics", "parameters", "imagenet"]
    """Which drawing: see docs/methods/iterand.md."""
    grids: Annotated[list[str], Field(min_length=1)]
    """Grids whose runs it shows."""
    x: list[Sweep] = []
    """The setting along the axis, for each grid (`sweeps` only)."""
    split: Split = "test"
    """Split whose accuracy is shown."""
    splits: list[Split] = []
    """Split for each grid, where they differ (`sweeps` only)."""

    @model_validator(mode="after")
    def _one_axis_for_each_panel(self) -> "FigureSettings":
        panels = len(self.grids) if self.draw == "sweeps" else 0
        if len(self.x) != panels:
            raise ValueError(f"`draw: {self.draw}` of {len(self.grids)} grids needs {panels} settings in `x`")
        if len(self.splits) not in (0, panels):
            raise ValueError(
                f"`draw: {self.draw}` of {len(self.grids)} grids needs {panels} `splits` or none"
            )
        return self

    @property
    def split_of_grids(self) -> list[Split]:
        """Split of each grid."""
        return self.splits or [self.split] * len(self.grids)


class FigureSpec(FigureSettings):
    """The text that a figure's rule passes: its settings and the runs of its grids."""

    runs: dict[str, list[str]]
    """Names of the runs of each grid, in the order of the study."""
