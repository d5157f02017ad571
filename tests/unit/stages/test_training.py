import json
from pathlib import Path

import pytest
import torch

from carryover.core.config import canonical
from carryover.data.images import Images, Split, save_images
from carryover.io.checkpoint import load_tensors
from carryover.io.manifest import read_manifest
from carryover.io.tables import load_table
from carryover.iterand.settings import METHODS
from carryover.stages import iterand_dense, iterand_popup, iterand_search
from carryover.stages._training import STACKED_WEIGHTS, groups, open_source

MLP = {"kind": "mlp", "hidden": [8]}
CONV = {"kind": "conv", "depth": 2, "width": 1 / 32}
OWN = {
    "dense": {"lr": 0.1},
    "popup": {"score_lr": 1.0, "sparsity": 0.5},
    "iterand": {"score_lr": 1.0, "sparsity": 0.5, "randomize_every": 3, "randomize_prob": 0.5},
}
STAGES = {"dense": iterand_dense, "popup": iterand_popup, "iterand": iterand_search}


def images_file(path: Path, seed: int = 0, num_val: int = 0) -> Path:
    draw = torch.Generator().manual_seed(seed)

    def split(size: int) -> Split:
        pixels = torch.randint(0, 17, (size, 1, 6, 6), generator=draw, dtype=torch.uint8)
        return Split(pixels, torch.arange(size) % 3, torch.arange(size))

    save_images(
        path,
        Images(
            dataset="small",
            splits={"train": split(20), "val": split(num_val), "test": split(9)},
            classes=("a", "b", "c"),
            max_value=16,
            mean=(0.3,),
            std=(0.5,),
            spec="{}",
            origin="Random pixels.",
        ),
    )
    return path


def settings(method: str, **changes):
    usual = {"dataset": "small", "net": MLP, "epochs": 2, "batch_size": 8, "curve": "test"}
    return METHODS[method].model_validate({**usual, **OWN[method], "method": method, **changes})


def train(
    folder: Path, method: str = "iterand", seeds: str = "s0-1", images: Path | None = None, **changes
) -> Path:
    """Run a stage as its rule does; return the folder of the block."""
    block = folder / "iterand" / f"small-{method}" / seeds
    STAGES[method].main(
        [
            *("--spec", canonical(settings(method, **changes)), "--code", "abc", "--seeds", seeds),
            *("--images", str(images or images_file(folder / "small.safetensors"))),
            *(f"--{name}={block / file}" for name, file in OUTPUTS.items()),
        ]
    )
    return block


OUTPUTS = {"metrics": "metrics.csv", "nets": "nets.safetensors", "manifest": "manifest.json"}


@pytest.mark.parametrize("method", METHODS)
def test_a_stage_leaves_metrics_nets_and_a_manifest_that_vouches_for_them(tmp_path, method):
    block = train(tmp_path, method)
    manifest = read_manifest(block / "manifest.json")
    assert (manifest.stage, manifest.code, manifest.seeds) == (settings(method).stage, "abc", "s0-1")
    assert set(manifest.outputs) == {"metrics.csv", "nets.safetensors"}
    assert list(manifest.inputs) == [str(tmp_path / "small.safetensors")]
    assert manifest.spec == canonical(settings(method))
    assert manifest.record["run"] == f"small-{method}"
    assert manifest.record["device"] == "cpu"
    metrics = load_table(block / "metrics.csv")
    assert list(metrics.columns) == ["run", "seed", "split", "step", "metric", "value"]
    assert set(metrics["run"]) == {f"small-{method}"}
    assert set(metrics["seed"]) == {0, 1}
    assert metrics["step"].max() == 6
    tensors, notes = load_tensors(block / "nets.safetensors")
    assert {name.partition("/")[0] for name in tensors} == {"0", "1"}
    assert (notes["shape"], notes["classes"], notes["seeds"]) == ("1,6,6", "3", "s0-1")


def test_the_same_command_twice_gives_the_same_bytes(tmp_path):
    files = [train(tmp_path / name) for name in ("first", "second")]
    for name in ("metrics.csv", "nets.safetensors"):
        assert (files[0] / name).read_bytes() == (files[1] / name).read_bytes()


@pytest.mark.parametrize("method", METHODS)
def test_seeds_one_by_one_leave_what_the_stacked_block_leaves(tmp_path, method):
    together, apart = train(tmp_path / "a", method), train(tmp_path / "b", method, stack="never")
    ours, theirs = (load_tensors(block / "nets.safetensors")[0] for block in (together, apart))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    tables = [
        load_table(b / "metrics.csv").sort_values(["seed", "step", "split", "metric"])
        for b in (together, apart)
    ]
    assert tables[0].to_csv(index=False) == tables[1].to_csv(index=False)


