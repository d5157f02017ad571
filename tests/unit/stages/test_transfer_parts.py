"""What the stages of learning transfer share."""

import pytest
import torch

from carryover.data.batches import MemoryBatches, Normaliser
from carryover.io.checkpoint import open_tensors, save_tensors
from carryover.stages._transfer import MiniBatches, tensors_below


def batches(num_images=10, batch_size=4):
    images = torch.arange(num_images, dtype=torch.uint8)[:, None, None, None]
    normaliser = Normaliser(1.0, (0.0,), (1.0,), torch.zeros(()))
    labels = torch.arange(num_images)
    return MemoryBatches(images, labels, normaliser, seeds=(7,), batch_size=batch_size, augmentation="none")


def labels_of(group):
    return [labels.tolist() for _, labels in group]


@pytest.mark.parametrize("num_batches", [1, 2, 4])
def test_groups_of_mini_batches_follow_one_another_through_the_epochs(num_batches):
    own = batches()
    assert own.num_steps == 3
    order = [labels[0].tolist() for epoch in range(4) for _, labels in own.epoch(epoch)]
    groups = MiniBatches(own, num_batches)
    for number in range(3):
        assert labels_of(groups(number)) == order[number * num_batches : (number + 1) * num_batches]


def test_a_group_is_the_same_whenever_it_is_asked_for():
    groups = MiniBatches(batches(), 2)
    first = labels_of(groups(1))
    groups(0)
    assert labels_of(groups(1)) == first != labels_of(groups(0))


def test_tensors_below_a_name_lose_it(tmp_path):
    path = tmp_path / "nets.safetensors"
    save_tensors(
        path, {f"1/gmt/{at}/fc1.weight": torch.ones(n) for n, at in enumerate(("selected", "last"))}, {}
    )
    file = open_tensors(path)[0]
    assert {name: len(own) for name, own in tensors_below(file, "1/gmt/last/").items()} == {"fc1.weight": 1}
    with pytest.raises(ValueError, match=r"no nets of 1/fgmt/last in these results, which have 1/gmt$"):
        tensors_below(file, "1/fgmt/last/")
