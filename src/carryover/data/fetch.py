"""Raw files of a source: found below the data root, copied from a mirror or downloaded, always verified."""

import hashlib
import http.client
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from carryover.data.sources import Download, RawFile
from carryover.io.files import replacing

TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Places:
    """Where raw files are kept, where else they may be, and whether there is a network."""

    root: Path
    mirror: Path | None = None
    offline: bool = False


def fetch(source: str, download: Download, places: Places) -> dict[str, Path]:
    """Put every file of a source, verified, into the folder `<root>/<source>`; paths by official name.

    Raises ValueError when a file is missing and cannot be had, or is not what its checksum says.
    """
    return {raw.name: _fetch_file(raw, source, download, places) for raw in download.files}


def _fetch_file(raw: RawFile, source: str, download: Download, places: Places) -> Path:
    folder = places.root / source
    looked_for = [folder / name for name in raw.names]
    for path in looked_for:
        if path.is_file():
            _require(raw, path, path, "delete it and run the same command again")
            return path
    for path in _in_mirror(raw, source, download, places):
        looked_for.append(path)
        if path.is_file():
            with replacing(folder / path.name) as temporary:
                shutil.copyfile(path, temporary)
                _require(raw, temporary, path, "replace it, or take this mirror out of data.mirror")
            return folder / path.name
    if places.offline:
        raise ValueError(
            f"{raw.name} of {source} is missing; looked for {', '.join(map(str, looked_for))}. "
            "Set data.mirror to a folder that has it, or offline: false to download it"
        )
    return _download(raw, folder / raw.name)


def _in_mirror(raw: RawFile, source: str, download: Download, places: Places) -> Iterator[Path]:
    if places.mirror is not None:
        for folder in (source, *download.folders):
            for name in raw.names:
                yield places.mirror / folder / name


def _download(raw: RawFile, target: Path) -> Path:
    """Try each address in turn."""
    failures = []
    for url in raw.urls:
        try:
            with replacing(target) as temporary:
                _transfer(url, temporary, raw.name)
                _require(raw, temporary, url, "the server or a proxy sent something else")
            return target
        except (OSError, http.client.HTTPException, ValueError) as error:
            failures.append(f"{url}: {error}")
    raise ValueError(
        f"{raw.name} could not be downloaded ({'; '.join(failures)}). Run the same command where there is a "
        f"network, set data.mirror to a folder that has the file, or put it at {target} by hand"
    )


def _transfer(url: str, target: Path, label: str) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "carryover"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response, target.open("wb") as file:
        size = response.headers.get("Content-Length")
        with tqdm.wrapattr(
            file,
            "write",
            total=int(size) if size else None,
            desc=label,
            mininterval=0.5 if sys.stderr.isatty() else 30,
        ) as counted:
            shutil.copyfileobj(response, counted)


def _require(raw: RawFile, path: Path, known_as: Path | str, remedy: str) -> None:
    """Raise ValueError unless the file has one of the expected checksums."""
    assert raw.sha256 or raw.md5, f"{raw.name} has no checksum"
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found == raw.md5:
        return
    what, expected = "md5", raw.md5
    if raw.sha256 is not None:
        what, expected = f"sha256 of the {raw.content.called}", raw.sha256
        try:
            found = raw.content.digest(path)
        except ValueError:
            found = "nothing, it is damaged"
    if found != expected:
        raise ValueError(
            f"{known_as} is truncated or changed: its {what} should be {expected}, found {found}; {remedy}"
        )
