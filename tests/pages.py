"""The fenced blocks of the pages in docs: files to write, changes to files, and commands to type."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ((?:src|studies|tests)/\S+)\n")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    """List the fenced blocks of a page in order."""
    return [Block(*found) for found in FENCE.findall(page.read_text("utf-8"))]


def commands(page: Path) -> list[str]:
    """List the lines that a reader types into a shell."""
    lines = [
        line for block in blocks(page) if block.language in ("sh", "") for line in block.text.splitlines()
    ]
    return [line.removeprefix("$ ").strip() for line in lines if line.strip() and not line.startswith("#")]


def new_files(page: Path) -> dict[str, str]:
    """Read the blocks that begin with the name of a file as a comment: path -> text."""
    named = ((FILE.match(block.text), block.text) for block in blocks(page))
    return {match[1]: text[match.end() :] for match, text in named if match}


def changes(page: Path) -> dict[str, list[tuple[str, str]]]:
    """Read the blocks of changes: path -> (text before, text after) of each hunk, `@@` between them."""
    found: dict[str, list[tuple[str, str]]] = {}
    for block in blocks(page):
        if block.language == "diff":
            header, *hunks = block.text.split("\n@@\n")
            found[header.removeprefix("--- ")] = [(_side(hunk, "-"), _side(hunk, "+")) for hunk in hunks]
    return found


def _side(hunk: str, sign: str) -> str:
    return "".join(f"{line[1:]}\n" for line in hunk.splitlines() if line[:1] in (" ", "", sign))


def follow(page: Path, folder: Path) -> set[str]:
    """Do to a copy of the repository what a page says; return the paths of all files it touches.

    A hunk must fit in exactly one place.
    """
    for path, text in new_files(page).items():
        assert not (ROOT / path).exists(), f"{page.name} writes {path}, which is there already"
        (folder / path).write_text(text, "utf-8")
    for path, hunks in changes(page).items():
        text = (folder / path).read_text("utf-8")
        for before, after in hunks:
            assert text.count(before) == 1, (
                f"{page.name}: this is {text.count(before)} times in {path}:\n{before}"
            )
            text = text.replace(before, after)
        (folder / path).write_text(text, "utf-8")
    return {*new_files(page), *changes(page)}
