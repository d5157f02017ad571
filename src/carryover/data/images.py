"""A data set in memory: uint8 images and labels by split, and what is needed to normalise and name them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Int64, UInt8
from torch import Tensor

from carryover.core.config import canonical
from carryover.io.checkpoint import load_tensors, save_tensors

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Images of one split, their labels, and their positions in the source's own order."""

    images: UInt8[Tensor, "n channels height width"]
    labels: Int64[Tensor, " n"]
    index: Int64[Tensor, " n"]


@dataclass(frozen=True, kw_only=True)
class Images:
    """A data set and what it says of itself; a network's input is (images / max_value - mean) / std."""

    dataset: str
    """Name of the data set, as the study calls it."""
    splits: Mapping[str, Split]
    """Split by name: train, val (may be empty) and test, or those that were asked for."""
    classes: tuple[str, ...]
    """Name of the class of each label."""
    max_value: int
    """Pixel value that stands for 1 on the 0..1 scale: 255, or 16 for digits."""
    mean: tuple[float, ...]
    """Mean of each channel that is subtracted, on the 0..1 scale."""
    std: tuple[float, ...]
    """Standard deviation of each channel that divides what is left."""
    spec: str
    """Settings that made it, as canonical JSON text."""
    origin: str
    """Where the images come from, in one sentence."""
    digest: str = ""
    """Digest of all tensors of the file (of every split); empty until it is saved."""

    @property
    def train(self) -> Split:
        """The images to train on."""
        return self.splits["train"]

    @property
    def val(self) -> Split:
        """The images to choose settings on; none when the split has none."""
        return self.splits["val"]

    @property
    def test(self) -> Split:
        """The images to report on."""
        return self.splits["test"]


def save_images(path: Path, images: Images) -> None:
    """Write a data set to one safetensors file, whole or not at all; equal images give equal bytes."""
    tensors = {
        f"{name}.{part}": tensor
        for name, split in images.splits.items()
        for part, tensor in vars(split).items()
    }
    notes = {
        "dataset": images.dataset,
        "classes": json.dumps(images.classes),
        "max_value": str(images.max_value),
        "mean": json.dumps(images.mean),
        "std": json.dumps(images.std),
        "spec": images.spec,
        "origin": images.origin,
    }
    save_tensors(path, tensors, {**notes, "notes_digest": _digest_of(notes)})


def load_images(path: Path, splits: Sequence[str] = SPLITS) -> Images:
    """Read some splits of a data set, on the CPU; the bytes of the whole file are checked all the same.

    Raises ValueError when the file is missing, damaged, of another format or no data set.
    """
    if not path.is_file():
        raise ValueError(f"{path} is missing: `snakemake {path}` makes it")
    tensors, notes = load_tensors(path)
    own = {key: text for key, text in notes.items() if key not in ("format", "digest", "notes_digest")}
    if notes.get("notes_digest") != _digest_of(own):
        raise ValueError(
            f"{path} is no data set, or its description has been changed: delete it, and run the same "
            "command to make it again"
        )
    return Images(
        dataset=own["dataset"],
        splits={name: _split(tensors, name) for name in splits},
        classes=tuple(json.loads(own["classes"])),
        max_value=int(own["max_value"]),
        mean=tuple(json.loads(own["mean"])),
        std=tuple(json.loads(own["std"])),
        spec=own["spec"],
        origin=own["origin"],
        digest=notes["digest"],
    )


def _split(tensors: Mapping[str, Tensor], name: str) -> Split:
    return Split(*(tensors[f"{name}.{part}"] for part in ("images", "labels", "index")))


def _digest_of(notes: Mapping[str, str]) -> str:
    return hashlib.sha256(canonical(notes).encode()).hexdigest()
