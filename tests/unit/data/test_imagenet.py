import json

import pytest

from carryover.data.imagenet import index_imagenet, read_index, save_index
from carryover.data.settings import Imagenet

SETTINGS = Imagenet(source="imagenet", path="imagenet", split={"val_fraction": 0.1})


@pytest.fixture
def folder(tmp_path):
    """Two classes: 20 + 12 training images, 3 + 2 official validation images; no image is ever opened."""
    for part, own, num in (("train", "n01", 20), ("train", "n02", 12), ("val", "n01", 3), ("val", "n02", 2)):
        (tmp_path / "images" / part / own).mkdir(parents=True)
        for number in range(num):
            (tmp_path / "images" / part / own / f"{own}_{number}.JPEG").touch()
    return tmp_path / "images"


def test_a_tenth_of_train_validates_and_the_official_val_folder_tests(folder):
    index = index_imagenet("tiny", folder, SETTINGS)
    assert {name: len(split.paths) for name, split in index.splits.items()} == {
        "train": 29,
        "val": 3,
        "test": 5,
    }
    own = [path for name in ("train", "val") for path in index.splits[name].paths]
    assert len(set(own)) == 32
    assert all(path.startswith("train/") for path in own)
    assert all(path.startswith("val/") for path in index.splits["test"].paths)


def test_labels_are_positions_of_the_sorted_class_folders(folder):
    index = index_imagenet("tiny", folder, SETTINGS)
    assert index.classes == ("n01", "n02")
    for split in index.splits.values():
        named = [index.classes.index(path.split("/")[1]) for path in split.paths]
        assert named == list(split.labels)


def test_every_listed_file_is_there(folder):
    index = index_imagenet("tiny", folder, SETTINGS)
    paths = [path for split in index.splits.values() for path in split.paths]
    assert all((folder / path).is_file() for path in paths)


def test_an_index_survives_saving_and_reading(folder, tmp_path):
    index = index_imagenet("tiny", folder, SETTINGS)
    save_index(tmp_path / "index.json", index)
    assert read_index(tmp_path / "index.json") == index
    assert index.settings == SETTINGS


def test_moved_images_keep_their_digest_and_other_images_do_not(folder):
    before = index_imagenet("tiny", folder, SETTINGS).digest
    moved = folder.rename(folder.with_name("elsewhere"))
    assert index_imagenet("tiny", moved, SETTINGS).digest == before
    (moved / "train/n01/n01_99.JPEG").touch()
    assert index_imagenet("tiny", moved, SETTINGS).digest != before


def test_a_part_of_the_training_images_leaves_validation_and_test_alone(folder):
    part = Imagenet(source="imagenet", path="x", split={"val_fraction": 0.1, "train_fraction": 0.25})
    whole, few = index_imagenet("tiny", folder, SETTINGS), index_imagenet("tiny.part", folder, part)
    assert len(few.splits["train"].paths) == 8
    assert set(few.splits["train"].paths) < set(whole.splits["train"].paths)
    assert [few.splits[name] for name in ("val", "test")] == [whole.splits[name] for name in ("val", "test")]


def test_an_index_may_have_some_classes_only_numbered_in_the_order_of_the_choice(folder):
    for name in ("n00", "n03"):
        for part in ("train", "val"):
            (folder / part / name).mkdir()
            (folder / part / name / "0.JPEG").touch()
    chosen = Imagenet(source="imagenet", path="x", split={"val_fraction": 0.1}, classes=[2, 1])
    index = index_imagenet("tiny.part", folder, chosen)
    assert index.classes == ("n02", "n01")
    for split in index.splits.values():
        assert [index.classes[label] for label in split.labels] == [
            path.split("/")[1] for path in split.paths
        ]
    assert sum(len(split.paths) for split in index.splits.values()) == 37
    with pytest.raises(ValueError, match="classes are numbers from 0 to 3: got 4"):
        index_imagenet("tiny.part", folder, chosen.model_copy(update={"classes": (0, 4)}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ["a", "b"]}, "has been changed since it was made: delete it"),
        ({"format": 1}, "has index format 1, this version reads 2: delete it"),
        ({"classes": 7}, "is not a whole image index: delete it"),
    ],
)
def test_a_changed_index_is_refused(folder, tmp_path, changes, message):
    path = tmp_path / "index.json"
    save_index(path, index_imagenet("tiny", folder, SETTINGS))
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ValueError, match=message):
        read_index(path)


def test_a_missing_index_says_how_to_make_it(tmp_path):
    with pytest.raises(ValueError, match=r"index\.json is missing: `snakemake"):
        read_index(tmp_path / "index.json")


def test_a_missing_part_is_named(folder):
    (folder / "val").rename(folder / "validation")
    with pytest.raises(ValueError, match=r"images/val is missing"):
        index_imagenet("tiny", folder, SETTINGS)


def test_validation_images_outside_class_folders_are_named(folder):
    (folder / "val/ILSVRC2012_val_00000001.JPEG").touch()
    with pytest.raises(ValueError, match=r"images/val: ILSVRC2012_val_00000001\.JPEG is not where"):
        index_imagenet("tiny", folder, SETTINGS)
