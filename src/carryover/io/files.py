"""Files appear whole or not at all, and are known by what is in them."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; its file takes the place of `path` when the block ends well.

    The block must write the file and close it. Bytes and name are both on the disk afterwards. When the block
    raises, the temporary file is removed and `path` stays as it was. Missing folders are made. The temporary
    name ends in `.tmp`, so writers that look at the extension must be told the format.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    temporary.touch()
    mode = temporary.stat().st_mode  # what the umask asks for; safetensors would make it private
    try:
        yield temporary
        temporary.chmod(mode)
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)  # without it a power cut may undo the new name
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Hash the bytes of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
