"""`carryover compare`: two studies with the same runs, side by side (two precisions, two machines, two versions)."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from math import isnan, nan, sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from carryover.claims.statistics import paired_effect
from carryover.io.tables import load_table, save_table
from carryover.iterand.settings import METHODS

if TYPE_CHECKING:
    from pandas import DataFrame

SETTINGS = {name for model in METHODS.values() for name in model.model_fields}
_ANSWERS = {True: "yes", False: "NO", None: "-"}
_NEEDED = {"run", "seed", "diverged", "test_accuracy"}


@dataclass(frozen=True)
class Comparison:
    """One run in both studies: accuracies as fractions, the difference is second minus first."""

    run: str
    n: int
    """Seeds that both studies have and that diverged in neither."""
    diverged: int
    """Seeds that both have and that diverged in one of them or both; they are left out."""
    first_mean: float
    first_sd: float
    second_mean: float
    second_sd: float
    difference: float
    low: float
    high: float
    """95 % interval of the difference, paired by seed; nan for a single seed or equal differences."""

    @property
    def spread(self) -> float:
        """Standard deviation over seeds, that of both studies pooled: the root of their mean variance."""
        return sqrt((self.first_sd**2 + self.second_sd**2) / 2)

    @property
    def within_spread(self) -> bool | None:
        """Tell whether the difference is at most the spread; None for a single seed, which has no spread."""
        return None if isnan(self.spread) else abs(self.difference) <= self.spread


def read_table(results: Path, study: str) -> "DataFrame":
    """Read the runs of a study.

    Raises ValueError when there is no table, with the command that makes it, or when it is no table of runs.
    """
    path = results / study / "iterand" / "table.csv"
    if not path.exists():
        raise ValueError(
            f"{path} does not exist: `snakemake {path} --config study={study}` makes it, and the runs it needs"
        )
    table = load_table(path)
    missing = sorted(_NEEDED - set(table.columns))
    if missing:
        raise ValueError(
            f"{path} is no table of runs: the column {missing[0]} is missing; delete it and make it again"
        )
    return table


def compare(first: "DataFrame", second: "DataFrame", split: str = "test") -> list[Comparison]:
    """Compare the runs that two studies share, matched by name and seed.

    Raises ValueError when they share none, or a study has no accuracy on `split`.
    """
    column = f"{split}_accuracy"
    for table in (first, second):
        if column not in table or table[column].isna().all():
            raise ValueError(
                f"split: no run of one of the studies has {split} accuracy; choose the other split"
            )
    both = first.merge(second, on=["run", "seed"], suffixes=("_first", "_second"))
    found = [_compared(str(run), rows, column) for run, rows in both.groupby("run", sort=False)]
    found = [each for each in found if each.n or each.diverged]
    if not found:
        raise ValueError(
            f"the studies have no run and seed in common: one has {_some(first)}, the other {_some(second)}; "
            "compare a study with one that `extends` it"
        )
    return found


def _compared(run: str, rows: "DataFrame", column: str) -> Comparison:
    diverged = rows["diverged_first"].astype(bool) | rows["diverged_second"].astype(bool)
    pairs = rows.loc[~diverged, [f"{column}_first", f"{column}_second"]].dropna().to_numpy(float)
    first, second = pairs.T.tolist()
    differences = [after - before for before, after in zip(first, second, strict=True)]
    effect = paired_effect(differences) if len(pairs) > 1 else None
    return Comparison(
        run=run,
        n=len(pairs),
        diverged=int(diverged.sum()),
        first_mean=_mean(first),
        first_sd=_sd(first),
        second_mean=_mean(second),
        second_sd=_sd(second),
        difference=_mean(differences),
        low=effect.low if effect else nan,
        high=effect.high if effect else nan,
    )


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else nan


def _sd(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else nan


def _some(table: "DataFrame") -> str:
    names = list(dict.fromkeys(table["run"]))
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def only_in(first: "DataFrame", second: "DataFrame") -> list[str]:
    """Name the runs of the first study that the second does not have with any of its seeds."""
    both = first.merge(second, on=["run", "seed"])
    return sorted(set(first["run"]) - set(both["run"]))


def differing_settings(first: "DataFrame", second: "DataFrame") -> dict[str, tuple[str, str]]:
    """Give each setting in which runs of the same name differ, with its values in both studies."""
    names = [
        name for name in first.columns if name in second and (name in SETTINGS or name.startswith("net."))
    ]
    one, other = (table.drop_duplicates("run").set_index("run")[names] for table in (first, second))
    both = one.merge(other, left_index=True, right_index=True, suffixes=(" 1", " 2"))
    found = {}
    for name in names:
        pairs = both[[f"{name} 1", f"{name} 2"]].dropna().to_numpy(object)
        changed = [(a, b) for a, b in pairs if a != b]
        if changed:
            left, right = (
                ", ".join(dict.fromkeys(map(str, values))) for values in zip(*changed, strict=True)
            )
            found[name] = (left, right)
    return found


def rows_of(found: Sequence[Comparison], alone: Sequence[tuple[str, str]]) -> list[dict[str, object]]:
    """Write comparisons as rows of a table; `alone` are runs that one study has, each with its study."""
    columns = [field.name for field in fields(Comparison)]
    compared = [
        {**asdict(each), "spread": each.spread, "within_spread": each.within_spread} for each in found
    ]
    empty = dict.fromkeys([*columns, "spread", "within_spread"])
    return [
        *({**row, "only_in": None} for row in compared),
        *({**empty, "run": run, "only_in": study} for run, study in alone),
    ]


def report(names: tuple[str, str], found: Sequence[Comparison], split: str) -> str:
    """Write comparisons for people: a line for each run, then how many agree, then the largest difference."""
    width = max(len(each.run) for each in found)
    left, right = (max(len(name), len("0.9748 ± 0.0021")) for name in names)
    lines = [
        f"{split} accuracy, {names[1]} minus {names[0]}, paired by seed",
        f"{'run':{width}}   n  {names[0]:{left}}  {names[1]:{right}}  {'difference [95% interval]':26}  within spread",
    ]
    for each in found:
        one = _estimate(each.first_mean, f"{each.first_mean:.4f}", each.first_sd, f" ± {each.first_sd:.4f}")
        other = _estimate(
            each.second_mean, f"{each.second_mean:.4f}", each.second_sd, f" ± {each.second_sd:.4f}"
        )
        bounds = f" [{each.low:+.4f}, {each.high:+.4f}]"
        interval = _estimate(each.difference, f"{each.difference:+.4f}", each.low, bounds)
        answer = _ANSWERS[each.within_spread] + (f", {each.diverged} diverged" if each.diverged else "")
        lines.append(
            f"{each.run:{width}}  {each.n:2}  {one:{left}}  {other:{right}}  {interval:26}  {answer}"
        )
    known = [each for each in found if each.within_spread is not None]
    inside = [each for each in known if each.within_spread]
    largest = max(found, key=lambda each: -1.0 if isnan(each.difference) else abs(each.difference))
    lines += [
        f"{len(inside)} of {len(known)} runs differ by no more than their spread, the standard deviation over seeds",
        f"largest difference: {largest.difference:+.4f}, {largest.run}",
    ]
    return "\n".join(lines)


def _estimate(value: float, text: str, error: float, bounds: str) -> str:
    """Leave out of a text what is not known."""
    return "-" if isnan(value) else text if isnan(error) else text + bounds


def add_to(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `compare` to the parser of `carryover`; its `run` takes the parsed arguments."""
    text = "compare the accuracies of two studies that have the same runs, seed by seed"
    parser = subparsers.add_parser("compare", help=text, description=text, allow_abbrev=False)
    parser.add_argument("first", help="name of a study whose results are there, such as demo")
    parser.add_argument("second", help="name of another one, such as demo.bf16")
    parser.add_argument("--split", choices=["test", "val"], default="test", help="images (default: test)")
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of results (default: results)"
    )
    parser.add_argument("--csv", type=Path, help="write the comparison to this file as well")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Compare two studies; print the result and write it to `--csv`.

    Raises ValueError when a study has no table or the two have no run in common.
    """
    names = (args.first, args.second)
    first, second = (read_table(args.results, name) for name in names)
    found = compare(first, second, args.split)
    alone = [(name, args.first) for name in only_in(first, second)]
    alone += [(name, args.second) for name in only_in(second, first)]
    if args.csv is not None:
        save_table(args.csv, rows_of(found, alone))
    changed = differing_settings(first, second)
    lines = [
        report(names, found, args.split),
        *(
            f"{setting} differs: {one} in {names[0]}, {other} in {names[1]}"
            for setting, (one, other) in changed.items()
        ),
        *(f"only in {study}: {name}" for name, study in alone),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
