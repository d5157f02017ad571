import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from carryover.data.folder import decode, fit, read_folder

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 6, 6, 3), np.uint8)


def png(number=0, pixels=None, mode="RGB"):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS[number] if pixels is None else pixels).convert(mode).save(buffer, "png")
    return buffer.getvalue()


def as_folder(path, members):
    for name, data in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def as_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


both = pytest.mark.parametrize("make", [as_folder, as_zip])

PLAIN = {"dog/b.png": png(2), "dog/a.png": png(1), "cat/z.PNG": png(0)}
OFFICIAL = {
    "test/cat/1.png": png(0),
    "train/cat/1.png": png(1),
    "train/dog/1.png": png(2),
    "train/dog/2.png": png(3),
}


@both
def test_classes_and_images_are_sorted_by_name(tmp_path, make):
    contents = read_folder(make(tmp_path / "pets", PLAIN), channels=3, size=None)
    assert contents.classes == ("cat", "dog")
    assert contents.parts["all"].labels.tolist() == [0, 1, 1]
    assert contents.parts["all"].images.permute(0, 2, 3, 1).equal(torch.from_numpy(PIXELS[:3]))


@both
def test_train_and_test_folders_are_an_official_split(tmp_path, make):
    contents = read_folder(make(tmp_path / "pets", OFFICIAL), channels=3, size=None)
    assert {name: part.labels.tolist() for name, part in contents.parts.items()} == {
        "test": [0],
        "train": [0, 1, 1],
    }
    assert "its own folders test, train" in contents.origin


@both
def test_a_val_folder_is_kept_too(tmp_path, make):
    members = {**OFFICIAL, "val/dog/7.png": png(4)}
    assert read_folder(make(tmp_path / "pets", members), 3, None).parts["val"].labels.tolist() == [1]


@both
def test_other_files_and_hidden_ones_are_left_out(tmp_path, make):
    junk = {"README.txt": b"", "cat/.thumb.png": b"", "__MACOSX/cat/z.png": b"", ".git/x/y.png": b""}
    assert len(read_folder(make(tmp_path / "pets", {**PLAIN, **junk}), 3, None).parts["all"].labels) == 3


@both
def test_a_damaged_image_is_named(tmp_path, make):
    members = {**PLAIN, "dog/c.png": png(3)[:-40]}
    with pytest.raises(ValueError, match=r"pets: the image dog/c\.png cannot be read .*replace or remove it"):
        read_folder(make(tmp_path / "pets", members), 3, None)


@both
def test_text_called_png_is_named(tmp_path, make):
    with pytest.raises(ValueError, match=r"the image dog/c\.png cannot be read"):
        read_folder(make(tmp_path / "pets", {**PLAIN, "dog/c.png": b"not a picture"}), 3, None)


def test_an_image_with_16_bits_is_refused_not_clipped(tmp_path):
    deep = io.BytesIO()
    Image.fromarray(np.full((6, 6), 40_000, np.uint16)).save(deep, "png")
    with pytest.raises(ValueError, match=r"dog/c\.png cannot be read .*more than 8 bits"):
        read_folder(as_folder(tmp_path / "pets", {**PLAIN, "dog/c.png": deep.getvalue()}), 1, None)


@pytest.mark.parametrize(
    "name", ["../dog/a.png", "cat/../../a.png", "/cat/a.png", "C:/cat/a.png", "cat\\a.png"]
)
def test_a_zip_that_points_outside_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="points outside of it"):
        read_folder(as_zip(tmp_path / "pets.zip", {**PLAIN, name: png()}), 3, None)
    assert [path.name for path in tmp_path.iterdir()] == ["pets.zip"]  # nothing was extracted


def test_a_cut_zip_is_named(tmp_path):
    path = as_zip(tmp_path / "pets.zip", PLAIN)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"pets\.zip is no folder and no zip, or damaged"):
        read_folder(path, 3, None)


def test_a_changed_byte_in_a_zip_is_noticed(tmp_path):
    path = as_zip(tmp_path / "pets.zip", {"cat/a.png": png(0)})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"the image cat/a\.png cannot be read"):
        read_folder(path, 3, None)


def test_a_missing_folder_names_the_setting(tmp_path):
    with pytest.raises(ValueError, match="pets is missing: set `path`"):
        read_folder(tmp_path / "pets", 3, None)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "holds no images"),
        ({"a.png": png()}, "a.png is not where an image should be"),
        ({**PLAIN, "dog/brown/a.png": png()}, "dog/brown/a.png is not where an image should be"),
        ({"train/cat/a.png": png()}, "has only train: an official split needs train and test"),
        ({**OFFICIAL, "test/a.png": png()}, "test/a.png is not where an image should be"),
        ({**OFFICIAL, "test/owl/a.png": png()}, "the folder test has classes that train lacks: owl"),
    ],
)
def test_another_layout_is_refused(tmp_path, members, message):
    (tmp_path / "pets").mkdir()
    with pytest.raises(ValueError, match=message):
        read_folder(as_folder(tmp_path / "pets", members), 3, None)


