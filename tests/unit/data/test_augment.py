from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as theirs

from carryover.core import rng
from carryover.data.augment import (
    AUGMENTATIONS,
    PAD,
    augment,
    flipped,
    random_boxes,
    random_flips,
    resized_crops,
    shifted,
)
from carryover.data.recipes import Augmentation


def batch(
    size: int = 16, shape: tuple[int, int, int] = (3, 32, 32), dtype: torch.dtype = torch.float32
) -> Tensor:
    return torch.rand(size, *shape, generator=rng.generator(0, "images"), dtype=torch.float64).to(dtype)


def bytes_batch(size: int = 16) -> Tensor:
    return (batch(size) * 255).to(torch.uint8)


EVERY_RECIPE = pytest.mark.parametrize("recipe", get_args(Augmentation))


@EVERY_RECIPE
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (1, 14, 20)])
def test_every_recipe_keeps_shape_type_and_range(recipe: Augmentation, shape: tuple[int, int, int]):
    for images in (batch(shape=shape), (batch(shape=shape) * 255).to(torch.uint8)):
        changed = augment(images, recipe, rng.generator(0, "augment"))
        assert changed.shape == images.shape
        assert changed.dtype == images.dtype
        assert changed.max() <= images.max() * (1 + 1e-6)
        assert changed.min() >= 0


def test_every_recipe_that_can_be_named_exists():
    assert set(AUGMENTATIONS) == set(get_args(Augmentation))


@EVERY_RECIPE
def test_the_same_generator_gives_the_same_bytes_and_another_one_does_not(recipe: Augmentation):
    images = batch()
    first, again, other = (augment(images, recipe, rng.generator(seed, "augment")) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (recipe == "none")


@EVERY_RECIPE
def test_draws_do_not_depend_on_the_number_format(recipe: Augmentation):
    def changed(images: Tensor) -> Tensor:
        return augment(images, recipe, rng.generator(0, "augment")).double()

    images = bytes_batch()
    exact = changed(images.double())
    torch.testing.assert_close(changed(images.float()), exact, rtol=0, atol=1e-4)
    # rounded to whole values: half a unit, and the rounding of fp32
    torch.testing.assert_close(changed(images), exact, rtol=0, atol=0.5001)


@EVERY_RECIPE
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_draws_do_not_depend_on_the_device(recipe: Augmentation):
    images = batch()
    here = augment(images, recipe, rng.generator(0, "augment"))
    there = augment(images.cuda(), recipe, rng.generator(0, "augment"))
    torch.testing.assert_close(there.cpu(), here, rtol=0, atol=1e-6)


def test_none_changes_nothing():
    images = batch()
    assert torch.equal(augment(images, "none", rng.generator(0, "augment")), images)


def test_crop_pads_with_zeros_and_cuts_back_the_same_size():
    images = batch(64)
    changed = augment(images, "crop", rng.generator(0, "augment"))
    padded = F.pad(images, (PAD,) * 4)
    for image, own in zip(padded, changed, strict=True):
        windows = image.unfold(1, 32, 1).unfold(2, 32, 1)
        assert (windows == own[:, None, None]).all(dim=(0, 3, 4)).sum() == 1


def test_crop_reaches_every_offset_equally_often():
    dot = torch.zeros(20_000, 1, 9, 9)
    dot[:, :, PAD, PAD] = 1
    counts = augment(dot, "crop", rng.generator(0, "augment")).sum(dim=(0, 1))
    expected = 20_000 / 81
    assert counts.sum() == 20_000
    assert ((counts - expected).abs() < 5 * expected**0.5).all()


def test_a_shift_moves_the_window_and_not_the_image():
    images = batch(1)
    moved = shifted(images, torch.tensor([[2, -3]]))
    assert torch.equal(moved[..., :-2, 3:], images[..., 2:, :-3])
    assert not moved[..., -2:, :].any()
    assert not moved[..., :3].any()


def test_half_of_the_images_are_flipped():
    flips = random_flips(10_000, rng.generator(0, "augment"))
    assert flips.double().mean().item() == pytest.approx(0.5, abs=5 * 0.005)


def test_a_flip_mirrors_only_the_chosen_images():
    images = batch(2)
    mirrored = flipped(images, torch.tensor([True, False]))
    assert torch.equal(mirrored[0], images[0].flip(-1))
    assert torch.equal(mirrored[1], images[1])


def test_crop_flip_is_crop_with_flips():
    images = batch()
    cropped = augment(images, "crop", rng.generator(0, "augment"))
    both = augment(images, "crop-flip", rng.generator(0, "augment"))
    same = [torch.equal(a, b) for a, b in zip(both, cropped, strict=True)]
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(both, cropped, strict=True)]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert any(same)
    assert any(mirrored)


def test_a_crop_of_the_whole_image_is_the_image():
    images, whole = bytes_batch(4), torch.tensor([[0, 0, 32, 32]]).expand(4, -1)
    assert torch.equal(resized_crops(images, whole, 0), images)
    assert torch.equal(
        resized_crops(images.float(), whole + torch.tensor([PAD, PAD, 0, 0]), PAD), images.float()
    )


