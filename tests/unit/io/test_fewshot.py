import json

import numpy as np
import pytest
import torch
from metaticket_results import Made, place

from carryover.io.checkpoint import save_tensors
from carryover.io.fewshot import OBSERVED, RESOLVED, read_fewshot
from carryover.io.manifest import read_manifest, write_manifest
from carryover.io.tables import save_table
from carryover.metaticket.settings import KINDS


@pytest.fixture
def made(tmp_path):
    """Give an empty folder of results to write into."""
    return Made(tmp_path / "results", seeds=(1, 2))


def resigned(manifest, **record):
    """Write a manifest anew for the files that lie beside it now."""
    old = read_manifest(manifest, only=[])
    write_manifest(
        manifest,
        stage=old.stage,
        spec=old.spec,
        code=old.code,
        seeds=old.seeds,
        inputs=[],
        outputs=[manifest.with_name(name) for name in old.outputs],
        record={**old.record, **record},
    )


def test_every_observation_carries_the_settings_of_its_run_and_of_its_training(made):
    made.training("main", "maml", net={"kind": "episode-mlp", "width": 2}, inner_lr=0.5)
    made.test("other", "main", dataset="mnist", shots=1, steps=[0, 3])
    made.analysis("look", "main")
    rows = made.results.rows
    assert list(rows.columns[: len(OBSERVED) + len(RESOLVED)]) == [*OBSERVED, *RESOLVED]
    assert list(rows["kind"].unique()) == ["training", "test", "analysis"]
    assert set(rows["training"]) == {"main"}
    assert set(rows["training.net.width"]) == {2}
    assert set(rows["training.inner_lr"]) == {0.5}
    test = rows[rows["kind"] == "test"].iloc[0]
    assert test[["method", "home", "dataset", "ways", "shots", "query_shots"]].tolist() == [
        "maml", "omniglot", "mnist", 5, 1, 1,
    ]  # fmt: skip
    assert (test["test.dataset"], test["device"], test["threads"]) == ("mnist", "cpu", 1)
    training = rows[rows["kind"] == "training"].iloc[0]
    assert (training["dataset"], training["shots"], training["query_shots"]) == ("omniglot", 5, 5)
    assert training[["adapted", "norm", "layer", "role"]].isna().all()
    analysis = rows[rows["kind"] == "analysis"].iloc[0]
    assert (analysis["layer"], analysis["role"], analysis["metric"]) == ("1", "body", "cka")


def test_query_examples_are_those_of_the_test_of_the_training_or_as_many_as_shots(made):
    made.training("plain", "maml").training("many", "maml", query_shots=15)
    made.test("a", "plain", shots=1).test("b", "many", shots=1).test("c", "many", query_shots=7)
    rows = made.results.rows.drop_duplicates("run").set_index("run")
    assert rows["query_shots"].to_dict() == {"plain": 5, "many": 15, "a": 1, "b": 15, "c": 7}


def test_the_score_of_every_task_belongs_to_run_seed_way_and_steps(made):
    made.training("main", "maml").test("t", "main", tasks=12, steps=[3, 0], adapted=["trained", "head"])
    results = made.results
    assert {key[1:] for key in results.scores} == {
        (seed, adapted, norm, step)
        for seed in (1, 2)
        for adapted in ("trained", "head")
        for norm in ("transductive", "support")
        for step in (0, 3)
    }
    rows = results.rows[(results.rows["metric"] == "accuracy") & (results.rows["kind"] == "test")]
    assert len(rows) == len(results.scores) == 16
    for run, seed, adapted, norm, step, value in rows[
        ["run", "seed", "adapted", "norm", "step", "value"]
    ].to_numpy():
        scores = results.scores[run, seed, adapted, norm, step]
        assert (scores.shape, scores.dtype) == ((12,), np.float64)
        assert scores.mean() == pytest.approx(value, abs=1e-12)


def test_a_ceiling_is_reached_without_inner_steps(made):
    made.training("r", "random").test("top", "r", tasks=9, steps=[3], norms=["trained"], ceiling=True)
    results = made.results
    assert set(results.scores) == {
        ("top", seed, *rest)
        for seed in (1, 2)
        for rest in (("trained", "transductive", 3), ("ceiling", "none", 0))
    }
    ceiling = results.rows[results.rows["adapted"] == "ceiling"]
    assert ceiling[["norm", "step", "metric"]].drop_duplicates().to_numpy().tolist() == [
        ["none", 0, "accuracy"]
    ]


