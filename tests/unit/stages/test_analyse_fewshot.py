from pathlib import Path

import pandas
import pytest
import torch
from fewshot_runs import stored, train, write_marks

from carryover.core.block import placed
from carryover.core.config import canonical
from carryover.data.episodes import open_episodes
from carryover.io.fewshot import read_fewshot
from carryover.io.manifest import read_manifest
from carryover.io.tables import load_table
from carryover.metaticket.analysis import analyse
from carryover.metaticket.batching import Batching
from carryover.metaticket.settings import FewshotAnalysis
from carryover.stages import analyse_fewshot
from carryover.stages._fewshot import load_stored, open_training


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    return write_marks(tmp_path_factory.mktemp("data") / "marks.safetensors")


def analysed(folder: Path, images: Path, training: Path, **changes: object) -> Path:
    block = folder / "analyses" / "look" / training.name
    block.mkdir(parents=True)
    run = FewshotAnalysis.model_validate({"training": "ticket", "tasks": 3, **changes})
    arguments = {
        "spec": canonical(run),
        "seeds": training.name,
        "device": "cpu",
        "images": images,
        "episodes": stored(images, run.split),
        "training": training / "manifest.json",
        "metrics": block / "metrics.csv",
        "manifest": block / "manifest.json",
    }
    analyse_fewshot.main([word for name, value in arguments.items() for word in (f"--{name}", str(value))])
    return block / "manifest.json"


def test_every_seed_is_analysed_and_the_table_is_that_of_the_function(images, tmp_path):
    training = train(tmp_path, images, "ticket", "s1-2", method="metaticket", initial_sparsity=0.3)
    manifest = analysed(tmp_path, images, training, steps=2)
    table = load_table(manifest.with_name("metrics.csv"))
    assert list(table.columns) == ["run", "seed", "layer", "role", "metric", "value"]
    assert set(table["run"]) == {"look"}
    like, trained = torch.zeros(()), open_training(training / "manifest.json")
    episodes, tasks = open_episodes(images, "test", like), load_stored(stored(images, "test"))
    for seed in (1, 2):
        own = table[table["seed"] == seed].reset_index(drop=True)
        made = [episodes.tasks(placed(tasks.drawn, like), 2)]
        found = analyse(*trained.net(seed).opened(3, like), made, 2, Batching())
        assert own["value"].tolist() == [each.value for each in found]
        assert own["layer"].astype(str).tolist() == [each.layer for each in found]
    metrics = {"cka", "within_before", "within_after", "between_before", "between_after"}
    assert set(table["metric"]) == {*metrics, "gradient", "change", "sparsity"}
    assert set(table[table["metric"].isin(metrics)]["role"]) == {"body"}


def test_the_manifest_names_the_training_and_results_are_read_together(images, tmp_path):
    training = train(tmp_path, images, "ticket", method="anil")
    manifest = analysed(tmp_path, images, training)
    record = read_manifest(manifest).record
    assert (record["kind"], record["training"], record["run"]) == ("analysis", "ticket", "look")
    rows = read_fewshot([training / "manifest.json", manifest]).rows
    found = rows[(rows["kind"] == "analysis") & (rows["metric"] == "cka")]
    assert found["value"].tolist() == [1.0, 1.0]
    assert set(found["method"]) == {"anil"}
    assert isinstance(rows, pandas.DataFrame)


def test_the_same_analysis_gives_the_same_bytes(images, tmp_path):
    training = train(tmp_path, images, "ticket", method="boil")
    first, second = (analysed(tmp_path / name, images, training) for name in ("one", "two"))
    assert first.with_name("metrics.csv").read_bytes() == second.with_name("metrics.csv").read_bytes()
