import json
import subprocess
import sys

import pytest

from carryover.io.results import per_seed, plain_rows, read_results
from carryover.io.tables import load_table, save_table


def test_every_row_carries_the_settings_of_its_run(made):
    made.add("iterand-ku", {0: 0.8, 1: 0.9}, run="a", randomize_prob=0.25)
    table = read_results(made.manifests)
    assert set(table["run"]) == {"a"}
    assert set(table["block"]) == {"s0-1"}
    assert set(table["arm"]) == {"iterand-ku"}
    assert set(table["randomize_prob"]) == {0.25}
    assert set(table["net.kind"]) == {"mlp"}
    assert set(table["net.hidden"]) == {"32-32"}
    end = table[(table["metric"] == "accuracy") & (table["step"] == 30)]
    assert end.set_index("seed")["value"].to_dict() == {0: 0.8, 1: 0.9}


def test_a_setting_that_a_method_does_not_have_is_missing_and_whole_numbers_stay_whole(made):
    made.add("dense", {0: 0.9})
    made.add("popup-sc", {0: 0.8})
    made.add("iterand-sc", {0: 0.8}, net={"kind": "conv", "depth": 6, "width": 0.5})
    runs = read_results(made.manifests).drop_duplicates("run")
    rows = plain_rows(runs[["arm", "lr", "score_lr", "randomize_every", "net.depth", "net.width"]])
    assert [list(row.values()) for row in rows] == [
        ["dense", 0.1, None, None, None, None],
        ["popup-sc", None, 1.0, None, None, None],
        ["iterand-sc", None, 1.0, 5, 6, 0.5],
    ]


def test_rows_stay_in_the_order_of_the_manifests(made):
    for run in ("c", "a", "b"):
        made.add("dense", {0: 0.9}, run=run)
    assert list(read_results(made.manifests)["run"].unique()) == ["c", "a", "b"]


def test_blocks_of_one_run_are_put_together(made):
    made.add("dense", {0: 0.9, 1: 0.8}, run="a")
    made.add("dense", {2: 0.7}, run="a")
    seeds = per_seed(read_results(made.manifests))
    assert seeds[["seed", "block"]].to_numpy().tolist() == [[0, "s0-1"], [1, "s0-1"], [2, "s2"]]


def test_the_same_seed_in_two_blocks_is_an_error(made):
    made.add("dense", {0: 0.9, 1: 0.8}, run="a")
    made.add("dense", {1: 0.8, 2: 0.8}, run="a")
    with pytest.raises(ValueError, match="seed 1 of a is in block s1-2 and in another one"):
        read_results(made.manifests)


def test_blocks_of_one_run_with_other_settings_are_an_error(made):
    made.add("dense", {0: 0.9}, run="a", lr=0.1)
    made.add("dense", {1: 0.9}, run="a", lr=0.2)
    with pytest.raises(ValueError, match="its settings differ from those of another block of a"):
        read_results(made.manifests)


def test_a_changed_table_is_refused(made):
    manifest = made.add("dense", {0: 0.9})
    metrics = manifest.with_name("metrics.csv")
    metrics.write_text(metrics.read_text().replace("0.9", "1.0"))
    with pytest.raises(ValueError, match=r"metrics\.csv was changed"):
        read_results(made.manifests)


@pytest.mark.parametrize(("key", "value"), [("record", {}), ("spec", None), ("seeds", None), ("outputs", {})])
def test_a_manifest_of_anything_else_is_refused(made, key, value):
    manifest = made.add("dense", {0: 0.9})
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), key: value}))
    with pytest.raises(ValueError, match="is not the manifest of a training block"):
        read_results(made.manifests)


def test_a_table_of_another_run_is_refused(made):
    manifest = made.add("dense", {0: 0.9}, run="a")
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "record": {"run": "b"}}))
    with pytest.raises(ValueError, match="is no table of b"):
        read_results(made.manifests)


def test_a_seed_has_what_its_last_step_gave(made):
    made.add("popup-ku", {0: 0.75}, splits=("val", "test"))
    (row,) = plain_rows(per_seed(read_results(made.manifests)))
    assert (row["seed"], row["steps"], row["diverged"]) == (0, 30, False)
    assert (row["train_loss"], row["val_accuracy"], row["test_accuracy"]) == (1.0, 0.75, 0.75)
    assert (row["num_weights"], row["num_kept"], row["num_trained"]) == (1000, 500, None)


def test_a_seed_that_diverged_has_its_step_and_no_accuracy(made):
    made.add("popup-ku", {0: 0.75, 1: 0.0}, diverged=[1])
    rows = plain_rows(per_seed(read_results(made.manifests)))
    assert [(r["seed"], r["diverged"], r["steps"], r["test_accuracy"]) for r in rows] == [
        (0, False, 30, 0.75),
        (1, True, 20, None),
    ]


def test_no_wall_time_enters_a_table(made):
    made.add("dense", {0: 0.9})
    columns = per_seed(read_results(made.manifests)).columns
    assert not [c for c in columns if "wall" in c or "host" in c or "finished" in c]


def test_a_saved_table_reads_back(made, tmp_path):
    made.add("dense", {0: 0.9})
    made.add("iterand-ku", {0: 1 / 3, 1: 0.0}, diverged=[1])
    rows = plain_rows(per_seed(read_results(made.manifests)))
    save_table(tmp_path / "table.csv", rows)
    again = load_table(tmp_path / "table.csv")
    assert again["test_accuracy"].dropna().tolist() == [0.9, 1 / 3]
    assert again["diverged"].tolist() == [False, False, True]
    assert again["num_kept"].isna().tolist() == [True, False, True]


def test_results_and_figures_are_read_without_torch():
    program = (
        "import sys, carryover.stages.iterand_figure, carryover.stages.iterand_table\n"
        "import carryover.stages.iterand_theory_figure\n"
        "sys.exit(bool({'torch', 'torchvision', 'sklearn', 'matplotlib.pyplot'} & set(sys.modules)))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
