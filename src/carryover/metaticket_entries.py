"""From a study's `metaticket` section to its runs, with what only several settings together can tell checked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from carryover.entries import Entry, known_names, read_entries
from carryover.metaticket.methods import METHODS, learns_head
from carryover.metaticket.settings import KINDS, FewshotTest, FewshotTraining
from carryover.problems import Path, Problems, mapping

REGRESSION = ("sinusoid",)
"""Sources whose targets are numbers."""
AS_BEFORE = ("net", "dataset", "ways", "norm", "masked", "weights")
"""Settings that a training of meta-lth shares with the one that it prunes: they decide which weights and norms a net
has, what these start from, and which of them the mask is for."""
Problem = tuple[str, str]
"""Setting of an entry, and what is wrong with it."""


@dataclass
class _Reader:
    """Reads the kinds one after the other, each of which may name runs of those before it."""

    study: Mapping[str, Any]
    problems: Problems
    runs: dict[str, dict[str, Entry]] = field(default_factory=dict)
    unsound: set[tuple[str, object]] = field(default_factory=set)
    """Kinds and entries that lack a run because its training is not there."""

    def read(self) -> dict[str, dict[str, Entry]]:
        section = mapping(self.study.get("metaticket"))
        for kind, model in KINDS.items():
            self.kind, self.model = kind, model
            self.runs[kind] = {}
            raw = (
                section
                if kind == "trainings"
                else {**section, kind: self._spread(mapping(section.get(kind)))}
            )
            self.runs[kind] = read_entries(("metaticket", kind), model, raw, self._complete, self.problems)
            for run, entry in list(self.runs[kind].items()):
                if kind != "trainings" and entry.settings.training not in self.runs["trainings"]:  # type: ignore[attr-defined]
                    del self.runs[kind][run]  # noted at its training
                    self.unsound.add((kind, entry.where[-1]))
                else:
                    self._check(entry)
        return self.runs

    def _spread(self, entries: Mapping[str, Any]) -> dict[str, Any]:
        """Let the name of a swept training stand for all of its runs."""
        spread: dict[str, Any] = {}
        for name, given in entries.items():
            entry = dict(mapping(given))
            wanted = entry.get("training")
            names = wanted if isinstance(wanted, list) else [wanted]
            found = [run for each in names for run in self._runs_of(each)]
            if isinstance(wanted, list) or found != [wanted]:
                entry["training"] = found if len(found) != 1 else found[0]
            spread[name] = entry if isinstance(given, Mapping) else given
        return spread

    def _runs_of(self, name: object) -> list[object]:
        trainings = self.runs["trainings"]
        if not isinstance(name, str) or name in trainings:
            return [name]
        return [run for run, entry in trainings.items() if entry.where[-1] == name] or [name]

    def _complete(self, values: dict[str, Any], where: Path) -> dict[str, Any] | None:
        """Put the settings of a net in the place of its name."""
        sound = True
        for key, kind in self.model.refers.items():  # type: ignore[attr-defined]
            if values.get(key) is not None and kind != self.kind:
                self._known((*where, key), values[key], kind)
        given = {key: values[key] for key in self.model.model_fields if values.get(key) is not None}
        sound &= known_names(self.problems, where, given, self.study, by_class=True)
        if not sound:
            return None
        if isinstance(values.get("net"), str):
            values["net"] = mapping(self.study["nets"])[values["net"]]
        return values

    def _known(self, where: Path, name: object, kind: str) -> bool:
        """Tell whether a run is there, after noting why not; one that is merely unsound has been noted elsewhere."""
        runs = self.runs[kind]
        if isinstance(name, str) and name in runs:
            return True
        raw = mapping(mapping(self.study.get("metaticket")).get(kind))
        swept = [run for run, entry in runs.items() if entry.where[-1] == name]
        if swept:
            self.problems.add(where, f"{where[-1]} names one run, such as {swept[0]}: {name} has several")
        elif not any(self._is_unsound(kind, entry) for entry in raw if f"{name}-".startswith(f"{entry}-")):
            self.problems.reference(where, name, f"run in metaticket.{kind}", {*runs, *raw})
        return False

    def _is_unsound(self, kind: str, entry: object) -> bool:
        """Tell whether an entry may lack runs because of a problem that has been noted."""
        places = {path[:3] for path in self.problems.found}
        of_nets = any(place[:1] == ("nets",) for place in places)
        return of_nets or ("metaticket", kind, entry) in places or (kind, entry) in self.unsound

    def _check(self, entry: Entry) -> None:
        settings: Any = entry.settings
        if isinstance(settings, FewshotTraining):
            found = [*_of_training(settings, self._source(settings.dataset)), *self._of_start(entry)]
        else:
            training: Any = self.runs["trainings"][settings.training].settings
            found = list(self._of_dataset(settings.dataset or training.dataset, training))
            if isinstance(settings, FewshotTest):
                found += _of_test(settings, training)
        for setting, text in found:
            self.problems.add((*entry.where, setting), text)

    def _of_start(self, entry: Entry) -> Iterator[Problem]:
        settings: Any = entry.settings
        name = settings.start
        if name is None or not self._known((*entry.where, "start"), name, "trainings"):
            return
        before: Any = self.runs["trainings"][name].settings
        differ = [key for key in AS_BEFORE if getattr(before, key) != getattr(settings, key)]
        if differ or before.method != "maml":
            same = f"{', '.join(AS_BEFORE[:-1])} and {AS_BEFORE[-1]}"
            other = f"has another {', '.join(differ)}" if differ else f"is one of {before.method}"
            yield "start", f"meta-lth prunes a training of maml with the same {same}; {name} {other}"

    def _of_dataset(self, name: str, training: FewshotTraining) -> Iterator[Problem]:
        if (self._source(name) in REGRESSION) != (self._source(training.dataset) in REGRESSION):
            yield "dataset", "a net of classes is tested on images, a regressor on numbers"

    def _source(self, dataset: str) -> object:
        return mapping(mapping(self.study.get("datasets")).get(dataset)).get("source")


def _of_training(run: FewshotTraining, source: object) -> Iterator[Problem]:
    numbers, regressor = source in REGRESSION, run.net.kind == "regressor"
    if numbers != regressor:
        yield "net", "the net of kind regressor and sinusoids belong together"
    if regressor and run.norm != "none":
        yield "norm", "the net of kind regressor has no batch-norm: set `norm: none`"
    yield from _of_ways(run.ways, numbers)
    if source == "imagenet":
        yield "dataset", "tasks are drawn from images in memory: use source folder"
    adapts = [role for role in METHODS[run.method].adapts if role != "norm" or run.norm != "none"]
    if not any(run.inner_lrs.get(role, run.inner_lr) for role in adapts):
        yield (
            "inner_lrs",
            f"{run.method} adapts {', '.join(adapts)}, and with rates of 0 nothing: give one of them a rate above 0",
        )
    late = 0 < run.outer_steps <= run.randomize_every and run.randomize_prob > 0
    if late and METHODS[run.method].masks == "scores":
        yield (
            "randomize_every",
            f"the first redraw comes after {run.randomize_every} steps, too late for {run.outer_steps} outer steps: "
            "make this smaller, or randomize_prob 0",
        )


def _of_ways(ways: int, numbers: bool) -> Iterator[Problem]:
    if numbers and ways != 1:
        yield "ways", "sinusoids have no classes: `ways` is 1"
    if not numbers and ways == 1:
        yield "ways", "with one class there is nothing to tell apart: `ways` is 2 at least"


def _of_test(test: FewshotTest, training: FewshotTraining) -> Iterator[Problem]:
    regressor = training.net.kind == "regressor"
    if test.ways is not None:
        yield from _of_ways(test.ways, regressor)
    if test.ways not in (None, training.ways) and learns_head(training):
        yield (
            "ways",
            f"{training.method} learns the classifier of {training.ways} ways: other ways need a method whose "
            "classifier is random (metaticket, metaticket-boil, random)",
        )
    if test.widen is not None:
        if training.method not in ("maml", "anil"):
            yield "widen", "units are added to nets of maml or anil"
        if test.adapted != ("trained",):
            yield "adapted", "with `widen` the new units are adapted: leave this out"
        if test.inner_lr is not None:
            yield "inner_lr", "with `widen` the rate is widen.lr: set that, and leave this out"
    if test.ceiling and regressor:
        yield "ceiling", "the ceiling is a classifier's: leave it out for numbers"


def read_metaticket(study: Mapping[str, Any], problems: Problems) -> dict[str, dict[str, Entry]]:
    """Make the runs of a study's `metaticket` section by kind and name; every problem is noted.

    `study` is the raw mapping, which may be wrong anywhere. A test or an analysis of a swept training is one of each
    of its runs.
    """
    reader = _Reader(study, problems)
    runs = reader.read()
    section = mapping(study.get("metaticket"))
    for name, figure in mapping(section.get("figures")).items():
        if name == "claims":
            problems.add(
                ("metaticket", "figures", name), "this name belongs to a figure that the workflow adds itself"
            )
        for kind in KINDS:
            entries = {*runs[kind], *(entry.where[-1] for entry in runs[kind].values())}
            shown = mapping(figure).get(kind)
            for index, run in enumerate(shown if isinstance(shown, list) else []):
                if not isinstance(run, str) or run not in entries:
                    reader._known(("metaticket", "figures", name, kind, index), run, kind)
    return runs