def test_images_of_several_sizes_need_one(tmp_path):
    wide = png(pixels=np.zeros((6, 9, 3), np.uint8))
    path = as_folder(tmp_path / "pets", {**PLAIN, "dog/wide.png": wide})
    with pytest.raises(ValueError, match=r"dog/wide\.png has 9x6 pixels, cat/z\.PNG has 6x6: set `size`"):
        read_folder(path, 3, None)
    assert read_folder(path, 3, 4).parts["all"].images.shape == (4, 3, 4, 4)


def test_the_shorter_side_is_resized_and_the_centre_is_kept():
    stripes = np.zeros((4, 12), np.uint8)
    stripes[:, 4:8] = 200
    assert (np.array(fit(Image.fromarray(stripes), 4)) == 200).all()
    assert np.array(fit(Image.fromarray(stripes), 2)).mean() > 150


def test_an_image_of_the_right_size_is_not_touched():
    image = Image.fromarray(PIXELS[0])
    assert fit(image, 6) is image


def test_colour_becomes_grey_and_grey_becomes_colour(tmp_path):
    grey = as_folder(tmp_path / "grey", {"cat/a.png": png(mode="L")})
    colour = read_folder(grey, 3, None).parts["all"].images
    assert colour.shape == (1, 3, 6, 6)
    assert colour[:, 0].equal(colour[:, 2])
    assert read_folder(as_folder(tmp_path / "pets", PLAIN), 1, None).parts["all"].images.shape == (3, 1, 6, 6)


def turned(tag, kind="png", **more):
    """A picture whose notes say how its camera was held."""
    notes, buffer = Image.Exif(), io.BytesIO()
    notes[274] = tag
    Image.fromarray(PIXELS[0, :4]).save(buffer, kind, exif=notes.tobytes(), **more)
    return buffer.getvalue()


@pytest.mark.parametrize(("tag", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_a_photograph_is_turned_as_its_camera_says(tag, turns):
    upright = np.rot90(PIXELS[0, :4], turns)  # counter-clockwise
    assert (np.array(decode(turned(tag), 3)) == upright).all()
    assert (np.array(decode(turned(tag, "tiff"), 3)) == upright).all()
    assert decode(turned(tag, "jpeg"), 1).size == upright.shape[1::-1]


def test_a_photograph_with_damaged_notes_stays_as_it_is():
    for notes in (b"Exif\0\0no notes", b"Exif\0\0II*\0\x08"):
        buffer = io.BytesIO()
        Image.fromarray(PIXELS[0]).save(buffer, "png", exif=notes)
        assert (np.array(decode(buffer.getvalue(), 3)) == PIXELS[0]).all()


def wide(width=12, height=6):
    """A picture that is brighter to the right, as an array and as PNG."""
    pixels = np.tile(np.arange(width, dtype=np.uint8)[None, :, None] * 20, (height, 1, 3))
    return Image.fromarray(pixels), png(pixels=pixels)


def test_a_picture_can_be_resized_more_than_is_cut_out():
    image, _ = wide()
    cut = np.array(fit(image, 4, 6))  # height 6 as it is, then 4x4 from the centre
    assert (cut == np.array(image)[1:5, 4:8]).all()
    assert fit(fit(image, 4), 4, 4).size == (4, 4)


def test_a_picture_can_be_stretched_and_nothing_is_cut():
    image, _ = wide()
    stretched = fit(image, 6, "stretch")
    assert (np.array(stretched) == np.array(image.resize((6, 6), Image.Resampling.BILINEAR))).all()
    assert np.array(fit(image, 6))[0, 0, 0] > np.array(stretched)[0, 0, 0]


@both
def test_folders_may_hold_different_classes_for_few_shot_learning(tmp_path, make):
    members = {"train/cat/1.png": png(0), "val/elk/1.png": png(1), "test/dog/1.png": png(2)}
    path = make(tmp_path / "pets", members)
    with pytest.raises(ValueError, match="has classes that train lacks"):
        read_folder(path, 3, None)
    contents = read_folder(path, 3, None, by_class=True)
    assert contents.classes == ("cat", "dog", "elk")
    assert {name: part.labels.tolist() for name, part in contents.parts.items()} == {
        "test": [1],
        "train": [0],
        "val": [2],
    }
