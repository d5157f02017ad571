"""State dicts as people save them: safetensors files, ours or anyone's. Never pickle."""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from carryover.io.checkpoint import load_tensors

NOTES = "carryover"
"""Metadata key of a file that has notes of ours, and with them a digest."""


def names_in(path: Path) -> list[str]:
    """List the tensors of a safetensors file.

    Raises ValueError when it is missing, damaged or no safetensors file.
    """
    if path.suffix != ".safetensors":
        raise ValueError(
            f"{path}: tensors are read from .safetensors files only, since nothing is ever unpickled; "
            "safetensors.torch.save_file(net.state_dict(), file) writes one"
        )
    if not path.is_file():
        raise ValueError(f"{path} is missing")
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file, or damaged ({error}): write it again") from error


def load_state(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file, on the CPU; where it carries a digest of ours, that is checked.

    Raises ValueError when it is missing, damaged or no safetensors file.
    """
    names = names_in(path)
    with safe_open(path, framework="pt") as file:
        if NOTES not in (file.metadata() or {}):
            return {name: file.get_tensor(name) for name in names}
    return load_tensors(path)[0]
