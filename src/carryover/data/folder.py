"""Class folders, plain or zipped: `<class>/<image>`, or `{train,val,test}/<class>/<image>`."""

import io
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms import functional as transform

from carryover.core.progress import Progress
from carryover.data.prepare import Contents, Labelled

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Endings of images, in any case; other files are left out, and so is whatever starts with a dot."""

Resize = int | Literal["stretch"] | None
"""Length of the shorter side before the centre is cut out; None is the size itself, `stretch` cuts nothing."""
Read = Callable[[str], bytes]
Classes = dict[str, list[str]]

BROKEN = (
    OSError,
    EOFError,
    RuntimeError,
    SyntaxError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    Image.DecompressionBombError,
)
"""What zip files and pictures raise when they are damaged."""


def read_folder(
    path: Path, channels: int, size: int | None, resize: Resize = None, *, by_class: bool = False
) -> Contents:
    """Read all images of a folder or zip; classes are the sorted names of the class folders.

    With `by_class` the folders train, val and test may hold different classes.
    Raises ValueError when the layout is none of the two, an image is damaged, or images differ in size and
    `size` is None.
    """

    def decoded(names: list[str], read: Read) -> Tensor:
        return _stack(path, names, lambda name: fit(_decode_named(path, name, read, channels), size, resize))

    with opened(path) as (names, read):
        parts = arrange(names, path)
        everywhere = sorted({own for members in parts.values() for own in members})
        classes = everywhere if by_class else known_classes(parts, path)
        labelled = {
            part: Labelled(
                decoded([name for own in classes for name in members.get(own, [])], read),
                torch.tensor([label for label, own in enumerate(classes) for _ in members.get(own, [])]),
            )
            for part, members in parts.items()
        }
    how = "no official split" if "all" in parts else f"its own folders {', '.join(parts)}"
    return Contents(
        parts=labelled,
        classes=tuple(classes),
        origin=f"{path.name}: {len(names)} images of {len(classes)} classes, {how}.",
    )


@contextmanager
def opened(path: Path) -> Iterator[tuple[list[str], Read]]:
    """Open a folder or zip: the sorted relative names of its images, and a function that reads one.

    Nothing is extracted. Raises ValueError when it is missing, damaged, or has members that point outside.
    """
    if path.is_dir():
        yield _images(_walk(path)), lambda name: (path / name).read_bytes()
        return
    if not path.is_file():
        raise ValueError(
            f"{path} is missing: set `path` of the data set to a folder or zip below data.root or data.mirror"
        )
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is no folder and no zip, or damaged ({error}): replace it") from error
    with archive:
        names = [member.filename for member in archive.infolist() if not member.is_dir()]
        for name in names:
            if re.match(r"/|[A-Za-z]:", name) or "\\" in name or ".." in name.split("/"):
                raise ValueError(
                    f"{path} has the member {name}, which points outside of it: do not use this file"
                )
        yield _images(names), archive.read


def _walk(folder: Path) -> Iterator[str]:
    for place, _, files in os.walk(folder, followlinks=True):
        for file in files:
            yield (Path(place) / file).relative_to(folder).as_posix()


def _images(names: Iterator[str] | Sequence[str]) -> list[str]:
    return sorted(
        name
        for name in names
        if name.lower().endswith(EXTENSIONS)
        and not any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
    )


def arrange(names: Sequence[str], path: Path) -> dict[str, Classes]:
    """Sort image names by part (`all`, or `train`, `val`, `test`) and class.

    Raises ValueError when the layout is neither `<class>/<image>` nor `{train,val,test}/<class>/<image>`.
    """
    if not names:
        raise ValueError(f"{path} holds no images ({', '.join(EXTENSIONS)}): check `path` of the data set")
    tops = {name.split("/")[0] for name in names}
    official = tops <= {"train", "val", "test"}
    if official and not {"train", "test"} <= tops:
        raise ValueError(f"{path} has only {', '.join(sorted(tops))}: an official split needs train and test")
    parts: dict[str, Classes] = {part: {} for part in (sorted(tops) if official else ["all"])}
    for name in names:
        folders = PurePosixPath(name).parts[:-1]
        if len(folders) != (2 if official else 1):
            raise ValueError(
                f"{path}: {name} is not where an image should be, which is <class>/<image> everywhere or "
                "{train,val,test}/<class>/<image> everywhere"
            )
        parts[folders[0] if official else "all"].setdefault(folders[-1], []).append(name)
    return parts


def known_classes(parts: dict[str, Classes], path: Path) -> list[str]:
    """Sort the classes to train on; a class that only another part has is an error (ValueError)."""
    classes = sorted(parts["all" if "all" in parts else "train"])
    for part, members in parts.items():
        unknown = sorted(members.keys() - set(classes))
        if unknown:
            raise ValueError(f"{path}: the folder {part} has classes that train lacks: {', '.join(unknown)}")
    return classes


def _stack(
    path: Path, names: Sequence[str], decoded: Callable[[str], Image.Image]
) -> UInt8[Tensor, "n channels height width"]:
    stacked: Tensor | None = None
    with Progress(len(names), f"read {path.name}") as progress:
        for position, name in enumerate(names):
            pixels = _pixels(decoded(name))
            if stacked is None:
                stacked = torch.empty((len(names), *pixels.shape), dtype=torch.uint8)
            if pixels.shape != stacked.shape[1:]:
                raise ValueError(
                    f"{path}: {name} has {pixels.shape[2]}x{pixels.shape[1]} pixels, {names[0]} has "
                    f"{stacked.shape[3]}x{stacked.shape[2]}: set `size` of the data set"
                )
            stacked[position] = pixels
            progress.update(position + 1)
    assert stacked is not None, "a part has at least one image"
    return stacked


def _decode_named(path: Path, name: str, read: Read, channels: int) -> Image.Image:
    try:
        return decode(read(name), channels)
    except BROKEN as error:
        raise ValueError(
            f"{path}: the image {name} cannot be read ({error}): replace or remove it"
        ) from error


def decode(data: bytes, channels: int) -> Image.Image:
    """Decode a picture to 8-bit grey (1 channel) or red, green, blue (3 channels), upright as its camera says (EXIF).

    Raises ValueError or what the decoder raises when it is damaged or has more than 8 bits per channel.
    """
    with Image.open(io.BytesIO(data)) as picture:
        if picture.mode.startswith(("I", "F")):
            raise ValueError(f"it has more than 8 bits per channel, mode {picture.mode}")
        picture.load()
        return _upright(picture).convert("L" if channels == 1 else "RGB")


def _upright(picture: Image.Image) -> Image.Image:
    """Turn a photograph as its camera says; damaged notes of a camera are no reason to refuse the picture."""
    try:
        return ImageOps.exif_transpose(picture)
    except (KeyError, SyntaxError, TypeError, ValueError, struct.error):
        return picture


def fit(image: Image.Image, size: int | None, resize: Resize = None) -> Image.Image:
    """Resize the shorter side to `resize`, or `size`, and cut out the centre; `stretch` makes all of it a square.

    None for `size` leaves the image as it is.
    """
    if size is None or (image.size == (size, size) and not (isinstance(resize, int) and resize > size)):
        return image
    sides = [size, size] if resize == "stretch" else [resize or size]
    resized = transform.resize(image, sides, transform.InterpolationMode.BILINEAR)
    cut: Image.Image = transform.center_crop(resized, [size, size])
    return cut


def _pixels(image: Image.Image) -> UInt8[Tensor, "channels height width"]:
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
