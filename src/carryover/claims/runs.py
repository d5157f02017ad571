"""The runs of a study, as its table has them, and the sweeps that they form."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

SPLITS = ("test", "val")
UNMATCHED = ("arm", "method", "weights", "evaluate_every", "curve", "diagnose_every", "stack")
"""Settings in which compared runs may differ: those that make an arm, and those that change no training."""

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """One set of settings with the last accuracy of each of its seeds."""

    name: str
    settings: Settings
    """Only those that its method has; a net's are `net.<setting>` and `width`."""
    accuracy: Mapping[str, Mapping[int, float]]
    """Fraction by split and seed, without seeds that diverged."""
    diverged: frozenset[int]


@dataclass(frozen=True)
class Sweep:
    """Runs that agree in all settings but those of the arm and one more."""

    along: str
    shared: Settings
    runs: Mapping[tuple[str, float], list[Run]]
    """By arm and place; where there is not exactly one, the arm cannot be compared at that place."""
    usual: float
    """The place that most runs of the study have."""

    @property
    def places(self) -> list[float]:
        """Values along the sweep that all arms have, lowest first."""
        arms = {arm for arm, _ in self.runs}
        return sorted(
            p for p in {place for _, place in self.runs} if all((arm, p) in self.runs for arm in arms)
        )


def runs_of(table: "DataFrame", names: Collection[str]) -> list[Run]:
    """Read runs from a study's table, which has a row for each run and seed; `names` are the settings."""
    columns = [name for name in table.columns if name in names or name == "arm" or name.startswith("net.")]
    return [_run(str(name), rows, columns) for name, rows in table.groupby("run", sort=False)]


def _run(name: str, rows: "DataFrame", columns: list[str]) -> Run:
    first = rows[columns].iloc[0].dropna().to_dict()
    diverged = rows["diverged"].astype(bool)
    whole = rows[~diverged]
    accuracy = {}
    for split in SPLITS:
        known = whole.dropna(subset=[f"{split}_accuracy"]) if f"{split}_accuracy" in whole else whole[:0]
        accuracy[split] = (
            {
                int(seed): float(value)
                for seed, value in zip(known["seed"], known[f"{split}_accuracy"], strict=True)
            }
            if len(known)
            else {}
        )
    return Run(name, _with_width(first), accuracy, frozenset(int(seed) for seed in rows["seed"][diverged]))


def _with_width(settings: dict[str, Any]) -> Settings:
    """Give the size of a net in one number; an MLP's is its first hidden layer, and its shape stays a setting."""
    sized = {key: value for key, value in settings.items() if key not in ("net.hidden", "net.width")}
    if "net.hidden" in settings:
        hidden = [float(units) for units in str(settings["net.hidden"]).split("-")]
        return {**sized, "width": hidden[0], "net.shape": tuple(units / hidden[0] for units in hidden)}
    return {**sized, "width": float(settings["net.width"])}


def sweeps(runs: Collection[Run], arms: Collection[str], along: str) -> list[Sweep]:
    """Find the sweeps along a setting that have all the arms and two places or more.

    Where sweeps of one data set and net differ in other settings, those remain whose settings most runs share.
    """
    anchor = max(
        arms, key=lambda arm: max((len(r.settings) for r in runs if r.settings["arm"] == arm), default=0)
    )
    found: dict[tuple[Any, ...], Sweep] = {}
    for run in runs:
        if run.settings["arm"] == anchor and along in run.settings:
            shared = _shared(run.settings, along)
            key = tuple(sorted(shared.items(), key=str))
            if key not in found:
                found[key] = _sweep(runs, arms, along, shared)
    whole = [s for s in found.values() if len(s.places) > 1 and {arm for arm, _ in s.runs} == set(arms)]
    return list(_most_usual(whole, runs))


def _shared(settings: Settings, along: str) -> Settings:
    """Keep what the runs of a sweep agree in; longer trainings redraw as often if epochs / period is the same."""
    rest = {key: value for key, value in settings.items() if key not in (*UNMATCHED, along)}
    if along == "epochs" and "randomize_every" in rest:
        rest["epochs per period"] = settings["epochs"] / rest.pop("randomize_every")
    return rest


def _sweep(runs: Collection[Run], arms: Collection[str], along: str, shared: Settings) -> Sweep:
    """Collect the runs of a sweep; an arm that does not have the setting is the same run at every place."""
    members = [r for r in runs if r.settings["arm"] in arms and _agrees(_shared(r.settings, along), shared)]
    places = {r.settings[along] for r in members if along in r.settings}
    by_place: dict[tuple[str, float], list[Run]] = {}
    for run in members:
        for place in [run.settings[along]] if along in run.settings else places:
            by_place.setdefault((run.settings["arm"], place), []).append(run)
    return Sweep(along, shared, by_place, _usual(runs, along, shared))


def _agrees(some: Settings, others: Settings) -> bool:
    return all(some[key] == others[key] for key in some.keys() & others.keys())


def _usual(runs: Collection[Run], along: str, shared: Settings) -> float:
    """Give the value that most runs have: of this kind of net and data set, and where that is a tie, of this net."""
    alike = [r.settings for r in runs if r.settings["net.kind"] == shared["net.kind"] and along in r.settings]
    everywhere = Counter(s[along] for s in alike)
    here = Counter(s[along] for s in alike if s["dataset"] == shared["dataset"])
    return float(max(here, key=lambda value: (here[value], everywhere[value])))


def _most_usual(found: list[Sweep], runs: Collection[Run]) -> Iterator[Sweep]:
    def place(sweep: Sweep) -> tuple[Any, ...]:
        nets = sorted((k, v) for k, v in sweep.shared.items() if k.startswith("net.") or k == "width")
        return sweep.shared["dataset"], *nets

    def sharers(sweep: Sweep) -> int:
        return sum(_agrees(_shared(run.settings, sweep.along), sweep.shared) for run in runs)

    for sweep in found:
        rivals = [other for other in found if place(other) == place(sweep)]
        if sharers(sweep) == max(map(sharers, rivals)):
            yield sweep
