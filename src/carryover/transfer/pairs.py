"""Pairs of source and target, their seeds, and the blocks that one process works on. Light: needs no torch."""

import re
from typing import Literal, get_args

Role = Literal["source", "target"]
ROLES: tuple[Role, ...] = get_args(Role)
"""What a net can be to a transfer."""


def seed_of(role: str, pair: int) -> int:
    """Give the seed of a net: 101 for the source of pair 1, 102 for its target.

    Source: learning transfer, section 2.5 (seeds of the published code).
    """
    assert role in ROLES, f"a net is a source or a target: got {role}"
    return 100 * pair + 1 + ROLES.index(role)


def net_of(seed: int) -> tuple[Role, int]:
    """Give role and pair of a seed; the inverse of `seed_of`."""
    pair, number = divmod(seed, 100)
    assert number in (1, 2), f"no seed of a pair: {seed}"
    return ROLES[number - 1], pair


def pairs_of(block: str) -> tuple[int, ...]:
    """Read the pairs of a block: `pairs1-3`, `source1-3` and `target1-3` are 1, 2, 3; `target2` is 2.

    Raises ValueError for any other form.
    """
    return _read(block)[1]


def seeds_of_block(block: str) -> tuple[int, ...]:
    """Read the seeds of a block of sources or of targets: `source1-3` is 101, 201, 301.

    Raises ValueError for any other form.
    """
    word, pairs = _read(block)
    for role in ROLES:
        if word == role:
            return tuple(seed_of(role, pair) for pair in pairs)
    raise ValueError(f"seeds: nets are trained in blocks of one role, source1-3 or target2: got {block!r}")


def _read(block: str) -> tuple[str, tuple[int, ...]]:
    match = re.fullmatch(r"(source|target|pairs)(\d+)(?:-(\d+))?", block, flags=re.ASCII)
    first, last = (int(match[2]), int(match[3] or match[2])) if match else (0, 0)
    if match is None or not 1 <= first <= last:
        raise ValueError(
            "seeds: a block is written source1-3, target2 or pairs1-3, the lower pair first and counted from 1: "
            f"got {block!r}"
        )
    return match[1], tuple(range(first, last + 1))
