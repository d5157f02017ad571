"""From the entries of a study to its runs: an entry is one run, or a sweep where a setting is a list of values."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, get_origin

from pydantic import TypeAdapter, ValidationError

from carryover.core.config import Settings
from carryover.problems import Path, Problems, explain, mapping, members, nearest

MAX_NAME = 60
COMMON = ("recipe", "pairs", "seeds", "job")
"""What every entry may say beside the settings of its kind."""


@dataclass(frozen=True)
class Entry:
    """One run as a person wrote it: its name, its settings, and what it says beside them."""

    name: str
    where: Path
    settings: Settings
    beside: Mapping[str, Any]


DIVIDED_BY_CLASS = ("omniglot", "sinusoid")
"""Sources that are for few-shot learning, whatever their settings say."""


def known_dataset(
    problems: Problems, where: Path, name: Any, study: Mapping[str, Any], *, by_class: bool
) -> bool:
    """Note a problem unless `name` is a data set of the study that is divided by class, or by image."""
    datasets = mapping(study.get("datasets"))
    if not problems.reference(where, name, "dataset", datasets):
        return False
    given = mapping(datasets[name])
    if by_class == (given.get("class_split") is not None or given.get("source") in DIVIDED_BY_CLASS):
        return True
    problems.add(
        where,
        f"few-shot learning needs splits of different classes: give {name} a class_split"
        if by_class
        else f"{name} is for few-shot learning, its splits have different classes: name one without a class_split",
    )
    return False


def known_names(
    problems: Problems, where: Path, given: Mapping[str, Any], study: Mapping[str, Any], *, by_class: bool
) -> bool:
    """Note a problem unless the data set and the net that are given are those of the study."""
    sound = True
    if "dataset" in given:
        sound &= known_dataset(problems, (*where, "dataset"), given["dataset"], study, by_class=by_class)
    if "net" in given:
        sound &= problems.reference((*where, "net"), given["net"], "net", mapping(study.get("nets")))
    return sound


Complete = Callable[[dict[str, Any], Path], dict[str, Any] | None]
"""Replaces names in an entry's values by what they stand for; None after noting that a name stands for nothing."""


def read_entries(
    place: Path, model: type[Settings], raw: Mapping[str, Any], complete: Complete, problems: Problems
) -> dict[str, Entry]:
    """Make the runs of one kind from `raw`, the mapping of its section, which may be wrong anywhere.

    `place` is the section and the kind. A setting that takes one value and is given a list is swept: `steps: [1, 5]`
    of the entry `main` makes the runs `main-steps1` and `main-steps5`. An entry starts from the settings of its
    `recipe`, of which those that its kind does not have are ignored. Every problem is noted, and what is sound is
    returned.
    """
    runs: dict[str, Entry] = {}
    recipes = mapping(raw.get("recipes"))
    for name, given in mapping(raw.get(str(place[-1]))).items():
        where: Path = (*place, name)
        entry = mapping(given)
        recipe = entry.get("recipe")
        if recipe is not None and not problems.reference((*where, "recipe"), recipe, "recipe", recipes):
            continue
        base = {k: v for k, v in mapping(recipes.get(str(recipe))).items() if k in model.model_fields}
        for suffix, own in _points({k: v for k, v in entry.items() if k not in COMMON}, model):
            full = "-".join([str(name), *suffix])
            values = complete({**base, **own}, where)
            settings = None if values is None else _checked(model, values, where, problems)
            if len(full) > MAX_NAME:
                problems.add(where, f"the run name {full!r} has more than {MAX_NAME} characters")
            elif full in runs:
                problems.add(where, f"two runs would be called {full!r}: rename one of the entries")
            elif settings is not None:
                runs[full] = Entry(full, where, settings, {k: entry[k] for k in COMMON if k in entry})
    return runs


def _points(entry: Mapping[str, Any], model: type[Settings]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Yield every combination of the swept settings, with the parts that they add to the name."""
    swept = {k: v for k, v in entry.items() if isinstance(v, list) and not _takes_list(model, k)}
    for chosen in product(*swept.values()):
        values = dict(zip(swept, chosen, strict=True))
        yield [_tag(key, value) for key, value in values.items()], {**entry, **values}


def _tag(key: str, value: object) -> str:
    """Write a value as a part of a name; a name needs no key beside it."""
    if isinstance(value, str):
        return value
    return f"{key.replace('_', '')}{value:g}" if isinstance(value, int | float) else f"{key}{value}"


def _takes_list(model: type[Settings], key: str) -> bool:
    info = model.model_fields.get(key)
    return info is not None and any(get_origin(t) in (list, tuple) for t in members(info.annotation))


def _checked(
    model: type[Settings], values: Mapping[str, Any], where: Path, problems: Problems
) -> Settings | None:
    try:
        return TypeAdapter(model).validate_python(dict(values))
    except ValidationError as error:
        for detail in error.errors():
            key = str(detail["loc"][0]) if detail["loc"] else ""
            if key == "net" and any(path[:1] == ("nets",) for path in problems.found):
                continue  # noted with the net
            known = nearest(key, [*model.model_fields, *COMMON])
            text = (
                f"unknown setting; {known}" if detail["type"] == "extra_forbidden" else explain(dict(detail))
            )
            problems.add((*where, *detail["loc"]), text)
        return None
