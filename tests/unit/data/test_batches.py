import pytest
import torch

from carryover.core import rng
from carryover.core.loop import Batches
from carryover.data.augment import augment
from carryover.data.batches import MemoryBatches, Normaliser, evaluation_batches

LIKE = torch.zeros(())
DRAW = rng.generator(0, "images")
IMAGES = torch.randint(0, 256, (11, 3, 6, 6), generator=DRAW, dtype=torch.uint8)
LABELS = torch.arange(11)
PLAIN = Normaliser(255.0, [0.0] * 3, [1.0] * 3, LIKE)


def batches(seeds=(0, 1), augmentation="none", batch_size=4, normaliser=PLAIN):
    return MemoryBatches(
        IMAGES, LABELS, normaliser, seeds=seeds, batch_size=batch_size, augmentation=augmentation
    )


def labels_of(made, epoch, index):
    return torch.cat([labels[index] for _, labels in made.epoch(epoch)])


def test_inputs_are_pixels_on_a_unit_scale_less_the_mean_over_the_deviation():
    normaliser = Normaliser(16.0, [0.5, 0.25, 0.0], [0.5, 2.0, 1.0], LIKE)
    images = torch.full((2, 3, 1, 1), 8, dtype=torch.uint8)
    inputs = normaliser.normalise(normaliser.unit(images))
    assert inputs.flatten(1).tolist() == [[0.0, 0.125, 0.5]] * 2
    assert inputs.dtype == torch.float32
    double = Normaliser(16.0, [0.5, 0.25, 0.0], [0.5, 2.0, 1.0], LIKE.double())
    assert double.unit(images).dtype == torch.float64


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_every_seed_sees_every_image_once_an_epoch_in_an_order_of_its_own(epoch):
    made = batches((0, 1, 2))
    orders = [labels_of(made, epoch, index) for index in range(3)]
    for order in orders:
        assert torch.equal(order.sort().values, LABELS)
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], labels_of(made, epoch + 1, 0))


def test_labels_go_with_their_images():
    for images, labels in batches().epoch(0):
        for index in (0, 1):
            assert torch.equal(images[index], PLAIN.unit(IMAGES[labels[index]]))


def test_the_last_smaller_batch_is_kept():
    made = batches()
    assert isinstance(made, Batches)
    assert made.num_steps == 3
    assert [tuple(images.shape) for images, _ in made.epoch(0)] == [(2, n, 3, 6, 6) for n in (4, 4, 3)]
    assert batches(batch_size=11).num_steps == 1


@pytest.mark.parametrize("augmentation", ["none", "crop", "crop-flip", "authors"])
@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_an_epoch_goes_on_from_any_step_with_the_same_batches(augmentation, start):
    made = batches(augmentation=augmentation)
    whole, rest = list(made.epoch(3))[start:], list(made.epoch(3, start))
    assert len(rest) == 3 - start
    for (images, labels), (others, their_labels) in zip(whole, rest, strict=True):
        assert torch.equal(images, others)
        assert torch.equal(labels, their_labels)


@pytest.mark.parametrize("augmentation", ["none", "authors"])
def test_the_batches_of_a_seed_do_not_depend_on_the_block(augmentation):
    alone, together = batches((3,), augmentation), batches((0, 3, 9), augmentation)
    for (images, labels), (others, their_labels) in zip(alone.epoch(1), together.epoch(1), strict=True):
        assert torch.equal(images[0], others[1])
        assert torch.equal(labels[0], their_labels[1])


def test_images_are_augmented_before_they_are_normalised_each_step_anew():
    normaliser = Normaliser(255.0, [0.4, 0.5, 0.6], [0.2, 0.3, 0.4], LIKE)
    made = batches((5,), "crop-flip", 11, normaliser)
    ((images, labels),) = made.epoch(2)
    unit = augment(normaliser.unit(IMAGES[labels[0]]), "crop-flip", rng.generator(5, "augment", 2))
    assert torch.equal(images[0], normaliser.normalise(unit))
    ((others, their_labels),) = made.epoch(3)
    assert not torch.equal(images[0][labels[0].argsort()], others[0][their_labels[0].argsort()])


def test_evaluation_batches_are_the_split_in_its_own_order():
    made = evaluation_batches(IMAGES, LABELS, PLAIN, 4)
    assert [len(labels) for _, labels in made] == [4, 4, 3]
    assert torch.equal(torch.cat([images for images, _ in made]), PLAIN.unit(IMAGES))
    assert torch.equal(torch.cat([labels for _, labels in made]), LABELS)
