"""JSON schemas and the reference of all settings, generated from the models."""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from carryover.iterand.settings import METHODS
from carryover.metaticket.settings import KINDS as FEWSHOT_KINDS
from carryover.problems import members
from carryover.study import Config, Study
from carryover.transfer.settings import KINDS as TRANSFER_KINDS

ENTRIES = {
    "transfer": ("TransferStudy", "pairs", TRANSFER_KINDS),
    "metaticket": ("MetaticketStudy", "seeds", FEWSHOT_KINDS),
}
"""Sections whose runs come in kinds: model of the section, name of its blocks, settings of each kind."""

MODELS: dict[str, type[BaseModel]] = {"config": Config, "study": Study}


def schema_texts() -> dict[str, str]:
    """Write the JSON schema of each file that a person writes: file name -> text."""
    texts = {}
    for name, model in MODELS.items():
        schema = model.model_json_schema()
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
        if name == "study":
            _describe_partial_settings(schema)
            _describe_entries(schema)
        texts[f"{name}.schema.json"] = json.dumps(schema, indent=2, sort_keys=True) + "\n"
    return texts


def _describe_partial_settings(schema: dict[str, Any]) -> None:
    """Let an editor complete the settings of recipes and arms, which are parts of a run's settings."""
    properties: dict[str, Any] = {}
    for model in METHODS.values():
        own = model.model_json_schema()
        schema["$defs"].update({k: v for k, v in own.get("$defs", {}).items() if k not in schema["$defs"]})
        for key, value in own["properties"].items():
            properties.setdefault(key, value)
    properties["method"] = {"enum": list(METHODS), "description": "Method of the arm."}
    partial = {
        "type": "object",
        "additionalProperties": False,
        "properties": {k: v for k, v in properties.items() if k not in ("dataset", "net")},
    }
    section = schema["$defs"]["IterandStudy"]["properties"]
    for key in ("recipes", "arms"):
        section[key] = {
            "type": "object",
            "additionalProperties": partial,
            "description": section[key]["description"],
        }


def _describe_entries(schema: dict[str, Any]) -> None:
    """Let an editor complete the entries of each kind of run: any of its settings, or a list of values to sweep."""
    for study, blocks, kinds in ENTRIES.values():
        section = schema["$defs"][study]["properties"]
        beside = {"recipe": {"type": "string"}, blocks: section[blocks], "job": section["job"]}
        _describe_kinds(schema, section, beside, kinds)


def _describe_kinds(
    schema: dict[str, Any],
    section: dict[str, Any],
    beside: dict[str, Any],
    kinds: Mapping[str, type[BaseModel]],
) -> None:
    for kind, model in kinds.items():
        own = model.model_json_schema()
        schema["$defs"].update({k: v for k, v in own.get("$defs", {}).items() if k not in schema["$defs"]})
        swept: dict[str, Any] = {
            key: {"anyOf": [each, {"type": "array"}]} for key, each in own["properties"].items()
        }
        if "net" in swept:
            swept["net"] = {
                "type": ["string", "array"],
                "description": "Name of a net of the study, or several.",
            }
        section[kind]["additionalProperties"] = {
            "type": "object",
            "additionalProperties": False,
            "properties": {**swept, **beside},
        }


def reference_text() -> str:
    """Write docs/config.md: every setting with its type, range, default and meaning."""
    lines = [
        "# Every setting",
        "",
        "Generated from the models by `carryover schema`; do not edit. Editors that read",
        "`# yaml-language-server: $schema=...` complete and check the files from `workflow/schemas/`.",
        "",
        "`1e-3` and `0.001` are the same number everywhere. A wrong setting stops everything before it starts,",
        "with all problems at once.",
    ]
    seen: set[type[BaseModel]] = set()
    queue: list[tuple[str, type[BaseModel]]] = [("config.yaml", Config), ("studies/*.yaml", Study)]
    queue += [(f"A run with method `{name}`", model) for name, model in METHODS.items()]
    queue += [
        (f"An entry of `{section}.{kind}`", model)
        for section, (_, _, kinds) in ENTRIES.items()
        for kind, model in kinds.items()
    ]
    while queue:
        title, model = queue.pop(0)
        if model in seen:
            continue
        seen.add(model)
        lines += [
            "",
            f"## {title}",
            "",
            _sentence(model),
            "",
            "| setting | type | default | meaning |",
            "|---|---|---|---|",
        ]
        for key, info in model.model_fields.items():
            lines.append(
                f"| `{key}` | {_type(info)} | {_default(info)} | {' '.join((info.description or '').split())} |"
            )
            queue += [(f"`{nested.__name__}`", nested) for nested in _models(info.annotation)]
    return "\n".join(lines) + "\n"


def _sentence(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    for member in members(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            yield member
        for inner in get_args(member):
            yield from _models(inner)


def _type(info: FieldInfo) -> str:
    limits = []
    for rule in info.metadata:
        match rule:
            case Ge(ge=bound):
                limits.append(f">= {bound}")
            case Gt(gt=bound):
                limits.append(f"> {bound}")
            case Le(le=bound):
                limits.append(f"<= {bound}")
            case Lt(lt=bound):
                limits.append(f"< {bound}")
            case MinLen(min_length=bound):
                limits.append(f"at least {bound}")
            case MaxLen(max_length=bound):
                limits.append(f"at most {bound}")
    return _name(info.annotation) + (f", {', '.join(limits)}" if limits else "")


def _name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_name(a) for a in arguments))
    if origin is dict:
        return f"mapping of {_name(arguments[-1])}"
    if origin in (list, tuple):
        return f"list of {_name(arguments[0])}"
    if arguments:
        return _name(arguments[0])
    names = {
        str: "text",
        float: "number",
        int: "whole number",
        bool: "true or false",
        type(None): "null",
        Any: "anything",
    }
    return names.get(annotation) or f"`{annotation.__name__}`"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    default = info.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        return "its defaults"
    return f"`{json.dumps(to_jsonable_python(default))}`"


def write(root: Path) -> list[Path]:
    """Write all generated files below the root of the repository; return those that changed."""
    texts = {root / "workflow" / "schemas" / name: text for name, text in schema_texts().items()}
    texts[root / "docs" / "config.md"] = reference_text()
    changed = [path for path, text in texts.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in changed:
        path.write_text(texts[path], "utf-8")
    return changed


def add_to(subparsers: Any) -> None:
    """Add the `schema` command."""
    parser = subparsers.add_parser(
        "schema", help="write workflow/schemas/ and docs/config.md from the models"
    )
    parser.add_argument("--root", type=Path, default=Path(), help="root of the repository (default: here)")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    changed = write(args.root)
    print("\n".join(f"wrote {path}" for path in changed) or "everything is up to date")
