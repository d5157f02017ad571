import json

import pytest

from carryover.core.config import canonical
from carryover.io.manifest import write_manifest
from carryover.io.observations import OBSERVATION, read_observations
from carryover.io.tables import save_table
from carryover.transfer.settings import KINDS

MLP = {"kind": "mlp", "hidden": [16, 8]}
TRAINING = {"dataset": "digits", "net": MLP, "epochs": 3, "lr": 0.1}


@pytest.fixture
def add(tmp_path):
    """Write the block of a run as a stage leaves it, and give its manifest."""

    def write(kind, run, block, rows, settings, columns=None, **record):
        folder = tmp_path / kind / run / block
        named = [dict(zip(OBSERVATION, (run, *row), strict=True)) for row in rows]
        if columns:
            named = [{column: row.get(column, 0) for column in columns} for row in named]
        save_table(folder / "metrics.csv", named)
        spec = settings if isinstance(settings, str) else canonical(KINDS[kind].model_validate(settings))
        write_manifest(
            folder / "manifest.json",
            stage="any",
            spec=spec,
            code="abc",
            seeds=block,
            inputs=[],
            outputs=[folder / "metrics.csv"],
            record={"run": run, "kind": kind.removesuffix("s"), **record},
        )
        return folder / "manifest.json"

    return write


def accuracy(pair, method, step, value):
    return pair, method, "val", step, "accuracy", value


def test_every_observation_carries_the_settings_of_its_run(add):
    sources = [accuracy(1, "source", 9, 0.5), accuracy(2, "source", 9, 0.6)]
    transferred = [accuracy(1, "gmt", 3, 0.75)]
    table = read_observations(
        [
            add("trainings", "base", "source1-2", sources, TRAINING),
            add("transfers", "main", "pairs1-2", transferred, {"training": "base", "steps": 3}),
        ]
    )
    first = ["kind", "run", "block", "pair", "method", "split", "step", "metric", "value"]
    assert list(table.columns[:9]) == first
    assert table[first].to_numpy().tolist() == [
        ["training", "base", "source1-2", 1, "source", "val", 9, "accuracy", 0.5],
        ["training", "base", "source1-2", 2, "source", "val", 9, "accuracy", 0.6],
        ["transfer", "main", "pairs1-2", 1, "gmt", "val", 3, "accuracy", 0.75],
    ]
    training, _, transfer = table.to_dict("records")
    assert (training["net.hidden"], training["lr"], transfer["training"]) == ("16-8", 0.1, "base")
    assert (transfer["steps"], transfer["matching.start"]) == (3, "warm")
    assert table["steps"].isna().tolist() == [True, True, False]
    assert table["net.kind"].isna().tolist() == [False, False, True]


def test_runs_of_two_kinds_may_have_one_name(add):
    table = read_observations(
        [
            add("trainings", "main", "target1", [accuracy(1, "target", 9, 0.5)], TRAINING),
            add("transfers", "main", "pairs1", [accuracy(1, "gmt", 3, 0.75)], {"training": "main"}),
        ]
    )
    assert table[["kind", "run"]].to_numpy().tolist() == [["training", "main"], ["transfer", "main"]]
    assert table["epochs"].isna().tolist() == [False, True]


def test_blocks_of_one_run_are_put_together_and_source_and_target_of_a_pair_are_two(add):
    table = read_observations(
        [
            add("trainings", "base", block, [accuracy(pair, role, 9, 0.5)], TRAINING)
            for block, pair, role in (("source1", 1, "source"), ("source2", 2, "source"), ("target1", 1, "target"))
        ]
    )  # fmt: skip
    assert table["block"].tolist() == ["source1", "source2", "target1"]