def test_a_seed_has_the_same_metrics_in_every_block(tmp_path):
    block, alone = train(tmp_path, seeds="s0-2"), train(tmp_path, seeds="s1")
    rows = load_table(block / "metrics.csv")
    own = rows[rows["seed"] == 1].reset_index(drop=True)
    assert own.equals(load_table(alone / "metrics.csv"))


def test_an_empty_validation_split_is_no_split(tmp_path):
    without = load_table(train(tmp_path / "a") / "metrics.csv")
    images = images_file(tmp_path / "with.safetensors", num_val=4)
    with_it = load_table(train(tmp_path / "b", images=images) / "metrics.csv")
    assert set(without["split"]) == {"train", "test", "none"}
    assert set(with_it["split"]) == {"train", "val", "test", "none"}


def test_checkpoints_go_when_the_outputs_are_there(tmp_path):
    train(tmp_path)
    work = tmp_path / "iterand" / ".work" / "small-iterand" / "s0-1"
    assert len(list(work.iterdir())) == 1
    assert not list(work.rglob("*.safetensors"))


def test_a_training_on_other_images_has_a_work_folder_of_its_own(tmp_path):
    for seed in (0, 1):
        train(tmp_path, images=images_file(tmp_path / "small.safetensors", seed))
    assert len(list((tmp_path / "iterand" / ".work" / "small-iterand" / "s0-1").iterdir())) == 2


def test_a_command_without_a_manifest_or_seeds_stops_before_it_trains(tmp_path, capsys):
    arguments = [
        "--spec",
        canonical(settings("iterand")),
        "--images",
        str(images_file(tmp_path / "small.safetensors")),
    ]
    files = [f"--{name}={tmp_path / file}" for name, file in OUTPUTS.items()]
    with pytest.raises(SystemExit):
        iterand_search.main([*arguments, *files[:2], "--seeds", "s0"])
    assert "--manifest" in capsys.readouterr().err
    with pytest.raises(ValueError, match="a block is written s0-4"):
        iterand_search.main([*arguments, *files])


def test_settings_of_another_method_are_refused(tmp_path):
    with pytest.raises(ValueError, match="IterandRun"):
        iterand_search.main(
            [
                *("--spec", canonical(settings("popup")), "--seeds", "s0"),
                *("--images", str(images_file(tmp_path / "small.safetensors"))),
                *(f"--{name}={tmp_path / file}" for name, file in OUTPUTS.items()),
            ]
        )
    assert not (tmp_path / "metrics.csv").exists()


def test_a_diverged_seed_is_in_the_table_and_the_others_are_finished(tmp_path):
    images = images_file(tmp_path / "small.safetensors")
    metrics = load_table(train(tmp_path, "dense", lr=1e9, images=images) / "metrics.csv")
    assert set(metrics[metrics["metric"] == "diverged"]["seed"]) == {0, 1}
    assert not (metrics["metric"] == "accuracy").any()


def source_of(tmp_path: Path):
    return open_source(images_file(tmp_path / "small.safetensors"), settings("popup"), torch.zeros(()))


@pytest.mark.parametrize(
    ("net", "stack", "precision", "together"),
    [
        (MLP, "auto", "fp32", True),
        (MLP, "auto", "bf16", True),
        (CONV, "auto", "bf16", False),
        (CONV, "always", "fp32", True),
        (MLP, "never", "fp32", False),
        ({"kind": "mlp", "hidden": [2000, 300]}, "auto", "fp32", False),
        ({"kind": "resnet", "depth": 18, "stem": "cifar"}, "auto", "fp32", False),
    ],
)
def test_small_nets_train_stacked_and_large_ones_one_by_one(tmp_path, net, stack, precision, together):
    run = settings("popup", net=net, stack=stack, precision=precision)
    expected = [(0, 1, 2)] if together else [(0,), (1,), (2,)]
    assert groups((0, 1, 2), run, source_of(tmp_path)) == expected
    assert STACKED_WEIGHTS["mlp"] < 6 * 6 * 2000 + 2000 * 300


def test_stacked_convolutions_in_bf16_are_refused_rather_than_left_in_fp32(tmp_path):
    run = settings("popup", net=CONV, stack="always", precision="bf16")
    with pytest.raises(ValueError, match="use stack auto or never"):
        groups((0, 1), run, source_of(tmp_path))


def test_the_spec_in_the_nets_file_is_the_runs(tmp_path):
    notes = load_tensors(train(tmp_path, seeds="s3") / "nets.safetensors")[1]
    assert json.loads(notes["spec"])["randomize_prob"] == 0.5
