import pytest
import torch

from carryover.core.config import canonical
from carryover.data.digits import read_digits
from carryover.data.prepare import Contents, Labelled, average_pool, keep_classes, prepare_images, shrink
from carryover.data.settings import Digits, Folder, Mnist


def labelled(num, size=4):
    images = torch.arange(num * size * size).reshape(num, 1, size, size) % 251
    return Labelled(images.to(torch.uint8), torch.arange(num) % 2)


def contents(**sizes):
    parts = {name: labelled(num) for name, num in sizes.items()}
    return Contents(parts=parts, classes=("even", "odd"), origin="Made here.")


def folder(**split):
    return Folder(source="folder", path="x", channels=1, mean=(0.5,), std=(0.2,), split=split)


def test_averaging_2x2_is_exact_for_every_sum_of_four_pixels():
    fours = torch.stack([torch.arange(1021).div(4, rounding_mode="floor")] * 4, 1)
    fours[:, 1:] += (torch.arange(1021) % 4)[:, None] > torch.tensor([2, 1, 0])
    assert fours.sum(1).equal(torch.arange(1021))  # every sum from 0 to 4 * 255
    pooled = average_pool(fours.to(torch.uint8).view(-1, 1, 2, 2), 1).flatten()
    assert pooled.long().equal((torch.arange(1021) * 2 + 4).div(8, rounding_mode="floor"))


def test_averaging_takes_each_block_of_its_own_channel():
    images = torch.randint(0, 256, (3, 2, 28, 28), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    pooled = average_pool(images, 14)
    assert pooled.shape == (3, 2, 14, 14)
    block = images[2, 1, 8:10, 26:28].double()
    assert pooled[2, 1, 4, 13].item() == int(block.mean().item() + 0.5)


def test_shrinking_to_nothing_leaves_the_images_alone():
    assert shrink(contents(all=4), None).parts["all"].images.shape == (4, 1, 4, 4)
    assert shrink(contents(all=4), 2).parts["all"].images.shape == (4, 1, 2, 2)


def test_index_labels_and_images_stay_together():
    found = contents(all=20)
    images = prepare_images("dots", found, folder(test=5, val=3))
    for split in images.splits.values():
        assert split.images.equal(found.parts["all"].images[split.index])
        assert split.labels.equal(found.parts["all"].labels[split.index])


def test_a_data_set_says_what_it_is():
    settings = Mnist(source="mnist", split={"val": 2})
    images = prepare_images("mnist-mini", contents(train=10, test=4), settings)
    assert images.dataset == "mnist-mini"
    assert images.spec == canonical(settings)
    assert (images.mean, images.std, images.max_value) == ((0.1307,), (0.3081,), 255)
    assert [len(images.splits[name].labels) for name in ("train", "val", "test")] == [8, 2, 4]


def test_folders_of_their_own_stay_as_they_are():
    images = prepare_images("dots", contents(train=6, val=3, test=4), folder())
    for name, num in (("train", 6), ("val", 3), ("test", 4)):
        assert images.splits[name].index.equal(torch.arange(num))


def test_validation_images_are_not_taken_twice():
    with pytest.raises(ValueError, match=r"split\.val must be 0, got 2"):
        prepare_images("dots", contents(train=6, val=3, test=4), folder(val=2))


def five_classes(*parts):
    labels = torch.arange(30) % 5
    images = torch.arange(30, dtype=torch.uint8)[:, None, None, None]
    made = {name: Labelled(images, labels) for name in parts}
    return Contents(parts=made, classes=tuple("abcde"), origin="Made here.")


@pytest.mark.parametrize("parts", [("all",), ("train", "test"), ("train", "val", "test")])
def test_classes_are_kept_in_every_part_and_numbered_in_the_order_of_the_choice(parts):
    kept = keep_classes(five_classes(*parts), (3, 0))
    assert kept.classes == ("d", "a")
    for part in kept.parts.values():
        old = part.images.flatten().long() % 5
        assert old.unique().tolist() == [0, 3]
        assert part.labels.equal((old == 0).long())
        assert len(part.labels) == 12


def test_images_of_some_classes_know_their_positions_among_all():
    split = {"test": 3, "val": 2}
    settings = Folder(
        source="folder", path="x", channels=1, mean=(0.5,), std=(0.2,), split=split, classes=[4, 2]
    )
    images = prepare_images("half", five_classes("all"), settings)
    assert images.classes == ("e", "c")
    assert [len(images.splits[name].labels) for name in ("train", "val", "test")] == [7, 2, 3]
    for own in images.splits.values():
        assert own.images.flatten().long().equal(own.index)  # the pixel of an image is its position here


def test_the_two_halves_of_the_digits_share_no_image():
    low, high = (
        prepare_images("half", read_digits(), Digits(source="digits", classes=c))
        for c in (range(5), range(5, 10))
    )
    ours, theirs = (torch.cat([own.index for own in half.splits.values()]) for half in (low, high))
    assert torch.cat([ours, theirs]).sort().values.equal(torch.arange(1797))
    assert (low.classes, high.classes) == (tuple("01234"), tuple("56789"))
    assert read_digits().parts["all"].labels[high.test.index].equal(high.test.labels + 5)


def test_a_class_that_a_folder_does_not_have_is_named_with_the_range():
    settings = folder().model_copy(update={"classes": (0, 2)})
    with pytest.raises(ValueError, match="classes are numbers from 0 to 1: got 2"):
        prepare_images("dots", contents(all=9), settings)


def test_more_images_than_the_chosen_classes_have_are_refused():
    settings = Digits(source="digits", classes=[0, 1], split={"train": 200})
    with pytest.raises(ValueError, match="split asks for train 200"):
        prepare_images("two", read_digits(), settings)
