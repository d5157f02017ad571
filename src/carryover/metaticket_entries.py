"""From a study's `metaticket` section to its runs, with what only several settings together can tell checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from carryover.entries import Entry, known_dataset, read_entries
from carryover.metaticket.settings import KINDS, FewshotTest, FewshotTraining
from carryover.problems import Path, Problems, mapping

RANDOM_HEAD = ("metaticket", "metaticket-boil", "random")
"""Methods that never learn the classifier, unless they mask it or learn auxiliary values."""
REGRESSION = ("sinusoid",)
"""Sources whose targets are numbers."""


@dataclass
class _Reader:
    """Reads the kinds one after the other, each of which may name runs of those before it."""

    study: Mapping[str, Any]
    problems: Problems
    runs: dict[str, dict[str, Entry]] = field(default_factory=dict)

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
        if name in trainings:
            return [name]
        return [run for run, entry in trainings.items() if entry.where[-1] == name] or [name]

    def _complete(self, values: dict[str, Any], where: Path) -> dict[str, Any] | None:
        """Put the settings of a net in the place of its name."""
        sound = True
        for key, kind in self.model.refers.items():  # type: ignore[attr-defined]
            if values.get(key) is not None and kind != self.kind:
                self._known((*where, key), values[key], kind)
        given = {key for key in self.model.model_fields if values.get(key) is not None}
        if "dataset" in given:
            place = (*where, "dataset")
            sound &= known_dataset(self.problems, place, values["dataset"], self.study, by_class=True)
        if "net" in given:
            nets = mapping(self.study.get("nets"))
            sound &= self.problems.reference((*where, "net"), values["net"], "net", nets)
        if not sound:
            return None
        if isinstance(values.get("net"), str):
            values["net"] = mapping(self.study["nets"])[values["net"]]
        return values

    def _known(self, where: Path, name: object, kind: str) -> bool:
        """Tell whether a run is there; one that is merely unsound has been noted at its own place."""
        if name in self.runs[kind]:
            return True
        raw = mapping(mapping(self.study.get("metaticket")).get(kind))
        if not any(name == entry or str(name).startswith(f"{entry}-") for entry in raw):
            self.problems.reference(where, name, f"run in metaticket.{kind}", {*self.runs[kind], *raw})
        return False

    def _check(self, entry: Entry) -> None:
        settings: Any = entry.settings
        if isinstance(settings, FewshotTraining):
            self._check_training(entry, settings)
        else:
            self._check_dataset(entry, settings)
        if isinstance(settings, FewshotTest):
            self._check_test(entry, settings)

    def _check_training(self, entry: Entry, settings: FewshotTraining) -> None:
        source = self._source(settings.dataset)
        if (source in REGRESSION) != (settings.net.kind == "regressor"):
            self.problems.add(
                (*entry.where, "net"), "the net of kind regressor and sinusoids belong together"
            )
        if source in REGRESSION and settings.ways != 1:
            self.problems.add((*entry.where, "ways"), "sinusoids have no classes: `ways` is 1")
        if source == "imagenet":
            self.problems.add(
                (*entry.where, "dataset"), "tasks are drawn from images in memory: use source folder"
            )
        if settings.start is not None and self._known((*entry.where, "start"), settings.start, "trainings"):
            before: Any = self.runs["trainings"][settings.start].settings
            if (before.method, before.net) != ("maml", settings.net):
                self.problems.add(
                    (*entry.where, "start"), "meta-lth prunes a training of maml with the same net: name one"
                )

    def _check_dataset(self, entry: Entry, settings: Any) -> None:
        training: Any = self.runs["trainings"][settings.training].settings
        other = settings.dataset or training.dataset
        if (self._source(other) in REGRESSION) != (self._source(training.dataset) in REGRESSION):
            self.problems.add(
                (*entry.where, "dataset"), "a net of classes is tested on images, a regressor on numbers"
            )

    def _check_test(self, entry: Entry, settings: FewshotTest) -> None:
        training: Any = self.runs["trainings"][settings.training].settings
        random_head = training.method in RANDOM_HEAD and training.masked != "body+head"
        learns_head = not random_head or training.auxiliary_lr is not None
        if settings.ways not in (None, training.ways) and learns_head:
            self.problems.add(
                (*entry.where, "ways"),
                f"{training.method} learns the classifier of {training.ways} ways: other ways need a method whose "
                "classifier is random (metaticket, metaticket-boil, random)",
            )
        if settings.widen is not None and training.method not in ("maml", "anil"):
            self.problems.add((*entry.where, "widen"), "units are added to nets of maml or anil")
        if settings.widen is not None and settings.adapted != ("trained",):
            self.problems.add(
                (*entry.where, "adapted"), "with `widen` the new units are adapted: leave this out"
            )
        if settings.ceiling and training.net.kind == "regressor":
            self.problems.add(
                (*entry.where, "ceiling"), "the ceiling is a classifier's: leave it out for numbers"
            )

    def _source(self, dataset: str) -> object:
        return mapping(mapping(self.study.get("datasets")).get(dataset)).get("source")


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
            for index, run in enumerate(mapping(figure).get(kind) or []):
                if run not in entries:
                    reader._known(("metaticket", "figures", name, kind, index), run, kind)
    return runs
