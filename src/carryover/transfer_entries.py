"""From a study's `transfer` section to its runs, with what only several settings together can tell checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from carryover.entries import Entry, known_names, read_entries
from carryover.problems import Path, Problems, mapping
from carryover.transfer.pairs import pairs_of
from carryover.transfer.settings import KINDS, ContinuationRun, LandscapeRun, NetTraining, TransferRun

PRECISE = ("trainings", "transfers", "continuations")
"""Kinds of runs that have a precision."""


@dataclass
class _Reader:
    """Reads the kinds one after the other, each of which may name runs of those before it."""

    study: Mapping[str, Any]
    precision: str
    problems: Problems
    runs: dict[str, dict[str, Entry]] = field(default_factory=dict)

    def read(self) -> dict[str, dict[str, Entry]]:
        raw = mapping(self.study.get("transfer"))
        for kind, model in KINDS.items():
            self.kind = kind
            self.model: Any = model
            self.runs[kind] = {}
            self.runs[kind] = read_entries(("transfer", kind), model, raw, self._complete, self.problems)
            for entry in self.runs[kind].values():
                self._check(entry)
        return self.runs

    def _complete(self, values: dict[str, Any], where: Path) -> dict[str, Any] | None:
        """Put the settings of a net in the place of its name, and take from a transfer what its training has."""
        if self.model is ContinuationRun:  # trains what its transfer ends on, whatever its recipe is for
            values = {key: value for key, value in values.items() if key not in ("dataset", "net")}
        sound = True
        for key, kind in self.model.refers.items():
            if values.get(key) is not None and kind != self.kind:
                sound &= self.known((*where, key), values[key], kind)
        given = {key: values[key] for key in self.model.model_fields if key in values}
        sound &= known_names(self.problems, where, given, self.study, by_class=False)
        if not sound:
            return None
        if self.kind in PRECISE:
            values.setdefault("precision", self.precision)
        if isinstance(values.get("net"), str):
            values["net"] = mapping(self.study["nets"])[values["net"]]
        if self.model is ContinuationRun and values.get("transfer") is not None:
            return {**values, **self._ends_like(values["transfer"])}
        return values

    def known(self, where: Path, name: object, kind: str) -> bool:
        """Tell whether a run is there; one that is merely unsound has been noted at its own place."""
        if name in self.runs[kind]:
            return True
        raw = mapping(mapping(self.study.get("transfer")).get(kind))
        if not any(name == entry or str(name).startswith(f"{entry}-") for entry in raw):
            self.problems.reference(where, name, f"run in transfer.{kind}", self.runs[kind])
        return False

    def _ends_like(self, transfer: str) -> dict[str, Any]:
        settings: Any = self.runs["transfers"][transfer].settings
        training: Any = self.runs["trainings"][settings.target_training or settings.training].settings
        return {"dataset": training.dataset, "net": training.net.model_dump()}

    def _check(self, entry: Entry) -> None:
        """Note what no single setting can tell: runs that do not fit together."""
        settings: Any = entry.settings
        self._pairs(entry)
        if isinstance(settings, NetTraining) and settings.start is not None:
            self._check_start(entry, settings)
        if isinstance(settings, TransferRun):
            self._check_transfer(entry, settings)
        if isinstance(settings, ContinuationRun):
            self._check_methods(entry, settings.methods, "transfers", settings.transfer)
        if isinstance(settings, LandscapeRun):
            self._check_methods(entry, settings.methods, "transfers", settings.transfer)
            if settings.map:
                self._check_methods(entry, ["oracle", "gmt"], "transfers", settings.transfer, "map")
            if settings.continuation is not None:
                self._check_methods(
                    entry, [settings.continued], "continuations", settings.continuation, "continued"
                )
        if self.kind == "ensembles":
            self._check_methods(entry, settings.methods, "continuations", settings.continuation)
        for key, kind in self.model.refers.items():
            named = getattr(settings, key)
            # an ensemble has the pairs of its continuation, all of them
            if named is not None and named in self.runs[kind] and self.kind != "ensembles":
                self._check_pairs(entry, key, self.runs[kind][named])

    def _check_start(self, entry: Entry, settings: NetTraining) -> None:
        place, trainings = (*entry.where, "start"), self.runs["trainings"]
        if not self.known(place, settings.start, "trainings"):
            return
        before: Any = trainings[str(settings.start)].settings
        if before.net != settings.net:
            self.problems.add(place, f"{settings.start} trains another net: start from one with the same")
        passed: set[str] = set()
        start: Any = settings.start
        while start in trainings and start not in passed:
            passed.add(start)
            start = trainings[start].settings.start  # type: ignore[attr-defined]
        if entry.name in passed:
            self.problems.add(
                place, f"{entry.name} would start from its own end: start from another training"
            )

    def _check_transfer(self, entry: Entry, settings: TransferRun) -> None:
        source: Any = self.runs["trainings"][settings.training].settings
        target: Any = self.runs["trainings"][settings.target_training or settings.training].settings
        if (source.net, source.dataset) != (target.net, target.dataset):
            self.problems.add(
                (*entry.where, "target_training"), "source and target have one net and end on one data set"
            )
        if settings.trajectory == "actual" and source.record == "ends":
            self.problems.add(
                (*entry.where, "trajectory"),
                f"{settings.training} records its ends only: set its `record` to epochs or steps",
            )
        recorded = [
            (training.record, training.record_every, training.epochs) for training in (source, target)
        ]
        if settings.trajectory == "actual" and settings.oracle == "first" and recorded[0] != recorded[1]:
            self.problems.add(
                (*entry.where, "oracle"),
                "the first gap of the target is that of the source only if both record the same points: give both "
                "trainings the same `epochs`, `record` and `record_every`, or take `oracle: total`",
            )

    def _check_methods(
        self, entry: Entry, methods: Sequence[str], kind: str, run: str, key: str = "methods"
    ) -> None:
        known: Any = self.runs[kind][run].settings
        for method in methods:
            self.problems.reference((*entry.where, key), method, f"method of {run}", known.methods)

    def _check_pairs(self, entry: Entry, key: str, other: Entry) -> None:
        """Note pairs that the run which an entry builds upon does not have."""
        missing = sorted(set(self._pairs(entry)) - set(self._pairs(other)))
        if missing:
            self.problems.add(
                (*entry.where, key), f"{other.name} has no pair {missing[0]}: add it to its `pairs`"
            )

    def _pairs(self, entry: Entry) -> list[int]:
        place: Path = (*entry.where, "pairs") if "pairs" in entry.beside else ("transfer", "pairs")
        raw = entry.beside.get("pairs", mapping(self.study.get("transfer")).get("pairs"))
        blocks = raw if isinstance(raw, list) else []
        try:
            pairs = [pair for block in blocks for pair in pairs_of(f"pairs{block}")]
        except ValueError:
            self.problems.add(place, f"blocks of pairs are written 1 or 1-3: got {blocks}")
            return []
        twice = sorted(pair for pair in set(pairs) if pairs.count(pair) > 1)
        if twice:
            self.problems.add(place, f"pair {twice[0]} is in two blocks: leave it in one of them")
        return pairs


def read_transfer(
    study: Mapping[str, Any], precision: str, problems: Problems
) -> dict[str, dict[str, Entry]]:
    """Make the runs of a study's `transfer` section by kind and name; every problem is noted.

    `study` is the raw mapping, which may be wrong anywhere.
    """
    reader = _Reader(study, precision, problems)
    runs = reader.read()
    section = mapping(study.get("transfer"))
    for name, figure in mapping(section.get("figures")).items():
        if name in ("theory", "claims"):
            problems.add(
                ("transfer", "figures", name), "this name belongs to a figure that the workflow adds itself"
            )
        for kind in KINDS:
            entries = {entry.where[-1] for entry in runs[kind].values()}
            for index, run in enumerate(mapping(figure).get(kind) or []):
                if run not in entries:
                    reader.known(("transfer", "figures", name, kind, index), run, kind)
    return runs
