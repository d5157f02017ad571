"""Accuracies that neighbours of the Meta-ticket paper publish, each with what is known of its recipe.

The paper's own numbers are not here: its tables were not available to us, and none is guessed. These are of MAML and
BOIL in other codes, for a look at the order of magnitude. None has our recipe, so none is drawn on axes of ours and no
claim is checked against one. They lie in `meta_ticket.json`, in percent; here they are fractions.

Source: Meta-ticket, section 5.4, read again in the README files of their authors.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

NOT_AVAILABLE = "The Meta-ticket paper's own numbers are not available to us."

_FILE = Path(__file__).with_suffix(".json")
_DIGEST = "6b320f317a48922e3c45d02ef42907e764e34891284940f3b182f2965f7d276a"
"""SHA-256 of the file: with it a change of the numbers is a change of the code, and figures are drawn again."""


@dataclass(frozen=True)
class Source:
    """Where accuracies are published."""

    name: str
    """As a note calls it."""
    place: str
    recipe: str
    """What is known of how they came about."""


SOURCES: Mapping[str, Source] = {
    "boil": Source(
        "BOIL's README",
        "README of github.com/HJ-Yoo/BOIL, the code of BOIL's authors",
        "mean and standard deviation over 5 x 1,000 tasks; 15 query images of a class, against as many as shots here; "
        "Adam; ResNet-12: inner rate 0.3, outer rate 6e-4; 4conv: inner rate 0.5, outer rate 1e-3; meta-batch 4; "
        "30,000 outer steps by default, 5,000 in its script for 4conv; batch-norm with statistics of the query",
    ),
    "learn2learn": Source(
        "learn2learn's README",
        "README of examples/vision of github.com/learnables/learn2learn",
        "numbers of tasks and seeds and the spread are not stated; the README says that only the inner rate was tuned",
    ),
    "learn2learn, original": Source(
        "MAML's paper, as learn2learn quotes it",
        "column `original` of the README of examples/vision of github.com/learnables/learn2learn",
        "second-hand; trained with 5 inner steps and tested with 10, as that README says",
    ),
}


@dataclass(frozen=True)
class Anchor:
    """One published accuracy of a neighbour, as a fraction."""

    source: Source
    method: str
    """As we call it: a key of the figures' methods."""
    net: str
    """As its source calls it."""
    ways: int
    shots: int
    trained: str
    """Data set of the meta-training."""
    tested: str
    """Data set of the test; another one is a transfer to another domain."""
    mean: float
    sd: float | None
    """None where no spread is known."""

    @property
    def recipe(self) -> str:
        """Say in one text where it is printed and how it came about."""
        return f"{self.source.place}: {self.source.recipe}"


def anchors() -> tuple[Anchor, ...]:
    """Give all published accuracies, in the order of the file."""
    return tuple(_anchor(row) for row in _rows())


def _anchor(row: Mapping[str, Any]) -> Anchor:
    sd = None if row["sd"] is None else round(row["sd"] / 100, 6)
    return Anchor(**{**row, "source": SOURCES[row["source"]], "mean": round(row["mean"] / 100, 6), "sd": sd})


@cache
def _rows() -> tuple[Mapping[str, Any], ...]:
    content = _FILE.read_bytes()
    assert hashlib.sha256(content).hexdigest() == _DIGEST, (
        f"{_FILE.name} is not the file whose digest is here"
    )
    return tuple(json.loads(content))
