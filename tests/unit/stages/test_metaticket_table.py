import pytest
from metaticket_results import family

from carryover.io.tables import load_table
from carryover.stages import metaticket_table


def run(manifests, path):
    metaticket_table.main(["--results", *map(str, manifests), "--table", str(path)])
    return load_table(path)


def test_the_table_has_every_measurement_with_both_spreads(tmp_path):
    made = family(tmp_path / "results", methods=("maml", "metaticket"), test={"steps": [0, 3]})
    table = run(made.manifests, tmp_path / "table.csv")
    own = table[
        (table["run"] == "test-maml-x1") & (table["metric"] == "accuracy") & (table["norm"] == "support")
    ]
    assert own["step"].tolist() == [0, 3]
    assert own["n"].tolist() == [3, 3]
    assert (own[["sd", "half"]] > 0).all(axis=None)
    mean = [float(text.split(":")[1]) for text in own["seeds"].iloc[1].split()]
    assert own["mean"].iloc[1] == pytest.approx(sum(mean) / 3)


def test_the_same_results_give_the_same_bytes_in_any_order(tmp_path):
    made = family(tmp_path / "results", methods=("maml", "metaticket"))
    run(made.manifests, tmp_path / "first.csv")
    run(made.manifests[::-1], tmp_path / "second.csv")
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "second.csv").read_bytes()