def test_seconds_and_memory_of_a_training_are_rows_at_its_last_step(made):
    made.training("main", "maml", record={"seconds": {"1": 30.5, "2": 31.5}, "peak_mb": 512.25})
    rows = made.results.rows
    costs = rows[rows["metric"].isin(["seconds", "peak_mb"])]
    assert costs[["seed", "split", "step", "metric", "value"]].to_numpy().tolist() == [
        [1, "none", 1000, "seconds", 30.5],
        [1, "none", 1000, "peak_mb", 512.25],
        [2, "none", 1000, "seconds", 31.5],
        [2, "none", 1000, "peak_mb", 512.25],
    ]


def test_a_seed_that_diverged_has_memory_and_no_seconds(made):
    rows = made.training("main", "maml", diverged=[2]).results.rows
    assert rows["seed"][rows["metric"] == "seconds"].tolist() == [1]
    assert rows["seed"][rows["metric"] == "diverged"].tolist() == [2]


def test_blocks_of_one_run_are_put_together(made):
    made.training("main", "maml", seeds=(1,)).training("main", "maml", seeds=(2, 3))
    rows = made.results.rows
    assert rows.drop_duplicates(["block", "seed"])[["block", "seed"]].to_numpy().tolist() == [
        ["s1", 1],
        ["s2-3", 2],
        ["s2-3", 3],
    ]


def test_one_seed_in_two_blocks_is_an_error(made):
    made.training("main", "maml", seeds=(1, 2)).training("main", "maml", seeds=(2,))
    with pytest.raises(
        ValueError, match="seed 2 of training/main is in block s2 and in another one: keep one"
    ):
        made.results  # noqa: B018


def test_blocks_with_other_settings_are_an_error(made):
    made.training("main", "maml", seeds=(1,)).training("main", "maml", seeds=(2,), inner_lr=0.1)
    with pytest.raises(
        ValueError, match="its settings differ from those of another block of training main: delete"
    ):
        made.results  # noqa: B018


def test_a_test_without_its_training_is_an_error_that_names_it(made):
    made.training("main", "maml").test("t", "main")
    with pytest.raises(
        ValueError, match="t is a test of the training main: give the manifest of this training"
    ):
        read_fewshot(made.manifests[1:])


def test_runs_of_two_kinds_may_have_one_name(made):
    made.training("main", "maml").test("main", "main")
    rows = made.results.rows
    assert rows.drop_duplicates(["kind", "run"])[["kind", "run"]].to_numpy().tolist() == [
        ["training", "main"],
        ["test", "main"],
    ]


def test_a_manifest_of_another_paper_is_an_error(made):
    manifest = made.training("main", "maml").manifests[0]
    resigned(manifest, kind="transfer")
    with pytest.raises(ValueError, match="is not the manifest of a run of few-shot learning"):
        read_fewshot([manifest])


def test_a_table_with_other_columns_is_an_error_with_its_remedy(made):
    manifest = made.training("main", "maml").manifests[0]
    save_table(manifest.with_name("metrics.csv"), [{"run": "main", "seed": 1, "value": 0.5}])
    resigned(manifest)
    with pytest.raises(
        ValueError, match=r"metrics.csv is no table of main with the columns run, seed, split, step"
    ):
        read_fewshot([manifest])


def test_a_table_that_was_changed_is_an_error(made):
    manifest = made.training("main", "maml").manifests[0]
    manifest.with_name("metrics.csv").write_text("run,seed\n")
    with pytest.raises(ValueError, match=r"metrics.csv was changed after"):
        read_fewshot([manifest])


def test_scores_that_do_not_fit_the_steps_are_an_error_that_names_them(made):
    made.training("main", "maml").test("t", "main", steps=[0, 1])
    manifest = made.manifests[1]
    tensors = {"1/trained/transductive": torch.zeros(3, 4)}
    save_tensors(manifest.with_name("tasks.safetensors"), tensors, {"steps": "0,1"})
    resigned(manifest)
    with pytest.raises(
        ValueError, match=r"scores of shape \(3, 4\) as 1/trained/transductive, for 2 numbers of inner"
    ):
        read_fewshot(made.manifests)


def test_numbers_come_back_bit_for_bit(made):
    value = 0.1 + 0.2
    settings = KINDS["trainings"].model_validate(
        {"dataset": "d", "net": {"kind": "conv4"}, "method": "maml", "outer_steps": 5}
    )
    made.write(
        "trainings", "main", settings, [place(1, split="val", step=5, metric="loss", value=value)], seeds=(1,)
    )
    rows = made.results.rows
    assert rows["value"].tolist() == [value]
    spec = json.loads(read_manifest(made.manifests[0]).spec)
    assert spec["net"]["kind"] == rows["training.net.kind"].iloc[0] == "conv4"
