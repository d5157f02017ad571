"""Diagnostics of a search: how masks turn over, which weights are never kept, how old the kept ones are."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from carryover.core.block import Tensors
from carryover.core.journal import Journal


def fraction(marks: dict[str, Bool[Tensor, "block *shape"]]) -> list[float]:
    """Measure the fraction of all weights that are marked, for each net of a block."""
    counts = torch.stack([m.flatten(1).sum(-1) for m in marks.values()]).sum(0)
    return (counts.double() / sum(m[0].numel() for m in marks.values())).tolist()


class Diagnostics:
    """Watches the masks of a search at every step and records every `every` steps; 0 watches nothing.

    `turnover`: fraction of all weights whose mask differs from the one recorded last time. `never_kept`:
    fraction that no mask of the training so far has kept ("dying edges").
    """

    def __init__(self, scores: dict[str, Float[Tensor, "block *shape"]], every: int):
        self.every = every
        like = {n: torch.zeros_like(s, dtype=torch.bool, requires_grad=False) for n, s in scores.items()}
        self._ever_kept: Tensors = like if every else {}
        self._previous: Tensors = {n: t.clone() for n, t in self._ever_kept.items()}

    def state(self) -> Tensors:
        """Name the tensors to save with the training."""
        return {
            **{f"ever_kept/{n}": t for n, t in self._ever_kept.items()},
            **{f"previous_mask/{n}": t for n, t in self._previous.items()},
        }

    def observe(self, step: int, masks: dict[str, Float[Tensor, "block *shape"]], journal: Journal) -> None:
        """Take in the masks that step `step` (0-based) has used; record when it is time."""
        if not self.every:
            return
        for name, mask in masks.items():
            self._ever_kept[name].logical_or_(mask)
        if (step + 1) % self.every:
            return
        now = {n: m.bool() for n, m in masks.items()}
        if step + 1 > self.every:
            changed = {n: m ^ self._previous[n] for n, m in now.items()}
            journal.note(step + 1, "turnover", fraction(changed))
        journal.note(step + 1, "never_kept", fraction({n: ~k for n, k in self._ever_kept.items()}))
        for name, mask in now.items():
            self._previous[name].copy_(mask)


def record_ages(
    redrawn: dict[str, Int[Tensor, "block *shape"]],
    masks: dict[str, Float[Tensor, "block *shape"]],
    event_steps: Sequence[int],
    journal: Journal,
) -> None:
    """Record, for each redraw event, the fraction of finally kept weights that it drew last (`last_redraw`).

    `event_steps[e]` is the step of event e; event 0 is the initial draw, at step 0.
    """
    kept = torch.stack([m.flatten(1).sum(-1) for m in masks.values()]).sum(0).double()
    for event, step in enumerate(event_steps):
        drawn = {n: (index == event) & masks[n].bool() for n, index in redrawn.items()}
        counts = torch.stack([d.flatten(1).sum(-1) for d in drawn.values()]).sum(0)
        journal.note(step, "last_redraw", (counts.double() / kept).tolist())
