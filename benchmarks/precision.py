"""Compare the demo's accuracies in fp32 and bf16; needs the tables of the studies demo and demo.bf16."""

import subprocess
import tempfile
from pathlib import Path

from _report import write_report

from carryover.io.tables import load_table

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Let `carryover compare` do it, and tabulate the runs that both studies have."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "compared.csv"
        command = ["carryover", "compare", "demo", "demo.bf16", "--csv", str(path)]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        table = load_table(path)
    both = table[table["only_in"].isna()]
    within = int((both["within_spread"].astype(str) == "True").sum())
    covered = int(((both["low"] <= 0) & (both["high"] >= 0)).sum())
    rows: list[list[object]] = [
        ["run", "n", "fp32", "bf16", "paired difference and 95 % interval", "pooled sd of seeds", "within it"]
    ]
    for run in both.to_dict("records"):
        interval = f"{run['difference']:+.3f} [{run['low']:+.3f}, {run['high']:+.3f}]"
        inside = "yes" if str(run["within_spread"]) == "True" else "**no**"
        means = [f"{run[f'{side}_mean']:.3f} ± {run[f'{side}_sd']:.3f}" for side in ("first", "second")]
        rows.append([run["run"], int(run["n"]), *means, interval, f"{run['spread']:.3f}", inside])
    told = [
        "Test accuracy of figure 2's runs.",
        f"In {covered} of {len(both)} the interval of the paired difference covers zero;",
        f"in {within} of {len(both)} the difference is smaller than the spread of seeds.",
    ]
    write_report("precision", "fp32 and bf16 on the demo", told, rows)


if __name__ == "__main__":
    main()
