"""An index of ImageNet's folders: which file is in which split; the images stay where they are."""

import hashlib
from pathlib import Path

from pydantic import ValidationError

from carryover.core.config import Settings, canonical
from carryover.data.folder import arrange, known_classes, opened
from carryover.data.prepare import chosen_classes
from carryover.data.settings import Imagenet
from carryover.data.splits import split_fraction
from carryover.io.files import replacing

FORMAT = 2
"""Number of the layout below; a reader refuses every other."""


class SplitIndex(Settings):
    """The images of one split."""

    paths: tuple[str, ...]
    """Files below the root of the index."""
    labels: tuple[int, ...]
    """Label of each image, the position of its class among those of the index."""


class ImageIndex(Settings):
    """Where the images of an ImageNet-like data set lie and how they are read."""

    format: int = FORMAT
    """Number of this layout."""
    dataset: str
    """Name of the data set, as the study calls it."""
    root: str
    """Folder that the paths start from, as the command that made the index gave it."""
    settings: Imagenet
    """Settings that made it; they hold mean, std and the sizes to cut."""
    classes: tuple[str, ...]
    """Name of the class of each label."""
    splits: dict[str, SplitIndex]
    """Split by name: train, val and test."""
    digest: str = ""
    """Digest of all the above but the root."""


def index_imagenet(name: str, folder: Path, settings: Imagenet) -> ImageIndex:
    """List the images of `train/<class>/` and `val/<class>/`; the official val folder is the test split.

    Images are not opened.
    Raises ValueError when a folder is missing or empty, images are not in class folders, or a class is not there.
    Source: IteRand, section 3.1.
    """
    parts = {}
    for part in ("train", "val"):
        with opened(folder / part) as (names, _):
            parts[part] = arrange(names, folder / part).get("all", {})
    classes = chosen_classes(known_classes(parts, folder), settings.classes)
    listed = {
        part: [
            (f"{part}/{path}", label) for label, own in enumerate(classes) for path in members.get(own, [])
        ]
        for part, members in parts.items()
    }
    chosen = split_fraction(len(listed["train"]), len(listed["val"]), settings.split)
    splits = {}
    for split, part in (("train", "train"), ("val", "train"), ("test", "val")):
        images = [listed[part][position] for position in chosen[split].tolist()]
        splits[split] = SplitIndex(
            paths=tuple(path for path, _ in images), labels=tuple(label for _, label in images)
        )
    index = ImageIndex(dataset=name, root=str(folder), settings=settings, classes=classes, splits=splits)
    return index.model_copy(update={"digest": _digest_of(index)})


def save_index(path: Path, index: ImageIndex) -> None:
    """Write an index as JSON, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(canonical(index) + "\n", encoding="utf-8")


def read_index(path: Path) -> ImageIndex:
    """Read an index and check that it is what was written.

    Raises ValueError when it is missing, damaged, changed or of another format.
    """
    if not path.is_file():
        raise ValueError(f"{path} is missing: `snakemake {path}` makes it")
    remedy = "delete it and run the same command again, which makes it anew"
    try:
        index = ImageIndex.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{path} is not a whole image index: {remedy}") from error
    if index.format != FORMAT:
        raise ValueError(f"{path} has index format {index.format}, this version reads {FORMAT}: {remedy}")
    if index.digest != _digest_of(index):
        raise ValueError(f"{path} has been changed since it was made: {remedy}")
    return index


def _digest_of(index: ImageIndex) -> str:
    described = index.model_dump(mode="json", exclude={"digest", "root"})
    return hashlib.sha256(canonical(described).encode()).hexdigest()
