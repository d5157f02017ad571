"""Progress of a long stage: a bar on a terminal, timed lines in a log."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Never

from tqdm import tqdm

FIRST = 10.0
"""Seconds until the first line in a log."""
EVERY = 30.0
"""Seconds between two lines in a log."""


class Progress:
    """Show how far a run of `total` steps is; a context manager.

    On a terminal this is a bar. In a log it is one line after 10 seconds, then one every 30 seconds, and
    always one at the end, however the run ended: `search 1200/35200 (3.4 %), 41 steps/s, 13 min left`.
    """

    def __init__(self, total: int, label: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._label = total, label
        self._clock = clock
        self._next_line = clock() + FIRST
        self._step = self._printed = 0
        self._postfix: dict[str, object] = {}
        self._origin: tuple[int, float] | None = None
        self._bar: tqdm[Never] | None = None

    def update(self, step: int, **postfix: object) -> None:
        """Say that `step` steps are finished; `postfix` are things to show beside them, such as a loss.

        The first call only sets the origin from which speed is measured: a training that goes on from a
        checkpoint shows the speed of this attempt.
        """
        now = self._clock()
        advance, self._step, self._postfix = step - self._step, step, postfix
        if self._origin is None:
            self._origin = (step, now)
            self._bar = self._new_bar() if sys.stderr.isatty() else None
        elif self._bar is not None and self._bar.update(advance):
            self._bar.set_postfix(postfix, refresh=False)  # at the pace at which the bar is drawn
        if self._bar is None and now >= self._next_line:
            self._next_line = now + EVERY
            self._print_line(now)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._step != self._printed:
            self._print_line(self._clock())

    def _new_bar(self) -> "tqdm[Never]":
        return tqdm(
            total=self._total,
            initial=self._step,
            desc=self._label,
            unit=" steps",
            file=sys.stderr,
            dynamic_ncols=True,
        )

    def _print_line(self, now: float) -> None:
        assert self._origin is not None, "the first update comes before the first line"
        self._printed = self._step
        parts = [f"{self._label} {self._step}/{self._total} ({100 * self._step / max(self._total, 1):.1f} %)"]
        steps, seconds = self._step - self._origin[0], now - self._origin[1]
        if steps > 0 and seconds > 0:
            speed = steps / seconds
            parts += [f"{speed:.0f} steps/s" if speed >= 10 else f"{speed:.2g} steps/s"]
            left = (self._total - self._step) / speed
            parts += [f"{_readable(left)} left" if left > 0 else f"done in {_readable(seconds)}"]
        parts += [f"{name} {_short(value)}" for name, value in self._postfix.items()]
        print(", ".join(parts), file=sys.stderr, flush=True)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _readable(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