def test_a_setting_that_is_called_as_a_column_leaves_the_column_alone(add):
    recipe = KINDS["trainings"].model_validate(TRAINING).model_dump(mode="json")
    plain = KINDS["synced"].model_validate({"training": "base", "method": "gmt"}).model_dump(mode="json")
    rows = [accuracy(1, "source", 1, 0.5), accuracy(1, "gmt", 1, 0.25)]
    table = read_observations([add("synced", "s", "pairs1", rows, canonical({**plain, "recipe": recipe}))])
    assert table["method"].tolist() == ["source", "gmt"]
    assert set(table["recipe.net.hidden"]) == {"16-8"}


def test_seconds_of_the_manifest_are_rows_at_the_last_step_of_their_method(add):
    rows = [accuracy(1, "gmt", step, 0.5) for step in (1, 2, 3)] + [accuracy(2, "naive", 4, 0.5)]
    seconds = {"1/gmt": 2.5, "2/naive": 0.125, "2/gone": 9.0}
    table = read_observations(
        [add("transfers", "main", "pairs1-2", rows, {"training": "base"}, seconds=seconds)]
    )
    found = table[table["metric"] == "seconds"]
    assert found[["pair", "method", "split", "step", "value"]].to_numpy().tolist() == [
        [1, "gmt", "none", 3, 2.5],
        [2, "naive", "none", 4, 0.125],
    ]
    assert set(found["training"]) == {"base"}
    assert len(table) == len(rows) + 2


def test_the_same_pair_in_two_blocks_is_an_error(add):
    paths = [
        add("transfers", "main", block, [accuracy(2, "gmt", 1, 0.5)], {"training": "base"})
        for block in ("pairs1-2", "pairs2")
    ]
    with pytest.raises(ValueError, match="pair 2 of transfer/main is in block pairs2 and in another one"):
        read_observations(paths)


def test_blocks_of_one_run_with_other_settings_are_an_error(add):
    paths = [
        add("transfers", "main", f"pairs{pair}", [accuracy(pair, "gmt", 1, 0.5)], {"training": "base", "steps": pair})
        for pair in (1, 2)
    ]  # fmt: skip
    with pytest.raises(ValueError, match="settings differ from those of another block of transfer main"):
        read_observations(paths)


def test_a_table_with_other_columns_is_refused_with_the_remedy(add):
    columns = ["run", "seed", "split", "step", "metric", "value"]
    path = add("transfers", "main", "pairs1", [accuracy(1, "gmt", 1, 0.5)], {"training": "base"}, columns)
    with pytest.raises(
        ValueError, match=r"metrics\.csv has not the columns run, pair, method.*: delete its folder"
    ):
        read_observations([path])


def test_a_changed_table_is_refused_with_the_remedy(add):
    path = add("transfers", "main", "pairs1", [accuracy(1, "gmt", 1, 0.5)], {"training": "base"})
    table = path.with_name("metrics.csv")
    table.write_text(table.read_text().replace("0.5", "0.9"))
    with pytest.raises(ValueError, match=r"metrics\.csv was changed after .*: delete the folder"):
        read_observations([path])


def test_only_the_table_is_checked_since_a_trajectory_may_be_many_gigabytes(add):
    path = add("trainings", "base", "source1", [accuracy(1, "source", 1, 0.5)], TRAINING)
    plain = json.loads(path.read_text())
    plain["outputs"]["trajectory/point-00000.safetensors"] = {"bytes": 1, "sha256": "0"}
    path.write_text(json.dumps(plain))
    assert len(read_observations([path])) == 1


@pytest.mark.parametrize("missing", ["spec", "kind", "outputs"])
def test_a_manifest_of_something_else_is_refused(add, missing):
    path = add("transfers", "main", "pairs1", [accuracy(1, "gmt", 1, 0.5)], {"training": "base"})
    plain = json.loads(path.read_text())
    if missing == "kind":  # as IteRand's
        del plain["record"]["kind"]
    else:
        plain[missing] = None if missing == "spec" else {}
    path.write_text(json.dumps(plain))
    with pytest.raises(ValueError, match="is not the manifest of a run of learning transfer"):
        read_observations([path])
