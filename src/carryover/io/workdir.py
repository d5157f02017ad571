"""The work folder of a stage: a lock, checkpoints, a time budget, and a diary of its attempts."""

import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, TracebackType

from torch import Tensor

from carryover.core.resume import OutOfTime
from carryover.io.checkpoint import load_tensors, save_tensors
from carryover.io.lock import Lock

MARGIN = 180.0
"""Seconds kept free at the end of a time budget, in which to save and leave; a quarter of a short budget."""

KEPT = 2
"""Checkpoints that stay: should the newest be damaged, the one before it serves."""


class WorkDir:
    """Keep a stage safe in `folder`, which no rule declares; a context manager.

    `minutes` is the time budget, counted from here; None is no limit. Each training of the stage keeps its
    checkpoints in a `part`, and one is due every `save_every` seconds. Whatever kills the process, the folder
    stays usable. Entering raises Locked when another living process works here.
    """

    def __init__(
        self,
        folder: Path,
        *,
        minutes: float | None,
        save_every: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if minutes is not None and minutes <= 0:
            raise ValueError(f"minutes is a time budget and must be positive: got {minutes}")
        self.folder = folder
        self.attempt = 0
        """Number of this attempt, from 1 on."""
        self.clock = clock
        self.save_every = save_every
        self._budget = None if minutes is None else 60 * minutes
        self._began = clock()
        self._told_to_stop = False

    def __enter__(self) -> "WorkDir":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = Lock(self.folder)
        for leftover in self.folder.glob("**/*.tmp"):  # of a save that was killed
            leftover.unlink()
        self._diary = self.folder / "attempts.log"
        self.attempt = 1 + self._past_attempts()
        self.log(f"started by process {self._lock.holder.pid} on {self._lock.holder.host}")
        self._in_main_thread = threading.current_thread() is threading.main_thread()
        if self._in_main_thread:  # Python allows handlers nowhere else
            self._handler = signal.signal(signal.SIGTERM, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._in_main_thread:
            signal.signal(signal.SIGTERM, self._handler)
        reason = "" if kind is None else f" by {kind.__name__}: {error}".splitlines()[0]
        self.log(f"ended{reason}")
        self._lock.release()

    def part(self, name: str) -> "Part":
        """Open the checkpoints of one training; `name` tells it from the others of this stage."""
        return Part(self, self.folder / name)

    def clear(self) -> None:
        """Remove all checkpoints; call it once the outputs are in their place."""
        for path in self.folder.glob("*/step-*.safetensors"):
            path.unlink()

    def check(self) -> None:
        """Make sure that this process may still write here; raises Locked when another took over."""
        self._lock.check()

    def why_stop(self, save_takes: float) -> str | None:
        """Say why the stage must stop now, a save taking `save_takes` seconds; None when it need not."""
        if self._told_to_stop:
            return "told to stop (SIGTERM)"
        if self._budget is None:
            return None
        # a budget shorter than the margins must leave room for work all the same
        margin = max(min(MARGIN, self._budget / 4), min(2 * save_takes, self._budget / 2))
        over = self.clock() - self._began >= self._budget - margin
        return "the time budget is over" if over else None

    def log(self, event: str) -> None:
        """Add a line to the diary, `attempts.log`."""
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        # the folder may have been deleted under a running process: no reason to end with another error
        with suppress(FileNotFoundError), self._diary.open("a", encoding="utf-8") as file:
            file.write(f"{moment} attempt {self.attempt} {event}\n")

    def _past_attempts(self) -> int:
        text = self._diary.read_text(encoding="utf-8") if self._diary.exists() else ""
        return len(re.findall(r"^\S+ attempt \d+ started", text, flags=re.MULTILINE))

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._told_to_stop = True


class Part:
    """The checkpoints of one training in a work folder (implements `Resume`)."""

    def __init__(self, work: WorkDir, folder: Path) -> None:
        self.notes = "{}"
        self._work, self._folder = work, folder
        self._last_save, self._save_took = work.clock(), 0.0
        self._looked = False

    def restore(self) -> dict[str, Tensor] | None:
        """Load the newest checkpoint that is intact; None when there is none.

        Damaged ones are named on stderr and removed. Starting afresh after that costs time, never a result.
        """
        self._looked = True
        found = self._checkpoints()
        for path in reversed(found):
            try:
                state, notes = load_tensors(path)
            except ValueError:
                print(f"note: {path} is damaged, looking for an older checkpoint", file=sys.stderr)
                path.unlink()
                continue
            self.notes = notes["notes"]
            self._work.log(f"goes on with {self._folder.name} after step {notes['step']}")
            return state
        if found:
            print(f"note: no checkpoint in {self._folder} is intact, starting from step 0", file=sys.stderr)
        return None

    def due(self) -> bool:
        """Say whether it is time to save."""
        waited = self._work.clock() - self._last_save
        return waited >= self._work.save_every or self._work.why_stop(self._save_took) is not None

    def save(self, step: int, state: dict[str, Tensor], notes: str) -> None:
        """Write a checkpoint after `step` finished steps, and remove all but the newest two.

        Raises OutOfTime after saving when the budget is about to end or SIGTERM came, and Locked when another
        process took the folder over.
        """
        assert self._looked, "restore before the first save: a checkpoint of an earlier attempt may be newer"
        self._work.check()
        began = self._work.clock()
        save_tensors(self._folder / f"step-{step}.safetensors", state, {"step": str(step), "notes": notes})
        self._last_save = self._work.clock()
        self._save_took = self._last_save - began
        for old in self._checkpoints()[:-KEPT]:
            old.unlink()
        if reason := self._work.why_stop(self._save_took):
            raise OutOfTime(f"{reason}; saved after step {step}, the same command goes on from there")

    def _checkpoints(self) -> list[Path]:
        """List the checkpoints, oldest first."""
        return sorted(self._folder.glob("step-*.safetensors"), key=lambda path: int(path.stem[5:]))
