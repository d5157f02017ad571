"""Real images from a mirror, and folders that are streamed, go through the same rules as the digits."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from workflow_copy import WorkflowCopy

from carryover.data.images import load_images
from carryover.io.manifest import read_manifest
from carryover.io.tables import load_table

MIRROR = os.environ.get("CARRYOVER_MIRROR")
LAST_STEP = {"mirrored": 2 * 8, "streamed": 3 * 6}

MIRRORED = """
description: Small parts of real data sets.
datasets:
  mnist-small: {source: mnist, split: {train: 512, val: 64, test: 256}}
  fashion14: {source: fashion-mnist, size: 14, split: {train: 512, test: 256}}
  cifar10-16k: {source: folder, path: cifar10/cifar10_16k_png.zip, split: {train: 512, test: 256}}
nets:
  mlp32: {kind: mlp, hidden: [32, 32]}
  conv2: {kind: conv, depth: 2, width: 0.0625}
iterand:
  seeds: [0-1]
  claims: false
  recipes:
    short: {epochs: 2, batch_size: 64, lr: 0.01, score_lr: 1.0, sparsity: 0.5, randomize_every: 4, randomize_prob: 0.1}
  arms: {iterand-ku: {method: iterand, weights: ku}}
  grids:
    all:
      recipe: short
      product: {dataset: [mnist-small, fashion14, cifar10-16k], net: [mlp32, conv2], arm: [iterand-ku]}
"""

STREAMED = """
description: A folder in the layout of ImageNet, too large to hold if it were the real one.
datasets:
  photos: {source: imagenet, path: photos, split: {val_fraction: 0.1}, size: 32, resize: 36}
nets:
  resnet18: {kind: resnet, depth: 18, width: 0.0625, stem: imagenet}
iterand:
  seeds: [1]
  claims: false
  recipes:
    imagenet:
      epochs: 3
      batch_size: 8
      evaluate_every: 3
      schedule: warmup-cosine
      warmup_epochs: 1
      floor_epochs: 1
      lr: 0.1
      score_lr: 0.1
      sparsity: 0.7
      randomize_every: 5
      randomize_prob: 0.1
      augmentation: imagenet
      keep_rule: authors
  arms: {dense: {method: dense, weights: ku}, iterand-sc: {method: iterand, weights: sc}}
  grids:
    all: {recipe: imagenet, product: {dataset: [photos], net: [resnet18], arm: [dense, iterand-sc]}}
