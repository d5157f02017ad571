import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from carryover.data.imagenet import read_index
from carryover.data.images import load_images
from carryover.stages import index_imagenet, prepare_folder


def png(number):
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def pets(tmp_path):
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for number in range(20):
            archive.writestr(f"{'cat' if number < 12 else 'dog'}/{number:02}.png", png(number))
    return tmp_path / "pets.zip"


def prepare(folder, path, **settings):
    spec = json.dumps({"source": "folder", "path": folder.name, **settings})
    prepare_folder.main(["--spec", spec, "--folder", str(folder), "--images", str(path)])
    return load_images(path)


def test_class_folders_are_split_and_the_split_is_recorded(pets, tmp_path):
    images = prepare(pets, tmp_path / "pets.safetensors", split={"val": 3, "test": 5})
    assert images.classes == ("cat", "dog")
    assert [len(images.splits[name].labels) for name in ("train", "val", "test")] == [12, 3, 5]
    for split in images.splits.values():  # each image is filled with its number in the sorted listing
        assert (split.images == split.index[:, None, None, None]).all()
    assert json.loads(images.spec)["split"]["seed"] == 777


def test_a_folder_is_the_same_file_byte_for_byte(pets, tmp_path):
    for folder in ("one", "two"):
        prepare(pets, tmp_path / folder / "pets.safetensors", split={"test": 5})
    one, two = ((tmp_path / folder / "pets.safetensors").read_bytes() for folder in ("one", "two"))
    assert one == two


def test_class_folders_are_divided_by_class(pets, tmp_path):
    own = {"origin": "x", "train": ["dog"], "val": [], "test": [{"class": "cat", "rotations": [0, 180]}]}
    (tmp_path / "own.json").write_text(json.dumps(own))
    images = prepare(pets, tmp_path / "shots.safetensors", class_split=str(tmp_path / "own.json"))
    assert images.classes == ("dog", "cat", "cat@180")
    assert [len(images.splits[name].labels) for name in ("train", "val", "test")] == [8, 0, 24]
    assert images.train.labels.tolist() == [0] * 8


def test_class_folders_without_a_number_of_test_images_are_refused(pets, tmp_path):
    with pytest.raises(ValueError, match=r"say in split\.test"):
        prepare(pets, tmp_path / "pets.safetensors")
    assert not (tmp_path / "pets.safetensors").exists()


def test_imagenet_is_indexed_without_opening_an_image(tmp_path):
    for part, num in (("train", 200), ("val", 5)):
        (tmp_path / "imagenet" / part / "n01").mkdir(parents=True)
        for number in range(num):
            (tmp_path / "imagenet" / part / "n01" / f"{number}.JPEG").touch()
    spec = '{"source": "imagenet", "path": "imagenet"}'
    options = ["--folder", str(tmp_path / "imagenet"), "--index", str(tmp_path / "imagenet.json")]
    index_imagenet.main(["--spec", spec, *options])
    index = read_index(tmp_path / "imagenet.json")
    assert index.dataset == "imagenet"
    assert [len(index.splits[name].paths) for name in ("train", "val", "test")] == [198, 2, 5]


@pytest.mark.mirror
@pytest.mark.skipif("CARRYOVER_MIRROR" not in os.environ, reason="CARRYOVER_MIRROR names no mirror")
def test_16k_images_of_cifar10_are_a_data_set_of_their_own(tmp_path):
    folder = Path(os.environ["CARRYOVER_MIRROR"]) / "cifar10/cifar10_16k_png.zip"
    images = prepare(folder, tmp_path / "cifar10-16k.safetensors", split={"val": 1000})
    assert images.dataset == "cifar10-16k"
    assert images.classes[0] == "airplane"
    assert images.train.images.shape == (11_000, 3, 32, 32)
    assert (len(images.val.labels), len(images.test.labels)) == (1000, 4000)
    assert images.test.labels.bincount().tolist() == [400] * 10
    means = (images.train.images.double().mean((0, 2, 3)) / 255).tolist()
    assert means == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.01)
