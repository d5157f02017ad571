"""The runs of a study, as its table has them, and the sweeps that they form."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

SPLITS = ("test", "val")
NEEDED = {"run", "seed", "arm", "dataset", "net.kind", "diverged", "test_accuracy"}
OF_THE_ARM = {"arm", "method", "weights"}
WATCHING = {"evaluate_every", "curve", "diagnose_every", "stack"}
"""Settings that change no training, only what is recorded of it or how fast it is."""

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """One set of settings with the last accuracy of each of its seeds."""

    name: str
    settings: Settings
    """Those that its method has; a net's are `net.<setting>` and `width`."""
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
        arms, places = {arm for arm, _ in self.runs}, {place for _, place in self.runs}
        return sorted(place for place in places if all((arm, place) in self.runs for arm in arms))


def runs_of(table: "DataFrame", names: Collection[str]) -> list[Run]:
    """Read runs from a study's table, which has a row for each run and seed; `names` are the settings.

    Raises ValueError when it lacks a column that every table of runs has.
    """
    missing = sorted(NEEDED - set(table.columns))
    if missing:
        raise ValueError(
            f"no table of runs: the column {missing[0]} is missing; give results/<study>/iterand/table.csv"
        )
    columns = [name for name in table.columns if name in names or name == "arm" or name.startswith("net.")]
    return [_run(str(name), rows, columns) for name, rows in table.groupby("run", sort=False)]


def _run(name: str, rows: "DataFrame", columns: list[str]) -> Run:
    settings = {str(key): value for key, value in rows[columns].iloc[0].dropna().items()}
    diverged = rows["diverged"].astype(bool)
    accuracy = {split: _by_seed(rows[~diverged], f"{split}_accuracy") for split in SPLITS}
    return Run(name, _with_width(settings), accuracy, frozenset(int(seed) for seed in rows["seed"][diverged]))


def _by_seed(rows: "DataFrame", column: str) -> dict[int, float]:
    known = rows.dropna(subset=[column]) if column in rows else rows[:0]
    return {int(seed): float(value) for seed, value in zip(known["seed"], known.get(column, []), strict=True)}


def _with_width(settings: dict[str, Any]) -> Settings:
    """Give the size of a net in one number; an MLP's is its first hidden layer, and its shape stays a setting."""
    sized = {key: value for key, value in settings.items() if key not in ("net.hidden", "net.width")}
    if "net.hidden" in settings:
        hidden = [float(units) for units in str(settings["net.hidden"]).split("-")]
        sized |= {"width": hidden[0], "net.shape": tuple(units / hidden[0] for units in hidden)}
    elif "net.width" in settings:
        sized |= {"width": float(settings["net.width"])}
    return sized


def sweeps(runs: Collection[Run], arms: Collection[str], along: str) -> list[Sweep]:
    """Find the sweeps along a setting that have all the arms at two places or more.

    Where sweeps with one data set and net differ in other settings, those remain that most runs agree with.
    """
    anchor = max(
        arms, key=lambda arm: max((len(r.settings) for r in runs if r.settings["arm"] == arm), default=0)
    )
    anchors = [run.settings for run in runs if run.settings["arm"] == anchor and along in run.settings]
    shared = {tuple(sorted(each.items(), key=str)): each for each in (_shared(own, along) for own in anchors)}
    found = [_sweep(runs, arms, along, each) for each in shared.values()]
    whole = [s for s in found if len(s.places) > 1 and {arm for arm, _ in s.runs} == set(arms)]
    agreeing = [sum(_agrees(_shared(run.settings, along), sweep.shared) for run in runs) for sweep in whole]
    most: dict[Any, int] = {}
    for sweep, count in zip(whole, agreeing, strict=True):
        most[_place(sweep)] = max(count, most.get(_place(sweep), 0))
    return [s for s, count in zip(whole, agreeing, strict=True) if count == most[_place(s)]]


def _place(sweep: Sweep) -> tuple[Any, ...]:
    """Give data set and net, as far as they are fixed in the sweep."""
    return tuple(
        (key, value)
        for key, value in sorted(sweep.shared.items(), key=str)
        if key.split(".")[0] in ("dataset", "net", "width")
    )


def _shared(settings: Settings, along: str) -> Settings:
    """Keep what the runs of a sweep agree in; longer trainings redraw as often if epochs / period is the same."""
    rest = {key: value for key, value in settings.items() if key not in OF_THE_ARM | WATCHING | {along}}
    if along == "epochs" and "randomize_every" in rest:
        rest["epochs per period"] = settings["epochs"] / rest.pop("randomize_every")
    return rest


def _sweep(runs: Collection[Run], arms: Collection[str], along: str, shared: Settings) -> Sweep:
    """Collect the runs of a sweep; an arm that does not have the setting is the same run at every place."""
    members = [r for r in runs if r.settings["arm"] in arms and _agrees(_shared(r.settings, along), shared)]
    places = {float(r.settings[along]) for r in members if along in r.settings}
    by_place: dict[tuple[str, float], list[Run]] = {}
    for run in members:
        for place in [float(run.settings[along])] if along in run.settings else places:
            there = by_place.setdefault((run.settings["arm"], place), [])
            if all(_training(run) != _training(other) for other in there):
                there.append(run)
    return Sweep(along, shared, by_place, _usual(runs, along, shared))


def _training(run: Run) -> Settings:
    return {key: value for key, value in run.settings.items() if key not in WATCHING}


def _agrees(some: Settings, others: Settings) -> bool:
    return all(some[key] == others[key] for key in some.keys() & others.keys())


def _usual(runs: Collection[Run], along: str, shared: Settings) -> float:
    """Give the value that most runs have: of this kind of net and data set, and where that is a tie, of this kind."""
    alike = [r.settings for r in runs if r.settings["net.kind"] == shared["net.kind"] and along in r.settings]
    everywhere = Counter(float(settings[along]) for settings in alike)
    here = Counter(float(s[along]) for s in alike if s["dataset"] == shared["dataset"])
    return max(here, key=lambda value: (here[value], everywhere[value]))
