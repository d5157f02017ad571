"""Settings of stored episodes. Light: the Snakefile reads this without torch."""

from typing import Annotated, Literal

from pydantic import Field

from carryover.core.config import Settings

Count = Annotated[int, Field(ge=1)]


class EpisodeSettings(Settings):
    """Tasks that are drawn once and stored, so that every method and every seed meets the same ones."""

    split: Literal["train", "val", "test"]
    """Split whose classes the tasks have."""
    ways: Count
    """Classes of a task [N]."""
    shots: Count
    """Support examples of each class [k]."""
    query_shots: Count
    """Query examples of each class."""
    tasks: Count
    """Number of tasks."""

    @property
    def name(self) -> str:
        """Name of the file, such as `test-5w1s15q-1000`."""
        return f"{self.split}-{self.ways}w{self.shots}s{self.query_shots}q-{self.tasks}"