def reference(images: Tensor, boxes: Tensor, antialias: bool) -> Tensor:
    """Crop and resize each image by itself, with torchvision."""
    size = list(images.shape[-2:])
    padded = F.pad(images, (PAD,) * 4)
    return torch.stack(
        [
            theirs.resized_crop(image, *box.tolist(), size=size, antialias=antialias)
            for image, box in zip(padded, boxes, strict=True)
        ]
    )


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 14, 20)])
def test_resized_crops_equal_torchvisions_one_by_one(shape: tuple[int, int, int]):
    images = batch(200, shape)
    boxes = random_boxes(200, shape[1] + 2 * PAD, shape[2] + 2 * PAD, rng.generator(0, "augment"))
    crops = resized_crops(images, boxes, PAD)
    # a few roundings of fp32 on the 0..1 scale
    torch.testing.assert_close(crops, reference(images, boxes, antialias=True), rtol=0, atol=2e-6)
    enlarged = (boxes[:, 2] <= shape[1]) & (boxes[:, 3] <= shape[2])
    assert enlarged.sum() > 50
    plain = reference(images[enlarged], boxes[enlarged], antialias=False)
    torch.testing.assert_close(crops[enlarged], plain, rtol=0, atol=2e-6)


def test_resized_crops_of_bytes_are_within_one_level_of_pils():
    images = bytes_batch(50)
    boxes = random_boxes(50, 40, 40, rng.generator(0, "augment"))
    crops = resized_crops(images, boxes, PAD)
    for image, box, crop in zip(F.pad(images, (PAD,) * 4), boxes, crops, strict=True):
        pil = theirs.resized_crop(theirs.to_pil_image(image), *box.tolist(), size=[32, 32], antialias=True)
        assert (crop.int() - theirs.pil_to_tensor(pil).int()).abs().max() <= 1


def test_the_authors_recipe_crops_from_padded_images_and_flips():
    images, draw = batch(), rng.generator(0, "augment")
    crops = resized_crops(images, random_boxes(16, 40, 40, draw), 4)
    expected = flipped(crops, random_flips(16, draw))
    assert torch.equal(augment(images, "authors", rng.generator(0, "augment")), expected)


def test_boxes_lie_inside_the_image_with_areas_and_aspects_in_range():
    top, left, height, width = random_boxes(20_000, 400, 400, rng.generator(0, "augment")).unbind(dim=1)
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 400).all()
    assert (left + width <= 400).all()
    areas, aspects = (height * width).double() / 400**2, width.double() / height
    assert areas.min().item() == pytest.approx(0.08, abs=0.003)
    assert areas.max() > 0.98
    assert aspects.min().item() == pytest.approx(3 / 4, abs=0.01)
    assert aspects.max().item() == pytest.approx(4 / 3, abs=0.02)


def test_areas_are_uniform_and_aspects_log_uniform_where_every_try_fits():
    # no crop of area below 3/4 can stick out of a square image, so nothing was drawn again there
    _, _, height, width = random_boxes(40_000, 800, 800, rng.generator(0, "augment")).unbind(dim=1)
    areas = (height * width).double() / 800**2
    small = areas < 0.74
    shares = torch.histc(areas[small], bins=6, min=0.08, max=0.74) / small.sum()
    assert ((shares - 1 / 6).abs() < 0.012).all()
    logs = (width.double() / height).log()[small] / torch.tensor(4 / 3, dtype=torch.float64).log()
    shares = torch.histc(logs, bins=6, min=-1, max=1) / small.sum()
    assert ((shares - 1 / 6).abs() < 0.012).all()


def test_boxes_follow_the_distribution_of_torchvisions_own():
    ours = random_boxes(4_000, 40, 40, rng.generator(0, "augment")).double()
    image, crop = torch.zeros(3, 40, 40), v2.RandomResizedCrop(32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        draws = [crop.make_params([image]) for _ in range(4_000)]
    torchvisions = torch.tensor(
        [[drawn[name] for name in ("top", "left", "height", "width")] for drawn in draws], dtype=torch.float64
    )
    errors = (ours.var(0) / 4_000 + torchvisions.var(0) / 4_000).sqrt()
    assert ((ours.mean(0) - torchvisions.mean(0)).abs() < 5 * errors).all()
    torch.testing.assert_close(ours.std(0), torchvisions.std(0), rtol=0.05, atol=0)


@pytest.mark.parametrize(
    ("height", "width", "box"), [(10, 1000, [0, 493, 10, 13]), (1000, 10, [493, 0, 13, 10])]
)
def test_the_largest_centred_crop_is_taken_where_no_try_fits(height: int, width: int, box: list[int]):
    # even the smallest area is 24 pixels high (or wide) here
    boxes = random_boxes(100, height, width, rng.generator(0, "augment"))
    assert (boxes == torch.tensor(box)).all()
