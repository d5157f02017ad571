"""The stage that meta-trains: what it writes, for every method, and what it does with seeds that diverge."""

import json

import pytest
import torch
from fewshot_runs import block_of, train, training, write_marks

from carryover.io.checkpoint import load_tensors
from carryover.io.manifest import read_manifest
from carryover.io.tables import load_table
from carryover.metaticket.methods import METHODS
from carryover.stages import train_fewshot

SCORED = ("metaticket", "metaticket-boil")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_marks(tmp_path_factory.mktemp("data") / "marks.safetensors")


@pytest.fixture(scope="module")
def maml(images, tmp_path_factory):
    return train(tmp_path_factory.mktemp("runs"), images, "maml", "s1-2", method="maml")


def own(method, maml):
    """What a method needs beside its name."""
    return {"method": method, "start": "maml", "before": maml} if method == "meta-lth" else {"method": method}


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_leaves_a_net_a_course_and_what_it_took(images, maml, tmp_path, method):
    block = train(tmp_path, images, "run", "s1-2", evaluate_every=2, **own(method, maml))
    table = load_table(block / "metrics.csv")
    assert list(table.columns) == ["run", "seed", "split", "step", "metric", "value"]
    learns = method != "random"
    val = table[(table["split"] == "val") & (table["metric"] == "accuracy")]
    assert val[val["seed"] == 2]["step"].tolist() == ([0, 2, 4] if learns else [0])
    assert set(table[table["split"] == "train"]["step"]) == ({2, 4} if learns else set())
    tensors, notes = load_tensors(block / "nets.safetensors")
    assert notes["shape"] == "1,6,6"
    parts = {name.split("/")[1] for name in tensors}
    masks = (
        {"scores", "thresholds"} if method in SCORED else {"fixed_masks"} if method == "meta-lth" else set()
    )
    assert parts == {"weights", *masks}
    record = read_manifest(block / "manifest.json").record
    assert (record["kind"], record["run"], record["classes"], record["attempt"]) == ("training", "run", 6, 1)
    assert set(record["seconds"]) == {"1", "2"}
    assert record["peak_mb"] > 10


def test_methods_start_from_the_same_net_and_meta_ticket_leaves_it_as_it_was(images, maml, tmp_path):
    nets = {
        m: load_tensors(train(tmp_path, images, m, method=m) / "nets.safetensors")[0]
        for m in ("random", "metaticket")
    }
    for name, tensor in nets["random"].items():
        assert torch.equal(nets["metaticket"][name], tensor), name
    trained, _ = load_tensors(maml / "nets.safetensors")
    assert not torch.equal(trained["1/weights/fc1.weight"], nets["random"]["1/weights/fc1.weight"])


def test_meta_lth_keeps_the_largest_weights_of_the_trained_net(images, maml, tmp_path):
    block = train(tmp_path, images, "lth", **own("meta-lth", maml), sparsity=0.5)
    before, _ = load_tensors(maml / "nets.safetensors")
    after, _ = load_tensors(block / "nets.safetensors")
    for name in [name for name in after if "/fixed_masks/" in name]:
        trained = before[name.replace("/fixed_masks/", "/weights/")].abs()
        mask = after[name].bool()
        assert abs(int(mask.sum()) - mask.numel() / 2) <= 1
        assert trained[mask].min() >= trained[~mask].max()


def test_a_seed_that_diverged_is_told_and_left_out_here_and_where_it_is_built_upon(images, tmp_path):
    block = train(
        tmp_path,
        images,
        "wild",
        "s1-2",
        method="maml",
        inner_lr=1e6,
        norm="none",
        outer_lr=1e6,
        outer_steps=8,
    )
    table = load_table(block / "metrics.csv")
    assert set(table[table["metric"] == "diverged"]["seed"]) == {1, 2}
    assert load_tensors(block / "nets.safetensors")[0] == {}
    assert read_manifest(block / "manifest.json").record["seconds"] == {}
    with pytest.raises(ValueError, match="every seed of this training diverged"):
        train(tmp_path, images, "lth", "s1-2", **own("meta-lth", block))


def test_meta_lth_goes_on_with_the_seeds_that_it_can_start_from(images, maml, tmp_path):
    block = train(tmp_path, images, "lth", "s1-3", **own("meta-lth", maml))
    table = load_table(block / "metrics.csv")
    gone = table[table["metric"] == "diverged"]
    assert gone[["seed", "step"]].to_numpy().tolist() == [[3, 0]]
    assert {name.partition("/")[0] for name in load_tensors(block / "nets.safetensors")[0]} == {"1", "2"}


def test_a_seed_is_the_same_in_every_block(images, tmp_path):
    together, _ = load_tensors(
        train(tmp_path, images, "run", "s1-2", method="metaticket") / "nets.safetensors"
    )
    alone, _ = load_tensors(train(tmp_path, images, "run", "s2", method="metaticket") / "nets.safetensors")
    for name, tensor in alone.items():
        assert torch.equal(together[name], tensor)


def test_what_another_code_or_setting_has_saved_is_not_continued(images, tmp_path):
    words = training(tmp_path, images, "run", method="maml", outer_steps=6)
    train_fewshot.main(words)
    block = block_of(tmp_path, "trainings", "run", "s1")
    first = (block / "nets.safetensors").read_bytes()
    again = training(tmp_path, images, "run", method="maml", outer_steps=7)
    train_fewshot.main(again)
    assert (block / "nets.safetensors").read_bytes() != first
    assert json.loads((block / "manifest.json").read_text())["record"]["attempt"] == 1
    assert not list((tmp_path / "work").rglob("*.safetensors")), "checkpoints are deleted at the end"
