"""The binary version of CIFAR-10 and CIFAR-100: records of label bytes and 3,072 pixels in a tar archive."""

import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from carryover.data.prepare import Contents, Labelled

PIXELS = 3 * 32 * 32


@dataclass(frozen=True, kw_only=True)
class CifarLayout:
    """Where the records and the class names lie in an archive."""

    train: tuple[str, ...]
    """Members with training records, in order."""
    test: tuple[str, ...]
    """Members with test records."""
    names: str
    """Member with one class name per line."""
    label_bytes: int
    """Bytes before the pixels of a record; the last of them is the class."""


CIFAR10 = CifarLayout(
    train=tuple(f"cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6)),
    test=("cifar-10-batches-bin/test_batch.bin",),
    names="cifar-10-batches-bin/batches.meta.txt",
    label_bytes=1,
)
CIFAR100 = CifarLayout(
    train=("cifar-100-binary/train.bin",),
    test=("cifar-100-binary/test.bin",),
    names="cifar-100-binary/fine_label_names.txt",
    label_bytes=2,  # the coarse class comes first
)


def read_cifar(path: Path, layout: CifarLayout, origin: str) -> Contents:
    """Read an archive of the binary version; nothing is extracted or unpickled.

    Raises ValueError when the archive is damaged or a member is missing or does not fit.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            classes = tuple(_read(archive, layout.names).decode().split())
            train, test = (
                b"".join(_read(archive, member) for member in members)
                for members in (layout.train, layout.test)
            )
    except (tarfile.TarError, OSError, EOFError, zlib.error, KeyError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}): delete it and run the same command again"
        ) from error
    parts = {
        "train": _records(path, train, layout, len(classes)),
        "test": _records(path, test, layout, len(classes)),
    }
    return Contents(parts=parts, classes=classes, origin=origin)


def _read(archive: tarfile.TarFile, member: str) -> bytes:
    file = archive.extractfile(member)  # raises KeyError when it is missing
    if file is None:
        raise KeyError(f"{member} is no regular file")
    return file.read()


def _records(path: Path, data: bytes, layout: CifarLayout, num_classes: int) -> Labelled:
    length = layout.label_bytes + PIXELS
    if not data or len(data) % length:
        raise ValueError(f"{path}: {len(data)} bytes are no whole number of records of {length} bytes")
    records = np.frombuffer(data, np.uint8).reshape(-1, length)
    labels = torch.from_numpy(records[:, layout.label_bytes - 1].astype(np.int64))
    if labels.max() >= num_classes:
        raise ValueError(
            f"{path}: label {int(labels.max())} is beyond the {num_classes} classes of the archive"
        )
    images = torch.from_numpy(records[:, layout.label_bytes :].copy())
    return Labelled(images.view(-1, 3, 32, 32), labels)
