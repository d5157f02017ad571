"""Compare the study `mnist` with figure 5a of learning transfer, and say how long it took.

It needs all figures of that study.
"""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pandas
from _report import write_report

from carryover.figures.transfer_published import Sample, welch
from carryover.io.observations import read_observations
from carryover.published.learning_transfer import NUM_PAIRS, panel

RESULTS = Path(__file__).parent.parent / "results/mnist/transfer"


def minutes(*kinds: str) -> tuple[float, float, int]:
    """Give the minutes from the first start to the last end of some jobs, their sum, and their number."""
    spans = []
    for path in (path for kind in kinds for path in RESULTS.glob(f"{kind}/manifest.json")):
        record = json.loads(path.read_text())["record"]
        end = datetime.fromisoformat(record["finished"])
        spans.append((end - timedelta(seconds=record["wall_seconds"]), end))
    span = max(end for _, end in spans) - min(start for start, _ in spans)
    busy = sum((end - start).total_seconds() for start, end in spans)
    return span.total_seconds() / 60, busy / 60, len(spans)


def figure_3a(name: str) -> str:
    """Give the mean cosines of permuted increments by width, as a drawn figure has them."""
    table = pandas.read_csv(RESULTS.parent / f"figures/transfer/{name}.csv")
    table = table[table["method"] == "permuted"]
    ours, theirs = (
        table[table["part"] == part].astype({"label": int}).set_index("label")["mean"].sort_index()
        for part in ("mean", "agreeing mean")
    )
    off = (ours - theirs).abs()
    told = ", ".join(f"{own:.2f} ({other:.2f})" for own, other in zip(ours, theirs, strict=True))
    return f"{told}; at most {off.max():.2f} apart"


def main() -> None:
    """Tabulate validation accuracy at every step beside the paper's, with Welch's interval of the difference."""
    own = read_observations(sorted(RESULTS.glob("transfers/mnist/*/manifest.json")))
    own = own[(own["split"] == "val") & (own["metric"] == "accuracy")]
    rows: list[list[object]] = [
        ["method", "step", "ours (%)", "paper (%)", "difference", "95% interval (Welch)"]
    ]
    first: dict[str, float] = {}
    last: list[float] = []
    for curve in panel("fig5a")[0].curves:
        assert curve.sd is not None, "figure 5a has spreads"
        for step, (mean, sd) in enumerate(zip(curve.mean, curve.sd, strict=True), start=1):
            ours = own[(own["method"] == curve.method) & (own["step"] == step)]["value"]
            sample = Sample(float(ours.mean()), float(ours.std()), len(ours))
            difference, low, high = (100 * value for value in welch(sample, Sample(mean, sd, NUM_PAIRS)))
            cells = [f"{100 * a:.2f} ± {100 * b:.2f}" for a, b in ((sample.mean, sample.sd), (mean, sd))]
            rows.append([curve.method, step, *cells, f"{difference:+.2f}", f"[{low:+.2f}, {high:+.2f}]"])
            first.setdefault(curve.method, 100 * sample.mean)
        last.append(abs(difference))
    span, busy, jobs = minutes("trainings/mnist/*", "transfers/mnist/*")
    after = minutes("continuations/mnist/*")
    told = [
        f"Validation accuracy, {len(ours)} pairs here and {NUM_PAIRS} in the paper (decoded from its figure).",
        f"Last step: at most {max(last):.2f} points from the paper's. GMT less naive after the first step:",
        f"{first['gmt'] - first['naive']:.1f} points.",
        f"Trainings and transfers of the three pairs: {span:.1f} minutes from the first start to the last end; {jobs}",
        f"jobs of one thread, two at a time, {busy:.1f} minutes in sum; training afterwards {after[0]:.1f} minutes.",
        "",
        "Figure 3a, mean cosine of permuted increments with 8, 16, 32, 64 and 128 units, in brackets the paper's:",
        f"at the stated rate of 0.01 {figure_3a('fig3')};",
        f"at the rate fitted to figure 5a {figure_3a('fig3-fitted')}.",
        "",
    ]
    write_report("transfer_mnist", "Figure 5a of learning transfer: MNIST, 784-4096-10, T = 5", told, rows)


if __name__ == "__main__":
    main()
