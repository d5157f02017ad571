import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from carryover.data.images import load_images
from carryover.data.listing import write_listing
from carryover.data.omniglot import digest_of_drawings, read_omniglot, resize_drawings
from carryover.data.sources import DOWNLOADS
from carryover.stages import fetch_images, prepare_download

CHARACTERS = {
    "images_background": ("Greek/character01", "Greek/character02", "Latin/character01"),
    "images_evaluation": ("Keble/character01", "Angelic/character01"),
}


def ink(number, side=105):
    """Draw a bar: where the ink of drawing `number` is."""
    drawn = np.zeros((side, side), bool)
    drawn[10 + number : 60, 20:30] = True
    return drawn


def png(drawn, mode="1", **options):
    buffer = io.BytesIO()
    Image.fromarray(~drawn).convert(mode).save(buffer, "png", **options)
    return buffer.getvalue()


def archive(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def members(part, **options):
    """Three drawings of each character, in an order of their own."""
    return {
        f"{part}/{character}/{number:04}.png": png(ink(10 * position + number), **options)
        for position, character in reversed(list(enumerate(CHARACTERS[part])))
        for number in (2, 0, 1)
    }


@pytest.fixture
def files(tmp_path):
    return {f"{part}.zip": archive(tmp_path / f"{part}.zip", members(part)) for part in CHARACTERS}


def test_characters_are_classes_background_first_and_sorted(files):
    contents = read_omniglot(dict(reversed(files.items())))
    assert contents.classes == (
        "Greek/character01",
        "Greek/character02",
        "Latin/character01",
        "Angelic/character01",
        "Keble/character01",
    )
    assert contents.parts["all"].labels.tolist() == [number for number in range(5) for _ in range(3)]


def test_ink_is_255_and_paper_0(files):
    images = read_omniglot(files).parts["all"].images
    assert images.shape == (15, 1, 105, 105)
    assert images[4, 0].equal(torch.from_numpy(ink(11)).to(torch.uint8) * 255)
    assert images[9, 0].equal(torch.from_numpy(ink(10)).to(torch.uint8) * 255)


def test_drawings_are_resized_as_pictures_are(files):
    contents = read_omniglot(files)
    small = resize_drawings(contents, 28).parts["all"]
    assert small.images.shape == (15, 1, 28, 28)
    assert small.labels.equal(contents.parts["all"].labels)
    picture = Image.fromarray(contents.parts["all"].images[7, 0].numpy())
    expected = np.array(picture.resize((28, 28), Image.Resampling.BILINEAR))
    assert (small.images[7, 0].numpy() == expected).all()
    assert resize_drawings(contents, None).parts["all"].images.shape == (15, 1, 105, 105)


def test_the_digest_is_of_names_and_pixels_not_of_how_they_are_packed(files, tmp_path):
    known = digest_of_drawings(files["images_background.zip"])
    other = archive(tmp_path / "other.zip", dict(reversed(members("images_background", mode="L").items())))
    assert other.read_bytes() != files["images_background.zip"].read_bytes()
    assert digest_of_drawings(other) == known
    changed = members("images_background")
    changed["images_background/Greek/character01/0001.png"] = png(ink(2))
    assert digest_of_drawings(archive(tmp_path / "changed.zip", changed)) != known
    moved = members("images_background")
    moved["images_background/Greek/character01/0009.png"] = moved.pop(
        "images_background/Greek/character01/0002.png"
    )
    assert digest_of_drawings(archive(tmp_path / "moved.zip", moved)) != known


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("images_background/Greek/character01/1.png", png(ink(0))[:60], "cannot be read"),
        ("images_background/Greek/character01/1.png", png(ink(0, 28)), "28x28 pixels is no drawing"),
        ("Greek/character01/1.png", png(ink(0)), "is no drawing of Omniglot"),
        ("README.md", b"", "holds no drawings"),
    ],
)
def test_an_archive_of_something_else_is_named(tmp_path, name, data, message):
    path = archive(tmp_path / "images_background.zip", {name: data})
    with pytest.raises(ValueError, match=rf"images_background\.zip.*{message}.*delete"):
        read_omniglot({path.name: path})


def test_a_damaged_archive_is_named(files):
    path = files["images_background.zip"]
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"images_background\.zip is no folder and no zip, or damaged"):
        read_omniglot(files)


def test_listed_archives_become_a_data_set_of_turned_characters(files, tmp_path):
    own = {"origin": "x", "rotations": [0, 90], "train": ["Greek/*"], "val": [], "test": ["Keble/*"]}
    (tmp_path / "own.json").write_text(json.dumps(own))
    write_listing(tmp_path / "raw.json", "omniglot", files)
    spec = json.dumps({"source": "omniglot", "class_split": str(tmp_path / "own.json"), "size": 14})
    path = tmp_path / "greek.safetensors"
    prepare_download.main(["--spec", spec, "--raw", str(tmp_path / "raw.json"), "--images", str(path)])
    images = load_images(path)
    names = ("Greek/character01", "Greek/character02", "Keble/character01")
    assert images.classes == tuple(each for name in names for each in (name, f"{name}@90"))
    assert images.train.images.shape == (12, 1, 14, 14)
    assert images.train.images[3:6].equal(images.train.images[:3].rot90(1, (2, 3)))
    assert (images.max_value, images.mean, images.std) == (255, (0.0,), (1.0,))


def test_an_archive_is_known_by_its_md5_or_by_its_drawings():
    for raw in DOWNLOADS["omniglot"].files:
        assert len(raw.md5) == 32
        assert len(raw.sha256) == 64
        assert raw.names == (raw.name,)
        assert raw.content.called == "drawings"


@pytest.mark.mirror
@pytest.mark.skipif("CARRYOVER_MIRROR" not in os.environ, reason="CARRYOVER_MIRROR names no mirror")
def test_a_mirror_with_omniglot_becomes_the_split_of_vinyals(tmp_path):
    options = ["--root", str(tmp_path / "data"), "--mirror", os.environ["CARRYOVER_MIRROR"], "--offline"]
    raw, path = tmp_path / "raw.json", tmp_path / "omniglot.safetensors"
    fetch_images.main(["--spec", '{"source": "omniglot"}', *options, "--raw", str(raw)])
    prepare_download.main(["--spec", '{"source": "omniglot"}', "--raw", str(raw), "--images", str(path)])
    images = load_images(path)
    counts = [len(own.labels.unique()) for own in (images.train, images.val, images.test)]
    assert counts == [4 * 1028, 4 * 172, 4 * 423]
    for own in (images.train, images.val, images.test):
        assert set(own.labels.bincount().tolist()) <= {0, 20}
    assert Path(json.loads(raw.read_text())["files"]["images_background.zip"]["path"]).is_file()
