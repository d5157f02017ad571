"""Everything that is wrong with a config, at once: where, which rule, which value, and the nearest valid name."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

Path = tuple[str | int, ...]


class ConfigError(ValueError):
    """A config that a person has to mend; its message lists every problem."""


def mapping(value: object) -> Mapping[str, Any]:
    """Take a part of a raw config that should be a mapping; what is none has no keys, and is noted elsewhere."""
    return value if isinstance(value, Mapping) else {}


def nearest(name: object, known: Iterable[str]) -> str:
    """Say which known name was probably meant, and which there are."""
    known = sorted(known)
    close = get_close_matches(str(name), known, n=1, cutoff=0.5)
    listed = ", ".join(known) if len(known) <= 12 else ", ".join(known[:12]) + ", ..."
    return (f"did you mean '{close[0]}'? " if close else "") + f"known: {listed or 'none'}"


@dataclass
class Problems:
    """Collects problems by path; the first problem of a path is the one that is told."""

    file: str
    found: dict[Path, str] = field(default_factory=dict)

    def add(self, path: Path, message: str) -> None:
        """Note a problem."""
        self.found.setdefault(path, message)

    def check(self, path: Path, annotation: Any, value: object) -> Any:
        """Validate a value against a type; return what was made of it, or None after noting why not."""
        try:
            return TypeAdapter(annotation).validate_python(value)
        except ValidationError as error:
            for detail in error.errors():
                where, _ = _walk(annotation, detail["loc"])
                self.add((*path, *where), explain(detail, _known_settings(annotation, detail["loc"])))
            return None

    def reference(self, path: Path, name: object, kind: str, known: Iterable[str]) -> bool:
        """Note a problem unless `name` is a known one."""
        known = list(known)
        if name in known:
            return True
        self.add(path, f"{name!r} is no {kind} of this study; {nearest(name, known)}")
        return False

    def lines(self) -> list[str]:
        """Write one line per problem."""
        return [f"{self.file}: {written(path)}: {text}" for path, text in self.found.items()]


def raise_problems(*files: Problems) -> None:
    """Raise ConfigError with the problems of all files, if there are any."""
    lines = [line for problems in files for line in problems.lines()]
    if lines:
        count = f"{len(lines)} problem" + "s" * (len(lines) > 1)
        raise ConfigError(f"{count} in the settings; nothing was started\n  " + "\n  ".join(lines))


def written(path: Path) -> str:
    """Write a path as a person would look for it: `iterand.grids.rate.product.net[1]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "(top level)"


def members(annotation: Any) -> tuple[Any, ...]:
    """List the types that an annotation allows, through Annotated and unions."""
    if get_origin(annotation) is Annotated:
        return members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return tuple(m for arg in get_args(annotation) for m in members(arg))
    return (annotation,)


def _tags(model: Any) -> set[str]:
    """Read the values of the one-valued Literal fields of a model: the tags of a union."""
    fields = model.model_fields.values() if _is_model(model) else ()
    return {str(a) for f in fields for a in get_args(f.annotation) if len(get_args(f.annotation)) == 1}


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _walk(annotation: Any, loc: Sequence[str | int]) -> tuple[list[str | int], tuple[Any, ...]]:
    """Follow pydantic's location; return it without the tags of unions, and the types met at its end."""
    path: list[str | int] = []
    types = members(annotation)
    for part in loc:
        tagged = tuple(t for t in types if part in _tags(t))
        if len(types) > 1 and tagged:
            types = tagged
            continue
        following: list[Any] = []
        for each in types:
            if _is_model(each) and part in each.model_fields:
                info = each.model_fields[str(part)]
                following.extend(members(info.annotation))
            elif get_origin(each) in (dict, list, tuple):
                following.extend(members(get_args(each)[-1]))
        if not following and types and not any(_is_model(t) for t in types):
            continue  # the name of a branch that pydantic tried, not a key that a person wrote
        path.append(part)
        types = tuple(following)
    return path, types


def _known_settings(annotation: Any, loc: Sequence[str | int]) -> set[str]:
    _, parents = _walk(annotation, loc[:-1])
    return {name for model in parents if _is_model(model) for name in model.model_fields}


def explain(detail: Mapping[str, Any], known: Iterable[str] = ()) -> str:
    """Say in one line what pydantic found wrong with a value; `known` are the settings that exist there."""
    value, context = detail["input"], detail.get("ctx", {})
    tag = str(context.get("discriminator", "")).strip("'")
    match detail["type"]:
        case "extra_forbidden":
            return f"unknown setting; {nearest(detail['loc'][-1], known)}"
        case "missing":
            return "required, but not there"
        case "literal_error":
            return f"{value!r} is not allowed; {nearest(value, _quoted(context['expected']))}"
        case "union_tag_invalid":
            tags = _quoted(context["expected_tags"])
            return f"{tag} {context['tag']!r} is not allowed; {nearest(context['tag'], tags)}"
        case "union_tag_not_found":
            return f"{tag} is required here"
    rule = detail["msg"].removeprefix("Value error, ")
    return f"{rule[0].lower()}{rule[1:]}, got {value!r}"


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)
