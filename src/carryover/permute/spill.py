"""Tensors kept in a file instead of in memory."""

from pathlib import Path

import numpy as np
import torch

from carryover.core.block import Tensors

ALIGNMENT = 64
"""Bytes between places in the file at which a tensor may begin."""


class Spill:
    """A file that grows; what is kept in it is mapped, so that the system may drop its pages from memory at any time.

    The caller deletes the file in the end. Each kept dictionary holds a file descriptor as long as one of its
    tensors is in use.
    """

    def __init__(self, path: Path):
        self._path = path
        self.clear()

    def keep(self, tensors: Tensors) -> Tensors:
        """Write tensors to the end of the file and return them as pages of it, on the CPU, otherwise equal."""
        if not tensors:
            return {}
        start = self._path.stat().st_size
        places = {}
        with self._path.open("ab") as file:
            for name, tensor in tensors.items():
                places[name] = file.tell() - start
                raw = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
                file.write(raw.data)
                file.write(bytes(-raw.size % ALIGNMENT))
        # mode c: tensors of their own to whoever writes to them; the file stays as it is
        pages = torch.from_numpy(np.memmap(self._path, np.uint8, mode="c", offset=start))
        return {
            name: pages[place : place + tensors[name].nbytes].view(tensors[name].dtype).view_as(tensors[name])
            for name, place in places.items()
        }

    def clear(self) -> None:
        """Begin an empty file; the old one's space is free when none of its tensors is in use."""
        self._path.unlink(missing_ok=True)
        self._path.touch()
