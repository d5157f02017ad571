import pytest

from carryover.data.names import check_name
from carryover.data.settings import Cifar10, Digits, Folder, Imagenet, Omniglot


def cifar10(**settings):
    return Cifar10(source="cifar10", **settings)


@pytest.mark.parametrize(
    "dataset", [cifar10(), cifar10(split={"val": 5000}), cifar10(split={"train": 45_000, "val": 5000})]
)
def test_all_of_a_source_may_have_its_name(dataset):
    check_name("cifar10", dataset)


@pytest.mark.parametrize("split", [{"train": 12_000}, {"test": 4000}, {"train": 40_000, "val": 5000}])
def test_a_part_of_a_source_needs_a_name_of_its_own(split):
    check_name("cifar10-16k", cifar10(split=split))
    with pytest.raises(ValueError, match="cifar10-small"):
        check_name("cifar10", cifar10(split=split))


def test_a_smaller_copy_of_a_source_needs_a_name_of_its_own():
    with pytest.raises(ValueError, match="own size"):
        check_name("cifar10", cifar10(size=16))


@pytest.mark.parametrize(
    "dataset",
    [
        cifar10(classes=[0, 1]),
        Digits(source="digits", classes=range(5)),
        Digits(source="digits", class_split="digits"),
        Omniglot(source="omniglot", class_split="omniglot-small"),
        Omniglot(source="omniglot", size=14),
        Imagenet(source="imagenet", path="x", classes=[3, 4]),
        Imagenet(source="imagenet", path="x", split={"train_fraction": 0.1}),
    ],
)
def test_some_of_the_classes_or_images_need_a_name_of_their_own(dataset):
    check_name(f"{dataset.source}.part", dataset)
    with pytest.raises(ValueError, match=r"fewer images or classes.*give it a name of its own"):
        check_name(dataset.source, dataset)


def test_a_folder_cannot_call_itself_cifar10():
    folder = Folder(source="folder", path="cifar10/cifar10_16k_png.zip")
    check_name("cifar10-16k", folder)
    with pytest.raises(ValueError, match="belongs to the source cifar10"):
        check_name("cifar10", folder)


def test_digits_are_digits_however_they_are_split():
    check_name("digits", Digits(source="digits", split={"train": 1120, "val": 280}))


@pytest.mark.parametrize("split", ["omniglot-vinyals", "omniglot-alphabets"])
def test_omniglot_with_every_character_may_have_its_name(split):
    check_name("omniglot", Omniglot(source="omniglot", class_split=split))
