import gzip
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from carryover.data.images import load_images
from carryover.data.listing import write_listing
from carryover.data.sources import DOWNLOADS
from carryover.stages import fetch_images, prepare_download


def idx(array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes())


@pytest.fixture
def listing(tmp_path):
    """Files in the format of MNIST with 20 + 8 images, and their listing."""
    draw = np.random.default_rng(0)
    files = {}
    for prefix, num in (("train", 20), ("t10k", 8)):
        images = draw.integers(0, 256, (num, 28, 28), np.uint8)
        for name, array in (("images-idx3", images), ("labels-idx1", np.arange(num, dtype=np.uint8) % 10)):
            path = tmp_path / f"{prefix}-{name}-ubyte.gz"
            path.write_bytes(idx(array))
            files[path.name] = path
    write_listing(tmp_path / "raw.json", "mnist", files)
    return tmp_path / "raw.json"


def prepare(listing, **settings):
    path = listing.with_name("mnist-mini.safetensors")
    spec = json.dumps({"source": "mnist", **settings})
    prepare_download.main(["--spec", spec, "--raw", str(listing), "--images", str(path)])
    return load_images(path)


def test_listed_files_become_a_data_set(listing):
    images = prepare(listing, split={"val": 4})
    assert images.dataset == "mnist-mini"
    assert images.train.images.shape == (16, 1, 28, 28)
    assert (len(images.val.labels), len(images.test.labels)) == (4, 8)
    assert images.test.labels.tolist() == list(range(8))


def test_images_can_be_averaged_down(listing):
    full, small = prepare(listing), prepare(listing, size=14)
    assert small.test.images.shape == (8, 1, 14, 14)
    mean = full.test.images[0, 0, :2, 26:].double().mean().item()
    assert small.test.images[0, 0, 0, 13].item() == int(mean + 0.5)


def test_a_file_that_changed_since_it_was_listed_is_refused(listing):
    listing.with_name("t10k-labels-idx1-ubyte.gz").write_bytes(idx(np.zeros(8, np.uint8)))
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte\.gz is truncated or changed"):
        prepare(listing)


def test_a_missing_source_offline_is_a_clear_error(tmp_path):
    options = ["--root", str(tmp_path / "data"), "--raw", str(tmp_path / "raw.json"), "--offline"]
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz of kmnist is missing"):
        fetch_images.main(["--spec", '{"source": "kmnist"}', *options])
    assert not (tmp_path / "raw.json").exists()


def test_a_source_that_is_not_downloaded_has_no_raw_files(tmp_path):
    options = ["--root", str(tmp_path), "--raw", str(tmp_path / "raw.json")]
    with pytest.raises(ValueError, match="kmnist"):
        fetch_images.main(["--spec", '{"source": "digits"}', *options])


@pytest.mark.parametrize("source", DOWNLOADS)
def test_every_raw_file_has_a_checksum_and_an_address(source):
    for raw in DOWNLOADS[source].files:
        assert raw.urls
        assert all(url.endswith(f"/{raw.name}") for url in raw.urls)
        assert len(raw.sha256 or "") == 64 or len(raw.md5 or "") == 32


def test_cifar_is_read_from_the_binary_version_never_from_pickles():
    for source in ("cifar10", "cifar100"):
        assert all("binary" in raw.name for raw in DOWNLOADS[source].files)


@pytest.mark.mirror
@pytest.mark.skipif("CARRYOVER_MIRROR" not in os.environ, reason="CARRYOVER_MIRROR names no mirror")
@pytest.mark.parametrize("source", ["mnist", "fashion-mnist"])
def test_a_mirror_with_real_images_becomes_a_data_set(tmp_path, source):
    options = ["--root", str(tmp_path / "data"), "--mirror", os.environ["CARRYOVER_MIRROR"], "--offline"]
    raw, path = tmp_path / "raw.json", tmp_path / f"{source}-14.safetensors"
    fetch_images.main(["--spec", json.dumps({"source": source}), *options, "--raw", str(raw)])
    spec = json.dumps({"source": source, "size": 14, "split": {"train": 6000, "val": 1000, "test": 3000}})
    prepare_download.main(["--spec", spec, "--raw", str(raw), "--images", str(path)])
    images = load_images(path)
    assert images.train.images.shape == (6000, 1, 14, 14)
    assert sorted({int(label) for label in images.test.labels}) == list(range(10))
    mean = images.train.images.double().mean().item() / 255
    assert mean == pytest.approx(images.mean[0], abs=0.01)
    assert Path(json.loads(raw.read_text())["files"]["t10k-labels-idx1-ubyte.gz"]["path"]).is_file()
