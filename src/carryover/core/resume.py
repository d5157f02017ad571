"""What a training needs to stop anywhere and go on: a protocol, so that papers know nothing of files."""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch


class OutOfTime(Exception):
    """Training stopped early with everything saved; the same command goes on from there."""


@runtime_checkable
class Resume(Protocol):
    """Keeps the state of a training; the training asks `due()` once per step and saves when told."""

    @property
    def notes(self) -> str:
        """JSON text that was saved with the restored state; `{}` in a fresh run."""

    def restore(self) -> dict[str, "torch.Tensor"] | None:
        """Return the newest valid state, on the CPU; None in a fresh run."""

    def due(self) -> bool:
        """Say whether it is time to save; cheap enough for every step."""

    def save(self, step: int, state: dict[str, "torch.Tensor"], notes: str) -> None:
        """Keep the state after `step` finished steps, with `notes` as JSON text.

        Raises OutOfTime after saving, when the time budget is over or a stop was asked for.
        """


class NoResume:
    """Keeps nothing and never asks: for tests and for use as a library."""

    notes = "{}"

    def restore(self) -> None:
        """Return None: every run is a fresh one."""

    def due(self) -> bool:
        """Return False."""
        return False

    def save(self, step: int, state: dict[str, "torch.Tensor"], notes: str) -> None:
        """Keep nothing."""
