import argparse
import subprocess
import sys
from math import nan

import pytest
from pandas import DataFrame
from scipy import stats

from carryover.compare import add_to, compare, differing_settings, only_in, read_table, report
from carryover.io.tables import load_table, save_table

FIRST = {0: 0.80, 1: 0.82, 2: 0.84}
SECOND = {0: 0.81, 1: 0.82, 2: 0.85}


def table(accuracies, split="test", diverged=(), **settings):
    """Make a study's table from accuracies by run and seed."""
    return DataFrame(
        [
            {
                "run": run,
                "seed": seed,
                "precision": "fp32",
                "randomize_every": None,
                **settings,
                "diverged": (run, seed) in diverged,
                "test_accuracy": None,
                "val_accuracy": None,
                f"{split}_accuracy": None if (run, seed) in diverged else value,
            }
            for run, by_seed in accuracies.items()
            for seed, value in by_seed.items()
        ]
    )


def command(folder, *arguments, **studies):
    """Write the tables of studies and run `carryover compare` on them."""
    for study, rows in studies.items():
        cells = rows.astype(object).where(rows.notna(), None).to_dict("records")
        save_table(folder / study / "iterand" / "table.csv", cells)
    parser = argparse.ArgumentParser()
    add_to(parser.add_subparsers())
    args = parser.parse_args(["compare", *arguments, "--results", str(folder)])
    args.run(args)


def test_differences_are_paired_by_seed_whatever_the_order_of_the_rows():
    (found,) = compare(table({"a": FIRST}), table({"a": dict(reversed(SECOND.items()))}))
    interval = stats.ttest_1samp([0.01, 0.0, 0.01], 0.0).confidence_interval(0.95)
    assert found.n == 3
    assert found.difference == pytest.approx(0.02 / 3)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.first_mean, found.second_mean) == pytest.approx((0.82, 2.48 / 3))
    assert found.first_sd == pytest.approx(0.02)


def test_a_difference_beyond_the_spread_is_told_from_one_within():
    near = compare(table({"a": FIRST}), table({"a": SECOND}))[0]
    far = compare(table({"a": FIRST}), table({"a": {seed: v + 0.05 for seed, v in SECOND.items()}}))[0]
    assert near.spread == pytest.approx(((0.02**2 + near.second_sd**2) / 2) ** 0.5)
    assert near.within_spread is True
    assert far.within_spread is False


def test_a_single_seed_has_no_spread_and_no_interval():
    (found,) = compare(table({"a": {0: 0.8}}), table({"a": {0: 0.9}}))
    assert found.difference == pytest.approx(0.1)
    assert found.within_spread is None
    text = report(("x", "y"), [found], "test")
    assert "nan" not in text
    assert "0 of 0 runs" in text


def test_seeds_that_diverged_in_either_study_are_left_out_and_counted():
    (found,) = compare(table({"a": FIRST}, diverged={("a", 0)}), table({"a": SECOND}, diverged={("a", 2)}))
    assert (found.n, found.diverged) == (1, 2)
    assert found.difference == 0.0


def test_a_run_that_diverged_with_all_its_seeds_is_still_listed():
    dead = {("a", seed) for seed in FIRST}
    found = compare(table({"a": FIRST, "b": FIRST}), table({"a": FIRST, "b": SECOND}, diverged=dead))
    assert [(each.run, each.n, each.diverged) for each in found] == [("a", 0, 3), ("b", 3, 0)]
    text = report(("x", "y"), found, "test")
    assert "3 diverged" in text
    assert "largest difference: +0.0067, b" in text


def test_only_seeds_of_both_studies_count():
    (found,) = compare(table({"a": FIRST}), table({"a": {1: 0.82, 2: 0.85, 3: 0.1}}))
    assert found.n == 2


def test_runs_that_share_no_seed_or_no_name_are_alone():
    first, second = (
        table({"a": FIRST, "b": FIRST, "c": FIRST}),
        table({"a": FIRST, "b": {7: 0.8}, "d": FIRST}),
    )
    assert only_in(first, second) == ["b", "c"]
    assert only_in(second, first) == ["b", "d"]


def test_studies_without_a_common_run_are_refused_with_the_names_of_both():
    runs = {f"digits-{name}": FIRST for name in "abc"}
    with pytest.raises(ValueError, match=r"digits-a, digits-b and 1 more, the other mnist.*extends"):
        compare(table(runs), table({"mnist": FIRST}))


def test_a_split_that_a_study_does_not_have_is_refused():
    with pytest.raises(ValueError, match="no run of one of the studies has val accuracy"):
        compare(table({"a": FIRST}), table({"a": FIRST}, split="val"), "val")


def test_settings_that_differ_between_runs_of_one_name_are_named():
    first = table({"a": FIRST}, precision="fp32", randomize_every=13)
    second = table({"a": FIRST}, precision="bf16", randomize_every=13.0)
    second["steps"] = 3
    assert differing_settings(first, second) == {"precision": ("fp32", "bf16")}
    first["randomize_every"] = nan
    assert set(differing_settings(first, second)) == {"precision"}


def test_the_command_prints_every_run_and_those_that_are_alone(tmp_path, capsys):
    one, other = table({"a": FIRST, "b": FIRST}), table({"a": SECOND, "long-name": FIRST}, precision="bf16")
    command(tmp_path, "demo", "demo.bf16", **{"demo": one, "demo.bf16": other})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "test accuracy, demo.bf16 minus demo, paired by seed"
    assert lines[2] == "a   3  0.8200 ± 0.0200  0.8267 ± 0.0208  +0.0067 [-0.0077, +0.0210]  yes"
    assert lines[3].startswith("1 of 1 runs differ by no more than their spread")
    assert lines[4] == "largest difference: +0.0067, a"
    assert lines[5:] == [
        "precision differs: fp32 in demo, bf16 in demo.bf16",
        "only in demo: b",
        "only in demo.bf16: long-name",
    ]


def test_the_command_writes_the_same_as_a_table(tmp_path, capsys):
    out = tmp_path / "out.csv"
    one, other = table({"a": FIRST, "b": FIRST}), table({"a": SECOND})
    command(tmp_path, "x", "y", "--csv", str(out), x=one, y=other)
    written = load_table(out)
    assert written["run"].tolist() == ["a", "b"]
    assert written["difference"].tolist() == pytest.approx([0.02 / 3, nan], nan_ok=True)
    assert written["only_in"].isna().tolist() == [True, False]
    assert written["only_in"][1] == "x"
    assert capsys.readouterr().out.startswith("test accuracy, y minus x")


def test_the_command_compares_validation_accuracy_on_request(tmp_path, capsys):
    runs = table({"a": FIRST}, split="val")
    command(tmp_path, "x", "y", "--split", "val", x=runs, y=runs)
    assert "val accuracy" in capsys.readouterr().out


def test_a_study_without_results_is_an_error_that_says_what_makes_them(tmp_path):
    with pytest.raises(ValueError, match=r"snakemake .*demo/iterand/table\.csv --config study=demo"):
        read_table(tmp_path, "demo")


def test_a_file_that_is_no_table_of_runs_is_an_error_that_names_the_column(tmp_path):
    save_table(tmp_path / "demo" / "iterand" / "table.csv", [{"run": "a", "seed": 0, "diverged": False}])
    with pytest.raises(ValueError, match=r"table\.csv is no table of runs: the column test_accuracy"):
        read_table(tmp_path, "demo")


def test_the_command_starts_without_torch_and_pandas():
    code = "import sys; import carryover.compare; assert not {'torch', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
