from dataclasses import replace

import pytest
import torch

from carryover.data.images import Images, Split, load_images, save_images


def split(num, start=0):
    index = torch.arange(start, start + num)
    images = (index[:, None, None, None] + torch.arange(4).view(1, 1, 2, 2)).to(torch.uint8)
    return Split(images, index % 3, index)


def some_images(**changes):
    images = Images(
        dataset="dots",
        splits={"train": split(5), "val": split(0), "test": split(2, 5)},
        classes=("a", "b", "c"),
        max_value=16,
        mean=(0.3,),
        std=(1.0,),
        spec="{}",
        origin="Made here.",
    )
    return replace(images, **changes)


def test_images_survive_saving_and_loading(tmp_path):
    save_images(tmp_path / "dots.safetensors", some_images())
    loaded = load_images(tmp_path / "dots.safetensors")
    assert replace(loaded, splits={}, digest="") == some_images(splits={})
    for name, saved in some_images().splits.items():
        for part, tensor in vars(saved).items():
            assert vars(loaded.splits[name])[part].equal(tensor), (name, part)
    assert len(loaded.train.labels) == 5
    assert len(loaded.val.labels) == 0
    assert len(loaded.test.labels) == 2


def test_only_the_splits_asked_for_are_kept(tmp_path):
    save_images(tmp_path / "dots.safetensors", some_images())
    assert list(load_images(tmp_path / "dots.safetensors", ["test"]).splits) == ["test"]


def test_equal_images_make_equal_files(tmp_path):
    for name in ("one", "two"):
        save_images(tmp_path / name, some_images())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_any_changed_pixel_changes_the_digest(tmp_path):
    digests = set()
    for pixel in range(4):
        images = some_images()
        images.train.images[0].view(-1)[pixel] += 1
        save_images(tmp_path / "dots.safetensors", images)
        digests.add(load_images(tmp_path / "dots.safetensors").digest)
    assert len(digests) == 4


def test_any_changed_byte_of_the_file_is_noticed(tmp_path):
    path = tmp_path / "dots.safetensors"
    save_images(path, some_images())
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(ValueError, match=r"dots\.safetensors"):
            load_images(path)


def test_a_cut_file_is_refused_with_the_remedy(tmp_path):
    path = tmp_path / "dots.safetensors"
    save_images(path, some_images())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="delete it, and run the same command"):
        load_images(path)


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(ValueError, match=r"is missing: `snakemake .*dots\.safetensors`"):
        load_images(tmp_path / "dots.safetensors")
