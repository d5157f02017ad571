import numpy as np
import pytest
from scipy.io import savemat

from carryover.data.svhn import read_mat, read_svhn

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), np.uint8)  # n, channels, height, width


def write(path, labels=(10, 1, 9), pixels=PIXELS, compressed=True):
    columns = np.array(labels, np.uint8)[:, None]
    savemat(path, {"X": pixels.transpose(2, 3, 1, 0), "y": columns}, do_compression=compressed)


def test_pixels_keep_their_place_and_ten_means_zero(tmp_path):
    write(tmp_path / "train_32x32.mat")
    part = read_mat(tmp_path / "train_32x32.mat")
    assert (part.images.numpy() == PIXELS).all()
    assert part.labels.tolist() == [0, 1, 9]


def test_the_set_has_its_official_split(tmp_path):
    write(tmp_path / "train.mat")
    write(tmp_path / "test.mat", labels=(2,), pixels=PIXELS[:1])
    contents = read_svhn(tmp_path / "train.mat", tmp_path / "test.mat", "Made here.")
    assert {name: len(part.labels) for name, part in contents.parts.items()} == {"train": 3, "test": 1}
    assert contents.classes[0] == "0"


@pytest.mark.parametrize("length", [0, 100, 1000, -1])
def test_a_cut_file_is_named(tmp_path, length):
    path = tmp_path / "train.mat"
    write(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"train\.mat is no file of SVHN or damaged"):
        read_mat(path)


def test_a_file_of_something_else_is_named(tmp_path):
    savemat(tmp_path / "train.mat", {"weights": np.zeros(3)})
    with pytest.raises(ValueError, match=r"train\.mat is no file of SVHN"):
        read_mat(tmp_path / "train.mat")


def test_images_of_another_shape_are_refused(tmp_path):
    write(tmp_path / "train.mat", labels=(1, 2))
    with pytest.raises(ValueError, match=r"X has shape \(32, 32, 3, 3\).*expected\s\(32, 32, 3, 2\)"):
        read_mat(tmp_path / "train.mat")
