"""The list of a source's raw files that a data set is made from, with their sizes and digests."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from carryover.core.config import Settings
from carryover.io.files import replacing, sha256_of

FORMAT = 1
"""Number of the layout below; a reader refuses every other."""


class ListedFile(Settings):
    """One raw file."""

    path: str
    """Where it lies, as the command that listed it gave it."""
    bytes: int
    """Size of the file."""
    sha256: str
    """Digest of the file as it lies there."""


class Listing(Settings):
    """The raw files of a source."""

    format: int
    """Number of this layout."""
    source: str
    """Name of the source."""
    files: dict[str, ListedFile]
    """Each file, under its official name."""


def write_listing(path: Path, source: str, files: Mapping[str, Path]) -> None:
    """Write the list of verified raw files, whole or not at all."""
    listed = {
        name: ListedFile(path=str(file), bytes=file.stat().st_size, sha256=sha256_of(file))
        for name, file in files.items()
    }
    listing = Listing(format=FORMAT, source=source, files=listed)
    with replacing(path) as temporary:
        temporary.write_text(listing.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_listing(path: Path, source: str) -> dict[str, Path]:
    """Read a list of raw files of `source` and check that they are still the same; paths by official name.

    Raises ValueError when the list is damaged, of another format or source, or a file is missing or changed.
    """
    remedy = f"delete {path} and run the same command again"
    try:
        listing = Listing.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise ValueError(f"{path} is no list of raw files, or damaged: {remedy}") from error
    if listing.format != FORMAT:
        raise ValueError(f"{path} has format {listing.format}, this version reads format {FORMAT}: {remedy}")
    if listing.source != source:
        raise ValueError(f"{path} lists the files of {listing.source}, not of {source}")
    for listed in listing.files.values():
        file = Path(listed.path)
        if not file.is_file():
            raise ValueError(f"{file} is missing, though {path} lists it: {remedy}")
        if file.stat().st_size != listed.bytes or sha256_of(file) != listed.sha256:
            raise ValueError(
                f"{file} is truncated or changed: expected {listed.bytes} bytes with sha256 {listed.sha256}, "
                f"found {file.stat().st_size} bytes; delete it, then {remedy}"
            )
    return {name: Path(listed.path) for name, listed in listing.files.items()}
