"""The IDX format of MNIST and its relatives: a header of big-endian sizes, then bytes; gzipped or not."""

import gzip
import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from carryover.data.prepare import Contents, Labelled

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTES = 0x08


def read_idx_set(files: Mapping[str, Path], classes: Sequence[str], origin: str) -> Contents:
    """Read the four files of a set, known by their official names: images and labels of train and test.

    Raises ValueError when a file is damaged or images and labels do not fit together.
    """
    parts = {
        part: _read_part(files[f"{prefix}-images-idx3-ubyte.gz"], files[f"{prefix}-labels-idx1-ubyte.gz"])
        for part, prefix in (("train", "train"), ("test", "t10k"))
    }
    return Contents(parts=parts, classes=tuple(classes), origin=origin)


def _read_part(images_file: Path, labels_file: Path) -> Labelled:
    images, labels = read_idx(images_file), read_idx(labels_file)
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise ValueError(
            f"{images_file} and {labels_file} do not fit together: shapes {tuple(images.shape)} and "
            f"{tuple(labels.shape)}, expected (n, height, width) and (n,)"
        )
    return Labelled(images[:, None], labels.to(torch.int64))


def read_idx(path: Path) -> UInt8[Tensor, "*shape"]:
    """Read the unsigned bytes of an IDX file of any number of axes.

    Raises ValueError when the file is damaged or holds another type.
    """
    data = read_content(path)
    header = 4 + 4 * (data[3] if len(data) >= 4 else 0)
    if len(data) < header or data[:2] != b"\0\0" or data[2] != UNSIGNED_BYTES:
        raise ValueError(f"{path} is no IDX file of unsigned bytes: delete it and run the same command again")
    shape = np.frombuffer(data[4:header], ">u4").tolist()
    if len(data) - header != math.prod(shape):
        raise ValueError(
            f"{path} holds {len(data) - header} bytes, its header says {math.prod(shape)}: it is truncated "
            "or changed, delete it and run the same command again"
        )
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=header).reshape(shape).copy())


def read_content(path: Path) -> bytes:
    """Read the bytes of a file, decompressed if it is gzipped.

    Raises ValueError when it cannot be decompressed.
    """
    data = path.read_bytes()
    if not data.startswith(GZIP_MAGIC):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} cannot be decompressed, it is truncated or changed ({error})") from error
