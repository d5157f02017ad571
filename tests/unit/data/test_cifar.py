import io
import tarfile

import numpy as np
import pytest

from carryover.data.cifar import CIFAR10, CIFAR100, read_cifar

RECORD_PIXELS = np.random.default_rng(0).integers(0, 256, (12, 3, 32, 32), np.uint8)


def write_archive(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def record(number, *label_bytes):
    return bytes(label_bytes) + RECORD_PIXELS[number].tobytes()


def cifar10_members():
    batches = {name: record(2 * k, 0) + record(2 * k + 1, 1) for k, name in enumerate(CIFAR10.train)}
    test = {CIFAR10.test[0]: record(10, 1) + record(11, 0)}
    return {**batches, **test, CIFAR10.names: b"cat\ndog\n\n"}


def test_cifar10_reads_its_five_batches_in_order(tmp_path):
    write_archive(tmp_path / "cifar.tar.gz", cifar10_members())
    contents = read_cifar(tmp_path / "cifar.tar.gz", CIFAR10, "Made here.")
    assert contents.classes == ("cat", "dog")
    assert (contents.parts["train"].images.numpy() == RECORD_PIXELS[:10]).all()
    assert (contents.parts["test"].images.numpy() == RECORD_PIXELS[10:]).all()
    assert contents.parts["train"].labels.tolist() == [0, 1] * 5
    assert contents.parts["test"].labels.tolist() == [1, 0]


def test_cifar100_takes_the_fine_class_not_the_coarse_one(tmp_path):
    members = {
        "cifar-100-binary/train.bin": record(0, 9, 2) + record(1, 9, 0),
        "cifar-100-binary/test.bin": record(2, 9, 1),
        "cifar-100-binary/fine_label_names.txt": b"a\nb\nc\n",
    }
    write_archive(tmp_path / "cifar.tar.gz", members)
    parts = read_cifar(tmp_path / "cifar.tar.gz", CIFAR100, "Made here.").parts
    assert parts["train"].labels.tolist() == [2, 0]
    assert (parts["train"].images.numpy() == RECORD_PIXELS[:2]).all()


def test_a_cut_archive_is_named(tmp_path):
    path = tmp_path / "cifar.tar.gz"
    write_archive(path, cifar10_members())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"cifar\.tar\.gz cannot be read .*delete it"):
        read_cifar(path, CIFAR10, "Made here.")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({CIFAR10.test[0]: None}, "test_batch.bin.*delete it"),
        ({CIFAR10.test[0]: record(0, 1)[:-1]}, "3072 bytes are no whole number of records of 3073"),
        ({CIFAR10.test[0]: b""}, "0 bytes are no whole number"),
        ({CIFAR10.test[0]: record(0, 2)}, "label 2 is beyond the 2 classes"),
    ],
)
def test_a_member_that_is_missing_or_does_not_fit_is_an_error(tmp_path, changes, message):
    members = {name: data for name, data in {**cifar10_members(), **changes}.items() if data is not None}
    write_archive(tmp_path / "cifar.tar.gz", members)
    with pytest.raises(ValueError, match=message):
        read_cifar(tmp_path / "cifar.tar.gz", CIFAR10, "Made here.")
