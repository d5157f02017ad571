"""Attempts of a stage whose time budget is over before its first step ends."""

import os
import re
import subprocess
from collections.abc import Sequence

SPENT = ("--minutes", "0.0001")


def assert_every_attempt_comes_further(command: Sequence[object]) -> None:
    """Start a command three times with a spent budget: each attempt saves, exits with 75, and is further on."""
    saved = [0]
    for _ in range(3):
        stopped = subprocess.run([*map(str, command), *SPENT], check=False, stderr=subprocess.PIPE, text=True)
        assert stopped.returncode == os.EX_TEMPFAIL
        saved += map(int, re.findall(r"the time budget is over; saved after step (\d+)", stopped.stderr))
    assert len(saved) == 4
    assert saved == sorted(set(saved)), "every attempt comes further, however short it is"
