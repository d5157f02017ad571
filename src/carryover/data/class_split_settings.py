"""Lists of classes that train, validate and test few-shot learning. Light: the Snakefile reads them without torch."""

import hashlib
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from carryover.core.config import Settings, canonical

LISTS = Path(__file__).parent / "class_lists"
"""Folder of the lists that come with the package."""
FOLDERS = "folders"
"""Class split of a folder whose own train, val and test hold different classes."""
PAGE = "docs/how-to/add-a-class-split.md"

Name = Annotated[str, Field(min_length=1)]
Rotations = Annotated[tuple[Literal[0, 90, 180, 270], ...], Field(min_length=1)]
"""Degrees, counter-clockwise."""


class ClassEntry(Settings):
    """A class, or all classes whose names fit a pattern, with rotations of its own."""

    name: Name = Field(alias="class")
    """Name of the class in the source; `*` stands for any text."""
    rotations: Rotations
    """Rotations of its images; each is a class of its own, called `name@90` unless it is 0."""


Entries = tuple[Name | ClassEntry, ...]


class ClassSplit(Settings):
    """Which classes train, validate and test. No class is in two of them, in whatever rotation."""

    origin: Name
    """Where the list comes from, in a sentence."""
    rotations: Rotations = (0,)
    """Rotations of every class that does not have its own."""
    train: Entries
    """Classes to learn from: names, patterns with `*`, or mappings of `class` and `rotations`. There may be none in a
    set that nets of other sets are just tested on."""
    val: Entries
    """Classes to choose settings on. There may be none in such a set; a training is measured on tasks of these, so it
    needs some."""
    test: Entries
    """Classes to report on."""

    @model_validator(mode="after")
    def _names_each_class_once(self) -> "ClassSplit":
        check_once([(part, entry.name) for part in ("train", "val", "test") for entry in self.entries(part)])
        for entry in (entry for part in ("train", "val", "test") for entry in self.entries(part)):
            if len(set(entry.rotations)) < len(entry.rotations):
                raise ValueError(
                    f"the rotations of {entry.name} are different ones: got {list(entry.rotations)}"
                )
        return self

    def entries(self, part: str) -> Iterator[ClassEntry]:
        """Yield the entries of train, val or test, each with its rotations."""
        for entry in getattr(self, part):
            named = isinstance(entry, ClassEntry)
            yield entry if named else ClassEntry.model_validate({"class": entry, "rotations": self.rotations})


def check_once(placed: Sequence[tuple[str, str]]) -> None:
    """Make sure that no class is placed twice; `placed` holds the part and the name of each class.

    Raises ValueError with the class and its places otherwise.
    """
    first: dict[str, str] = {}
    for part, name in placed:
        if name in first:
            where = f"twice in {part}" if first[name] == part else f"in {first[name]} and in {part}"
            raise ValueError(
                f"class_split: each class stands in one place, with all of its rotations: {name} is {where}"
            )
        first[name] = part


def shipped() -> list[str]:
    """Name the lists that come with the package."""
    return sorted(path.stem for path in LISTS.glob("*.json"))


def check_class_split(name: str) -> None:
    """Make sure that `name` is a list that comes with the package, `folders`, or the path of a JSON file.

    The file of one's own is not opened: it is read when the data set is made.
    Raises ValueError otherwise.
    """
    if name in (FOLDERS, *shipped()) or name.endswith(".json"):
        return
    near = "".join(f", perhaps {each}" for each in get_close_matches(name, [FOLDERS, *shipped()], 1))
    raise ValueError(
        f"class_split: no list is called {name}{near}. Those that come with the package are {', '.join(shipped())}; "
        f"`{FOLDERS}` takes the train, val and test of a folder; a list of your own is given by its path, which ends "
        f"in .json ({PAGE} says what is in it and where lists are published)"
    )


def read_class_split(name: str) -> ClassSplit:
    """Read a list that comes with the package, or the file of one's own whose path is `name`.

    Raises ValueError when there is no such list, or when it is no class split.
    """
    check_class_split(name)
    path = Path(name) if name.endswith(".json") else LISTS / f"{name}.json"
    if not path.is_file():
        raise ValueError(
            f"class_split: {path} is missing; a relative path starts where the command is run ({PAGE})"
        )
    try:
        return ClassSplit.model_validate_json(path.read_bytes())
    except ValidationError as error:
        rules = [
            ": ".join([*map(str, e["loc"]), e["msg"].removeprefix("Value error, ")]) for e in error.errors()
        ]
        raise ValueError(f"{path} is no class split ({PAGE}): {'; '.join(rules)}") from None


def class_split_digest(name: str | None) -> str:
    """Digest what a class split says, as 16 hexadecimal digits; nothing when there is no list to read.

    Data sets carry it beside their settings, which have only the name, so that a changed list makes them anew.
    Raises ValueError when there is no such list, or when it is no class split.
    """
    if name is None or name == FOLDERS:
        return ""
    return hashlib.sha256(canonical(read_class_split(name)).encode()).hexdigest()[:16]
