import pytest
import torch

from carryover.core.config import canonical
from carryover.data.prepare import Contents, Labelled, average_pool, prepare_images, shrink
from carryover.data.settings import Folder, Mnist


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
