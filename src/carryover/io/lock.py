"""One writer per folder: a lock file with a heartbeat, which outlives neither its process nor its host."""

import os
import secrets
import socket
import subprocess
import tempfile
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from carryover.core.config import Settings
from carryover.io.files import replacing

HEARTBEAT = 10.0
"""Seconds between two signs of life."""
STALE = 120.0
"""Seconds without one until a holder elsewhere counts as dead: a network disk is a minute late."""


class Locked(Exception):
    """Another living process writes to this folder."""


class Holder(Settings):
    """Who holds a lock: the text of a lock file."""

    host: str
    pid: int
    job: str | None
    """Number of the SLURM job."""
    since: str
    place: str
    """The table of processes in which `pid` counts."""
    birth: str | None
    """Start of the process, since process numbers are used again."""
    token: str
    """Different for every lock ever taken."""
    free: bool = False
    """True when the holder has given the lock up."""


class Lock:
    """The right to write to `folder`: taken when made, given up by `release`.

    Raises Locked when a living process holds it, on this host or another. One that died without a word loses
    it at once on the same host, and after 120 seconds elsewhere.
    """

    def __init__(self, folder: Path) -> None:
        self.holder = Holder(
            host=socket.gethostname(),
            pid=os.getpid(),
            job=os.environ.get("SLURM_JOB_ID"),
            since=datetime.now(UTC).isoformat(timespec="seconds"),
            place=_place(),
            birth=_birth(os.getpid()),
            token=secrets.token_hex(8),
        )
        self.path = _claim(folder, self.holder)
        self._done = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._heart.start()

    def check(self) -> None:
        """Make sure that nobody took over, as happens to a process that was asleep for minutes.

        Raises Locked when somebody did.
        """
        if _read(self.path) != self.holder:
            raise Locked(f"{self.path.parent} was taken over while this process did not answer")

    def release(self) -> None:
        """Let the next taker in at once."""
        self._done.set()
        self._heart.join()
        if self.path.exists():
            with replacing(self.path) as temporary:
                freed = self.holder.model_copy(update={"free": True})
                temporary.write_text(freed.model_dump_json(), encoding="utf-8")

    def _beat(self) -> None:
        while not self._done.wait(HEARTBEAT):
            with suppress(OSError):  # a disk out of reach may come back; of a lost lock `check` tells
                os.utime(self.path)


def _claim(folder: Path, holder: Holder) -> Path:
    """Make the next numbered lock file; the highest number counts, and O_EXCL lets one of two takers win.

    A lock given up stays as a free one: were it deleted, numbers would begin again, and a slow taker could
    still make one from before.
    """
    last = max(_numbers(folder), default=0)
    if living := _living(folder / f"lock-{last}"):
        raise Locked(f"{folder} is in use by {living}")
    path = folder / f"lock-{last + 1}"
    moment_ago = Locked(f"{folder} was taken by another process a moment ago")
    try:
        _write(path, holder)
    except FileExistsError:
        raise moment_ago from None
    if max(_numbers(folder), default=0) != last + 1:  # others came and went since the first look
        path.unlink(missing_ok=True)
        raise moment_ago
    for number in _numbers(folder):
        if number <= last:
            (folder / f"lock-{number}").unlink(missing_ok=True)
    return path


def _numbers(folder: Path) -> list[int]:
    names = (path.name.removeprefix("lock-") for path in folder.glob("lock-*"))
    return [int(name) for name in names if name.isdecimal()]


def _write(path: Path, holder: Holder) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(holder.model_dump_json())


def _read(path: Path) -> Holder | None:
    try:
        return Holder.model_validate_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError):
        return None


def _living(path: Path) -> str | None:
    """Name the living holder of a lock; None when there is none."""
    holder = _read(path)
    if holder is not None and holder.free:
        return None
    if holder is not None and holder.place == _place():  # the process table knows better than a clock
        alive = _birth(holder.pid) == holder.birth
    else:  # elsewhere, or its text is being written just now
        alive = _age(path) < STALE
    if not alive:
        return None
    if holder is None:
        return "a process that has just come"
    job = f" (job {holder.job})" if holder.job else ""
    return f"process {holder.pid} on {holder.host}{job} since {holder.since}"


def _age(path: Path) -> float:
    """Count the seconds since the last heartbeat by the clock of the disk: those of two hosts may differ."""
    try:
        with path.open("rb") as file, tempfile.TemporaryFile(dir=path.parent) as probe:
            return os.fstat(probe.fileno()).st_mtime - os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return STALE


def _place() -> str:
    """Name the table of processes of this process: host, boot and, for containers, namespace."""
    parts = [socket.gethostname()]
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if boot.exists() and namespace.exists():  # Linux
        parts += [boot.read_text().strip(), str(namespace.readlink())]
    return " ".join(parts)


def _birth(pid: int) -> str | None:
    """Say when a process started; None when it is gone."""
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return fields[19] if fields[0] not in "ZX" else None  # a zombie writes nothing
    asked = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or None
