"""Omniglot's original archives: drawings of characters, 105x105 pixels, as `<part>/<alphabet>/<character>/<image>`."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from carryover.core.progress import Progress
from carryover.data.folder import BROKEN, decode, fit, opened
from carryover.data.prepare import Contents, Labelled

SIDE = 105
DEPTH = 4


def read_omniglot(files: Mapping[str, Path]) -> Contents:
    """Read the background and the evaluation alphabets, one after the other; ink is 255, paper 0.

    Classes are called `<alphabet>/<character>`. There is no official split of the classes.
    Raises ValueError when an archive is damaged or is none of Omniglot.
    Source: Meta-ticket, section 4.1 (inverted: strokes are white).
    """
    images: list[npt.NDArray[np.bool_]] = []
    labels: list[int] = []
    classes: list[str] = []
    for file in sorted(files):
        for name, ink in _drawings(files[file]).items():
            own = "/".join(name.split("/")[1:-1])
            if not classes or classes[-1] != own:
                classes.append(own)
            images.append(ink)
            labels.append(len(classes) - 1)
    pixels = np.stack(images).view(np.uint8)
    pixels *= 255
    return Contents(
        parts={"all": Labelled(torch.from_numpy(pixels)[:, None], torch.tensor(labels))},
        classes=tuple(classes),
        origin="Omniglot, all drawings of the background and the evaluation alphabets.",
    )


def resize_drawings(contents: Contents, size: int | None) -> Contents:
    """Resize drawings to `size` x `size` pixels, as torchvision resizes pictures (bilinear, antialiased).

    Source: Meta-ticket, section 4.1 (28 pixels; the filter is not stated, and this is the usual one).
    """
    part = contents.parts["all"]
    return replace(contents, parts={"all": Labelled(_resized(part.images, size), part.labels)})


def _resized(images: UInt8[Tensor, "n 1 height width"], size: int | None) -> UInt8[Tensor, "n 1 _ _"]:
    if size is None:
        return images
    resized = torch.empty((len(images), 1, size, size), dtype=torch.uint8)
    for target, image in zip(resized, images, strict=True):
        target[0] = torch.from_numpy(np.array(fit(Image.fromarray(image[0].numpy()), size)))
    return resized


def digest_of_drawings(path: Path) -> str:
    """Digest the names and pixels of all drawings of an archive with SHA-256, however they are compressed.

    Raises ValueError when the archive is damaged or is none of Omniglot.
    """
    digest = hashlib.sha256()
    for name, ink in _drawings(path).items():
        digest.update(name.encode() + b"\0" + np.packbits(ink).tobytes())
    return digest.hexdigest()


def _drawings(path: Path) -> dict[str, npt.NDArray[np.bool_]]:
    """Read where the ink is in each drawing, in the order of the sorted names."""
    found = {}
    with opened(path) as (names, read), Progress(len(names), f"read {path.name}") as progress:
        for position, name in enumerate(names):
            try:
                drawn = np.array(decode(read(name), 1))
            except BROKEN as error:
                raise ValueError(
                    f"{path}: the drawing {name} cannot be read ({error}); delete the file and run the same "
                    "command again"
                ) from error
            if drawn.shape != (SIDE, SIDE) or name.count("/") != DEPTH - 1:
                raise ValueError(
                    f"{path}: {name} of {drawn.shape[1]}x{drawn.shape[0]} pixels is no drawing of Omniglot, which has "
                    f"<part>/<alphabet>/<character>/<image> of {SIDE}x{SIDE}; delete the file and run the same "
                    "command again"
                )
            found[name] = drawn < 128
            progress.update(position + 1)
    if not found:
        raise ValueError(f"{path} holds no drawings: delete it and run the same command again")
    return found
