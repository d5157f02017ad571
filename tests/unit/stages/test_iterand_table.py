from carryover.io.tables import load_table
from carryover.stages import iterand_table


def run(made, path):
    iterand_table.main(["--results", *map(str, made.manifests), "--table", str(path)])
    return load_table(path)


def test_the_table_has_a_sorted_row_for_each_run_and_seed(made, tmp_path):
    made.add("popup-sc", {7: 0.5, 3: 0.6}, run="b")
    made.add("dense", {0: 0.9}, run="a")
    table = run(made, tmp_path / "table.csv")
    assert table[["run", "seed", "test_accuracy"]].to_numpy().tolist() == [
        ["a", 0, 0.9],
        ["b", 3, 0.6],
        ["b", 7, 0.5],
    ]
    settings = {"arm", "method", "weights", "dataset", "net.kind", "net.hidden", "sparsity", "score_lr", "lr"}
    assert settings <= set(table.columns)


def test_the_order_of_the_manifests_does_not_matter(made, tmp_path):
    for arm in ("dense", "popup-ku"):
        made.add(arm, {0: 0.5, 1: 0.6}, run=arm)
        made.add(arm, {2: 0.5}, run=arm)
    run(made, tmp_path / "first.csv")
    made.manifests.reverse()
    assert len(run(made, tmp_path / "second.csv")) == 6
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "second.csv").read_bytes()


def test_a_seed_that_diverged_keeps_its_row(made, tmp_path):
    made.add("iterand-ku", {0: 0.5, 1: 0.6}, diverged=[1])
    table = run(made, tmp_path / "table.csv")
    assert table["diverged"].tolist() == [False, True]
    assert table["steps"].tolist() == [30, 20]
    assert table["test_accuracy"].isna().tolist() == [False, True]
