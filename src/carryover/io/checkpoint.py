"""Tensors on disk: safetensors files that carry notes, a format number and a digest. Never pickle."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from carryover.io.files import replacing

FORMAT = 1
"""Number of the layout below; a reader refuses every other."""

_KEY = "carryover"
"""The one metadata key: safetensors writes several in random order, and equal results must be equal bytes."""


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """Hash names, types, shapes and bytes of tensors, whatever their order, device and memory layout."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{len(name)}:{name}:{tensor.dtype}:{tuple(tensor.shape)}:".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> None:
    """Write tensors and text notes to one safetensors file, whole or not at all.

    The notes `format` and `digest` (see `digest_of`) are added. Equal content gives equal bytes.
    """
    assert not {"format", "digest"} & notes.keys(), "the notes 'format' and 'digest' are written here"
    # safetensors refuses tensors that share memory, such as tied weights: each becomes its own copy
    copies = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    everything = {**notes, "format": str(FORMAT), "digest": digest_of(copies)}
    with replacing(path) as temporary:
        save_file(copies, temporary, metadata={_KEY: _sealed(everything)})


def _sealed(notes: Mapping[str, str]) -> str:
    text = json.dumps(notes, sort_keys=True)
    return f"{hashlib.sha256(text.encode()).hexdigest()} {text}"


def _unsealed(text: str, path: Path) -> dict[str, str]:
    notes: dict[str, str] = {}
    with suppress(ValueError):
        notes = json.loads(text.partition(" ")[2])
    if _sealed(notes) != text:
        raise _damaged(path, "its notes do not match the digest that they carry")
    return notes


@runtime_checkable
class LazyTensors(Protocol):
    """An open file of tensors; each read touches only what it returns."""

    def keys(self) -> list[str]:
        """List the names."""

    def get_tensor(self, name: str) -> Tensor:
        """Read one tensor."""

    def get_slice(self, name: str) -> Any:
        """Point at one tensor; `[a:b]` on the result reads that part of it."""

    def metadata(self) -> dict[str, str] | None:
        """Read the raw metadata; the notes are easier to have from `open_tensors`."""


def open_tensors(path: Path) -> tuple[LazyTensors, dict[str, str]]:
    """Open a file of tensors for lazy reading, and read its notes (with `format` and `digest`).

    Only the header is read and checked; `load_tensors` checks the bytes too.
    Raises ValueError when the file is damaged or of a format that this version does not know.
    """
    try:
        handle: LazyTensors = safe_open(path, framework="pt")
    except SafetensorError as error:
        raise _damaged(path, str(error)) from error
    metadata = handle.metadata() or {}
    if _KEY not in metadata:
        raise ValueError(f"{path} was not written by Carryover: its metadata have no entry {_KEY!r}")
    notes = _unsealed(metadata[_KEY], path)
    if notes["format"] != str(FORMAT):
        raise ValueError(
            f"{path} has format {notes['format']}, and this version of Carryover reads format {FORMAT}: "
            "use the version that made it, or delete the file to make it again"
        )
    return handle, notes


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read all tensors, on the CPU, and the notes (with `format` and `digest`) of a file.

    Raises ValueError when the file is damaged or of a format that this version does not know.
    """
    handle, notes = open_tensors(path)
    try:
        tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise _damaged(path, str(error)) from error
    if digest_of(tensors) != notes["digest"]:
        raise _damaged(path, "its bytes do not match the digest that it carries")
    return tensors, notes


def _damaged(path: Path, why: str) -> ValueError:
    return ValueError(f"{path} is damaged ({why}): delete it, and run the same command to make it again")
