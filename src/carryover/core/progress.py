"""Progress of a long stage: a bar on a terminal, timed lines in a log."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from tqdm import tqdm

FIRST = 10.0
"""Seconds until the first line in a log."""
EVERY = 30.0
"""Seconds between two lines in a log."""


class Progress:
    """Show how far a run of `total` steps is; a context manager.

    `start` is the number of steps that an earlier attempt has finished. On a terminal this is a bar. In a log
    it is one line after 10 seconds, then one every 30 seconds, and always one at the end, however the run
    ended: `search 1200/35200 (3.4 %), 41 steps/s, 13 min left`.
    """

    def __init__(
        self,
        total: int,
        label: str,
        *,
        start: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.label, self.start, self.step = total, label, start, start
        self._stream = stream or sys.stderr
        self._clock = clock
        self._began = clock()
        self._next_line = self._began + FIRST
        self._postfix: dict[str, float] = {}
        self._bar = None
        if self._stream.isatty():
            self._bar = tqdm(
                total=total, initial=start, desc=label, unit=" steps", file=self._stream, dynamic_ncols=True
            )

    def update(self, step: int, **postfix: float) -> None:
        """Say that `step` steps are finished; `postfix` are numbers to show beside them, such as a loss."""
        advance, self.step, self._postfix = step - self.step, step, postfix
        if self._bar is not None:
            if self._bar.update(advance):  # true when the bar was drawn: the numbers follow at its pace
                self._bar.set_postfix(postfix, refresh=False)
        elif (now := self._clock()) >= self._next_line:
            self._next_line = now + EVERY
            self._line(now)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        else:
            self._line(self._clock())

    def _line(self, now: float) -> None:
        seconds = max(now - self._began, 1e-9)
        speed = (self.step - self.start) / seconds
        parts = [f"{self.label} {self.step}/{self.total} ({100 * self.step / max(self.total, 1):.1f} %)"]
        parts += [f"{speed:.0f} steps/s" if speed >= 10 else f"{speed:.2g} steps/s"]
        if self.step >= self.total:
            parts += [f"done in {_readable(seconds)}"]
        elif speed > 0:
            parts += [f"{_readable((self.total - self.step) / speed)} left"]
        parts += [f"{name} {value:.4g}" for name, value in self._postfix.items()]
        print(", ".join(parts), file=self._stream, flush=True)


def _readable(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
