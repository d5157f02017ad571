"""Randomness has names: every use owns a stream, and no stream knows of another."""

import hashlib

import torch


def stream_key(seed: int, *path: str | int) -> int:
    """Hash a seed and the name of a stream to 63 bits, the same in every process.

    Each part enters with its type and its length, so `("a", 1)` differs from `("a", "1")` and from `("a1",)`.
    """
    digest = hashlib.sha256()
    for part in (seed, *path):
        text = str(part).encode()
        digest.update(f"{type(part).__name__}:{len(text)}:".encode() + text)
    return int.from_bytes(digest.digest()[:8], "big") >> 1


def generator(seed: int, *path: str | int) -> torch.Generator:
    """Make the generator of a named stream, for example `generator(seed, "redraw", "fc1", 12)`.

    It lives on the CPU whatever the device: a net, an order and a redraw are then the same on every device.
    """
    return torch.Generator("cpu").manual_seed(stream_key(seed, *path))
