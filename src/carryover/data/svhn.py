"""The cropped digits of SVHN: MATLAB files with `X` [32, 32, 3, n] and `y` [n, 1], where 10 stands for 0."""

import zlib
from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from carryover.data.prepare import Contents, Labelled


def read_svhn(train: Path, test: Path, origin: str) -> Contents:
    """Read the two files of the official split.

    Raises ValueError when a file is damaged or is none of SVHN.
    """
    return Contents(
        parts={"train": read_mat(train), "test": read_mat(test)},
        classes=tuple("0123456789"),
        origin=origin,
    )


def read_mat(path: Path) -> Labelled:
    """Read one file; the label 10 becomes 0.

    Raises ValueError when the file is damaged or is none of SVHN.
    """
    try:
        content = loadmat(path, variable_names=["X", "y"])
        pixels, labels = content["X"], content["y"].ravel().astype(np.int64)
    except (MatReadError, LookupError, ValueError, TypeError, OSError, zlib.error) as error:
        raise ValueError(
            f"{path} is no file of SVHN or damaged ({error}): delete it and run the same command again"
        ) from error
    if pixels.shape != (32, 32, 3, len(labels)) or pixels.dtype != np.uint8:
        raise ValueError(
            f"{path}: X has shape {pixels.shape} and type {pixels.dtype}, expected "
            f"(32, 32, 3, {len(labels)}) of uint8"
        )
    images = np.ascontiguousarray(pixels.transpose(3, 2, 0, 1))
    return Labelled(torch.from_numpy(images), torch.from_numpy(labels % 10))