"""


def trained(copy, study, *runs, block):
    """Train runs of a study; return the table of each."""
    folders = [f"results/{study}/iterand/{run}/{block}" for run in runs]
    targets = [f"{folder}/manifest.json" for folder in folders]
    done = copy.snakemake("--cores", "2", "--config", f"study={study}", "device=cpu", "--", *targets)
    assert done.returncode == 0, done.stdout[-5000:]
    for folder in folders:
        read_manifest(copy.folder / folder / "manifest.json")
    return [load_table(copy.folder / folder / "metrics.csv") for folder in folders]


def last(table, split, metric):
    """Values of a metric at the last step that was recorded of a split, by seed."""
    rows = table[(table["split"] == split) & (table["metric"] == metric)]
    return rows[rows["step"] == rows["step"].max()].set_index("seed")["value"]


@pytest.mark.mirror
@pytest.mark.skipif(not MIRROR, reason="CARRYOVER_MIRROR does not name a folder of real images")
def test_real_images_of_a_mirror_are_prepared_and_trained_on_without_a_network(tmp_path):
    copy = WorkflowCopy(tmp_path)
    copy.edit("config.yaml", "mirror: null", f"mirror: {MIRROR}")
    copy.edit("config.yaml", "offline: false", "offline: true")
    (tmp_path / "studies" / "mirrored.yaml").write_text(MIRRORED)
    shapes = {"mnist-small": (1, 28, 28), "fashion14": (1, 14, 14), "cifar10-16k": (3, 32, 32)}
    runs = [f"{dataset}-{net}-iterand-ku" for dataset in shapes for net in ("mlp32", "conv2")]

    tables = trained(copy, "mirrored", *runs, block="s0-1")

    for dataset, shape in shapes.items():
        images = load_images(tmp_path / "results" / "data" / f"{dataset}.safetensors")
        assert images.train.images.shape == (512, *shape)
        assert images.test.images.shape == (256, *shape)
        assert len(images.classes) == 10
    for run, table in zip(runs, tables, strict=True):
        accuracy = last(table, "test", "accuracy")
        assert list(accuracy.index) == [0, 1]
        assert table["step"].max() == LAST_STEP["mirrored"]
        if "mlp32" in run and "cifar" not in run:  # sixteen steps suffice where the images are simple
            assert (accuracy > 0.2).all(), run


def draw_photos(folder):
    """Write pictures of two classes, brighter on the left or on the right, in sizes of their own."""
    draw = np.random.default_rng(0)
    for part, count in (("train", 26), ("val", 6)):
        for name, side in (("left", 0), ("right", 1)):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                height, width = draw.integers(36, 56, 2)
                pixels = draw.integers(0, 100, (height, width, 3), dtype=np.uint8)
                half = width // 2
                pixels[:, side * half : side * half + half] += 120
                Image.fromarray(pixels).save(folder / part / name / f"{number:03}.png")


@pytest.fixture(scope="module")
def streamed(tmp_path_factory):
    """The study `streamed`, trained."""
    copy = WorkflowCopy(tmp_path_factory.mktemp("streamed"))
    draw_photos(copy.folder / "data" / "photos")
    (copy.folder / "studies" / "streamed.yaml").write_text(STREAMED)
    names = ("photos-resnet18-dense", "photos-resnet18-iterand-sc")
    tables = trained(copy, "streamed", *names, block="s1")
    return copy, dict(zip(names, tables, strict=True))


def test_a_folder_of_the_layout_of_imagenet_is_streamed_from_index_to_results(streamed):
    copy, tables = streamed
    assert (copy.folder / "results" / "data" / "photos.json").is_file()
    assert not list((copy.folder / "results" / "data").glob("*.safetensors"))
    for table in tables.values():
        assert table["step"].max() == LAST_STEP["streamed"]
        assert {"train", "val", "test", "none"} == set(table["split"])
    kept, weights = (
        tables["photos-resnet18-iterand-sc"].set_index("metric").loc[f"num_{n}", "value"]
        for n in ("kept", "weights")
    )
    assert kept / weights == pytest.approx(0.3, abs=0.01)
    assert tables["photos-resnet18-dense"].set_index("metric").loc["num_trained", "value"] > weights


def command(copy, folder):
    """Write the command that trains the streamed IteRand run again, into another folder."""
    result = copy.folder / "results/streamed/iterand/photos-resnet18-iterand-sc/s1"
    manifest = read_manifest(result / "manifest.json")
    block = folder / "photos-resnet18-iterand-sc" / "s1"
    return [
        sys.executable, "-m", f"carryover.stages.{manifest.stage}",
        "--spec", manifest.spec, "--code", "0", "--seeds", "s1", "--device", "cpu",
        "--images", "results/data/photos.json", "--work", str(folder / "work"), "--save-every", "0.05",
        "--metrics", str(block / "metrics.csv"), "--nets", str(block / "nets.safetensors"),
        "--manifest", str(block / "manifest.json"),
    ]  # fmt: skip


def test_a_streamed_training_that_is_told_to_stop_goes_on_bit_for_bit(streamed, tmp_path):
    copy, _ = streamed
    again = {"args": command(copy, tmp_path), "cwd": copy.folder, "env": copy.environment}
    process = subprocess.Popen(**again)
    while process.poll() is None and not list((tmp_path / "work").rglob("step-*.safetensors")):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == os.EX_TEMPFAIL
    subprocess.run(**again, check=True)
    for name in ("metrics.csv", "nets.safetensors"):
        once = copy.folder / "results/streamed/iterand/photos-resnet18-iterand-sc/s1" / name
        resumed = tmp_path / "photos-resnet18-iterand-sc" / "s1" / name
        assert resumed.read_bytes() == once.read_bytes()
