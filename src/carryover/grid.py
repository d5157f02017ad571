"""From a study to its runs: every combination of settings, each with a name that says what it is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from carryover.core.config import canonical
from carryover.entries import known_dataset
from carryover.iterand.settings import METHODS
from carryover.problems import Path, Problems, explain, mapping, nearest
from carryover.train.settings import Training

MAX_NAME = 80
AXES = ("dataset", "net", "arm", "recipe")
TAGS = {
    "weights": "",
    "scores": "s",
    "lr": "lr",
    "score_lr": "lr",
    "sparsity": "p",
    "rank": "",
    "scope": "",
    "keep_rule": "",
    "randomize_every": "k",
    "randomize_prob": "r",
    "epochs": "e",
    "batch_size": "b",
    "momentum": "m",
    "weight_decay": "wd",
    "schedule": "",
    "augmentation": "",
    "precision": "",
    "stack": "stack",
}
"""How a setting that departs from recipe and arm shows in the name of a run; others show by their own name."""


@dataclass(frozen=True)
class Run:
    """One set of settings that seeds are trained with."""

    name: str
    method: str
    dataset: str
    settings: Training
    spec: str
    """Canonical JSON of the settings: what Snakemake compares."""


@dataclass(frozen=True)
class _Point:
    """One combination of a grid, each value with the place it was written at."""

    values: Mapping[str, Any]
    origins: Mapping[str, Path]


def expand(
    study: Mapping[str, Any], precision: str, problems: Problems
) -> tuple[dict[str, Run], dict[str, list[str]]]:
    """Make the runs of a study's `iterand` section, by name, and the names of each grid's runs.

    `study` is the raw mapping, which may be wrong anywhere: every problem is noted, and what is sound is
    expanded. Runs that several grids share are one run; two runs with one name or one run with two names are
    problems.
    """
    section = mapping(study.get("iterand"))
    _check_settings(section, problems)
    runs: dict[str, Run] = {}
    names: dict[str, str] = {}
    members: dict[str, list[str]] = {}
    for grid_name, grid in mapping(section.get("grids")).items():
        where: Path = ("iterand", "grids", grid_name)
        members[grid_name] = []
        for point in _points(mapping(grid), where):
            run = _run_of(point, study, precision, where, problems)
            if run is not None:
                _enter(run, runs, names, where, problems)
                if run.name not in members[grid_name]:
                    members[grid_name].append(run.name)
    return runs, members


def _points(grid: Mapping[str, Any], where: Path) -> Iterator[_Point]:
    """Walk the combinations of a grid: (product x zip - exclude) + include."""
    axes = {k: v for k, v in mapping(grid.get("product")).items() if isinstance(v, list)}
    together = {k: v for k, v in mapping(grid.get("zip")).items() if isinstance(v, list)}
    shared = {"recipe": grid["recipe"]} if grid.get("recipe") is not None else {}
    origin: dict[str, Path] = {"recipe": (*where, "recipe")}
    excluded = [mapping(e) for e in grid.get("exclude") or [] if mapping(e)]
    rows = range(min(map(len, together.values()))) if together else range(1)
    for row in rows if axes or together else ():
        for chosen in product(*(range(len(v)) for v in axes.values())):
            values = {**shared, **{k: v[row] for k, v in together.items()}}
            origins = {**origin, **{k: (*where, "zip", k, row) for k in together}}
            values |= {k: v[i] for (k, v), i in zip(axes.items(), chosen, strict=True)}
            origins |= {k: (*where, "product", k, i) for k, i in zip(axes, chosen, strict=True)}
            if not any(all(values.get(k) == v for k, v in e.items()) for e in excluded):
                yield _Point(values, origins)
    for index, extra in enumerate(grid.get("include") or []):
        place = (*where, "include", index)
        yield _Point({**shared, **mapping(extra)}, {**origin, **{k: (*place, k) for k in mapping(extra)}})


def _run_of(
    point: _Point, study: Mapping[str, Any], precision: str, where: Path, problems: Problems
) -> Run | None:
    """Make one run, or note why it cannot be: each problem at the place where the person wrote the value."""
    section = mapping(study.get("iterand"))
    if not _references_hold(point, study, where, problems):
        return None
    dataset, net, arm, recipe = (str(point.values.get(axis, "")) for axis in AXES)
    recipe_settings = mapping(mapping(section.get("recipes")).get(recipe))
    arm_settings = mapping(mapping(section.get("arms")).get(arm))
    method = arm_settings.get("method")
    if method not in METHODS:
        return None  # noted with the arm
    fields = METHODS[method].model_fields
    own = {k: v for k, v in point.values.items() if k not in AXES}
    base = {
        k: v for k, v in {"precision": precision, **recipe_settings, **arm_settings}.items() if k in fields
    }
    origins: dict[str, Path] = {
        **{k: ("iterand", "recipes", recipe, k) for k in recipe_settings},
        **{k: ("iterand", "arms", arm, k) for k in arm_settings},
        **point.origins,
    }
    place = {"dataset": dataset, "net": mapping(study.get("nets"))[net]}
    try:
        model = METHODS[method].model_validate({**base, **own, **place})
    except ValidationError as error:
        for detail in error.errors():
            _note(dict(detail), method, origins, where, problems)
        return None
    name = "-".join([dataset, net, arm, *_tags(model, own, base)])
    if len(name) > MAX_NAME:
        problems.add(where, f"the run name {name!r} has {len(name)} characters, more than {MAX_NAME}")
    return Run(name, method, dataset, model, canonical(model))


def _references_hold(point: _Point, study: Mapping[str, Any], where: Path, problems: Problems) -> bool:
    section = mapping(study.get("iterand"))
    known = {
        "net": mapping(study.get("nets")),
        "arm": mapping(section.get("arms")),
        "recipe": mapping(section.get("recipes")),
    }
    sound = True
    for axis in AXES:
        name = point.values.get(axis)
        if axis == "dataset" and name is not None:
            place = point.origins.get(axis, where)
            sound &= known_dataset(problems, place, name, study, by_class=False)
        elif name is not None:
            sound &= problems.reference(point.origins.get(axis, where), name, axis, known[axis])
        elif axis != "recipe":
            problems.add(where, f"every run needs a `{axis}`: add it to `product`, `zip` or `include`")
            sound = False
    return sound


def _tags(model: Training, own: Mapping[str, Any], base: Mapping[str, Any]) -> list[str]:
    """Name the settings that an axis makes different from what recipe, arm and defaults say, in the order of TAGS."""
    fields = type(model).model_fields
    usual = {k: base.get(k, None if fields[k].is_required() else fields[k].default) for k in own}
    tags = []
    for key in sorted(own, key=lambda k: list(TAGS).index(k) if k in TAGS else len(TAGS)):
        value = getattr(model, key)
        if usual[key] is None or value != _validated(fields[key], usual[key]):
            tag = TAGS.get(key, key.replace("_", ""))
            tags.append(f"{tag}{value:g}" if isinstance(value, float) else f"{tag}{value}")
    return tags


def _validated(info: FieldInfo, value: object) -> object:
    return Problems("").check((), Annotated[info.annotation, info], value)


def _note(
    detail: Mapping[str, Any], method: str, origins: Mapping[str, Path], where: Path, problems: Problems
) -> None:
    key = str(detail["loc"][0])
    if key == "net":
        return  # noted with the net
    if detail["type"] == "missing":
        problems.add((*where, key), f"method {method} needs this setting: add it to recipe, arm or an axis")
    elif detail["type"] == "extra_forbidden":
        known = nearest(key, METHODS[method].model_fields)
        problems.add(origins[key], f"method {method} has no setting '{key}'; {known}")
    else:
        problems.add(origins.get(key, where), explain(detail))


def _enter(run: Run, runs: dict[str, Run], names: dict[str, str], where: Path, problems: Problems) -> None:
    """Add a run to those of the study; note when its name or its settings are taken by a different one.

    `names` has the name of the run with each spec.
    """
    known = runs.setdefault(run.name, run)
    if known.spec != run.spec:
        differ = [k for k, v in known.settings.model_dump().items() if run.settings.model_dump().get(k) != v]
        problems.add(
            where,
            f"two different runs would be called {run.name!r} (they differ in {', '.join(differ)}):"
            " give one of them an arm of its own, or put the setting on an axis",
        )
    twin = names.setdefault(run.spec, run.name)
    if twin != run.name:
        problems.add(
            (*where, run.name),
            f"{run.name!r} and {twin!r} are the same run and would be trained twice: name one",
        )


def _check_settings(section: Mapping[str, Any], problems: Problems) -> None:
    """Note unknown settings and bad values in recipes and arms, used or not, and in the axes of grids."""
    everything = {key for model in METHODS.values() for key in model.model_fields} - {
        "dataset",
        "net",
        "method",
    }
    for name, recipe in mapping(section.get("recipes")).items():
        for key, value in mapping(recipe).items():
            _check_setting(key, [value], everything, ("iterand", "recipes", name, key), problems)
    for name, arm in mapping(section.get("arms")).items():
        place: Path = ("iterand", "arms", name)
        method = mapping(arm).get("method")
        if method not in METHODS:
            problems.add((*place, "method"), f"{method!r} is no method; {nearest(method, METHODS)}")
            continue
        if str(name).split("-")[0] != method or set(str(name).split("-")[1:]) & set(METHODS):
            problems.add(place, f"an arm's name begins with its method and names no other: '{method}-...'")
        for key, value in mapping(arm).items():
            own = set(METHODS[method].model_fields)
            _check_setting(key, [value], own, (*place, key), problems)
    for name, grid in mapping(section.get("grids")).items():
        for kind in ("product", "zip"):
            axes = mapping(mapping(grid).get(kind))
            lengths = {len(values) for values in axes.values() if isinstance(values, list)}
            if kind == "zip" and len(lengths) > 1:
                problems.add(("iterand", "grids", name, kind), "axes that move together need equal lengths")
            for key, values in axes.items():
                if key not in AXES and isinstance(values, list):
                    _check_setting(key, values, everything, ("iterand", "grids", name, kind, key), problems)


def _check_setting(key: str, values: list[Any], known: set[str], place: Path, problems: Problems) -> None:
    """Note a setting that no method has, and values that no method takes."""
    if key not in known:
        problems.add(place, f"unknown setting; {nearest(key, known)}")
        return
    takers = [model.model_fields[key] for model in METHODS.values() if key in model.model_fields]
    for index, value in enumerate(values):
        errors = []
        for info in takers:
            trial = Problems("")
            trial.check((), Annotated[info.annotation, info], value)
            errors.append(next(iter(trial.found.values()), None))
        if all(errors):
            problems.add((*place, index) if place[1] == "grids" else place, str(errors[0]))
