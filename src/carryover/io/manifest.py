"""Every result says what made it: a manifest beside it, written last and checked by every reader."""

import os
import platform
import socket
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from pydantic import JsonValue, ValidationError

from carryover.core.config import Settings
from carryover.io.files import replacing, sha256_of

FORMAT = 1
"""Number of the layout below; a reader refuses every other."""

_STARTED = time.monotonic()


class Output(Settings):
    """What a reader must find in one output file."""

    bytes: int
    """Size of the file."""
    sha256: str
    """Digest of its bytes, as hexadecimal digits."""


class Manifest(Settings):
    """What made a result, and what the result is."""

    format: int
    """Number of this layout."""
    stage: str
    """Name of the stage that wrote the result."""
    spec: str | None
    """Its settings, as canonical JSON text."""
    code: str | None
    """Digest of the code that could reach the result."""
    seeds: str | None
    """Its block of seeds, such as `s0-4`."""
    inputs: dict[str, str]
    """Digest of each file read, under its path as the command gave it."""
    outputs: dict[str, Output]
    """Each file written, under its path relative to the folder of the manifest."""
    record: dict[str, JsonValue]
    """Circumstances that must not change a result: time, host, versions, device."""


def write_manifest(
    path: Path,
    *,
    stage: str,
    spec: str | None,
    code: str | None,
    seeds: str | None,
    inputs: Sequence[Path],
    outputs: Sequence[Path],
    record: Mapping[str, JsonValue],
) -> None:
    """Write the manifest of finished outputs; call it last, since it declares them complete.

    `record` adds what only the stage knows (device, threads, attempt) to what is known here: wall time, host,
    versions and, in a clone, the git revision.
    """
    folder = path.absolute().parent
    manifest = Manifest(
        format=FORMAT,
        stage=stage,
        spec=spec,
        code=code,
        seeds=seeds,
        inputs={file.as_posix(): sha256_of(file) for file in inputs},
        outputs={
            Path(os.path.relpath(file, folder)).as_posix(): Output(
                bytes=file.stat().st_size, sha256=sha256_of(file)
            )
            for file in outputs
        },
        record={**_circumstances(), **record},
    )
    with replacing(path) as temporary:
        temporary.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _circumstances() -> dict[str, JsonValue]:
    return {
        "wall_seconds": round(time.monotonic() - _STARTED, 1),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "carryover": version("carryover"),
        "torch": version("torch"),
        "revision": _revision(),
    }


def _revision() -> str | None:
    """Ask git for the commit of this code; None outside a clone or without git."""
    try:
        asked = subprocess.run(
            ["git", "--no-optional-locks", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return asked.stdout.strip()


def read_manifest(path: Path, only: Collection[str] | None = None) -> Manifest:
    """Read a manifest and check that its outputs are still what the stage wrote.

    `only` names the outputs to check, for a reader that needs no other: a trajectory may be many gigabytes.
    Raises ValueError when the manifest is damaged or of another format, or when an output is missing or
    changed; the message names the file and the remedy.
    """
    manifest = _parsed(path)
    for name, written in manifest.outputs.items():
        if only is not None and name not in only:
            continue
        file = path.parent / name
        if not file.is_file():
            raise ValueError(f"{file} is missing, though {path} lists it: {_remedy(path)}")
        if file.stat().st_size != written.bytes or sha256_of(file) != written.sha256:
            raise ValueError(f"{file} was changed after {path} was written: {_remedy(path)}")
    return manifest


def _parsed(path: Path) -> Manifest:
    text = path.read_text(encoding="utf-8")
    try:
        found = _Numbered.model_validate_json(text).format
        if found == FORMAT:
            return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(f"{path} is no manifest of Carryover, or damaged: {_remedy(path)}") from error
    if found > FORMAT:
        raise ValueError(
            f"{path} has format {found}, made by a newer Carryover (this one reads format {FORMAT}): update, "
            f"or delete the folder {path.parent} to make it again"
        )
    raise ValueError(
        f"{path} has format {found}, and this version reads format {FORMAT} only: {_remedy(path)}"
    )


class _Numbered(Settings, extra="ignore"):
    """The part of a manifest that every format has."""

    format: int


def _remedy(path: Path) -> str:
    return f"delete the folder {path.parent} and run the same command to make it again"
