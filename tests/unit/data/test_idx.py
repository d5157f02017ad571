import gzip
import struct

import numpy as np
import pytest

from carryover.data.idx import read_idx, read_idx_set


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


IMAGES = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4)
LABELS = np.array([7, 0, 2], np.uint8)


@pytest.fixture
def files(tmp_path):
    found = {}
    for prefix in ("train", "t10k"):
        for name, array in (("images-idx3", IMAGES), ("labels-idx1", LABELS)):
            path = tmp_path / f"{prefix}-{name}-ubyte.gz"
            path.write_bytes(gzip.compress(idx(array)))
            found[path.name] = path
    return found


@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_a_file_reads_alike_whether_it_is_gzipped_or_not(tmp_path, pack):
    path = tmp_path / "images"
    path.write_bytes(pack(idx(IMAGES)))
    assert (read_idx(path).numpy() == IMAGES).all()


def test_a_set_has_official_train_and_test_parts_in_file_order(files):
    contents = read_idx_set(files, [str(digit) for digit in range(10)], "Made here.")
    assert list(contents.parts) == ["train", "test"]
    for part in contents.parts.values():
        assert (part.images[:, 0].numpy() == IMAGES).all()
        assert part.labels.tolist() == [7, 0, 2]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: gzip.compress(data[:-1]), "holds 47 bytes, its header says 48"),
        (lambda data: gzip.compress(data + b"x"), "holds 49 bytes, its header says 48"),
        (lambda data: gzip.compress(data)[:-9], "cannot be decompressed"),
        (lambda data: b"\0\0\x0d" + data[3:], "no IDX file of unsigned bytes"),
        (lambda data: b"<html>no such page</html>", "no IDX file of unsigned bytes"),
        (lambda data: b"", "no IDX file of unsigned bytes"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, damage, message):
    path = tmp_path / "images"
    path.write_bytes(damage(idx(IMAGES)))
    with pytest.raises(ValueError, match=rf"images.*{message}"):
        read_idx(path)


def test_images_without_their_labels_are_refused(files):
    files["train-labels-idx1-ubyte.gz"].write_bytes(idx(LABELS[:2]))
    with pytest.raises(ValueError, match="do not fit together"):
        read_idx_set(files, ["a"], "Made here.")
