import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from carryover.core import rng
from carryover.data.augment import random_boxes, random_flips
from carryover.data.batches import Normaliser
from carryover.data.settings import Imagenet
from carryover.data.stream import ImageStream, read_index

pytestmark = [
    # the machine of a test may have one core, and Python 3.12 warns of any fork
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]

SETTINGS = Imagenet(source="imagenet", path="images", size=12, resize=16)
NUM_TRAIN, NUM_TEST = 22, 7


@pytest.fixture(scope="module")
def index_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of small images of many sizes and kinds, and its index."""
    root = tmp_path_factory.mktemp("images")
    splits: dict[str, Any] = {}
    for split, count in (("train", NUM_TRAIN), ("test", NUM_TEST)):
        paths = [f"{split}/{number}.{'png' if number % 3 == 0 else 'jpg'}" for number in range(count)]
        splits[split] = {"paths": paths, "labels": [number % 3 for number in range(count)]}
        (root / split).mkdir()
        for number, path in enumerate(paths):
            draw = rng.generator(0, path)
            pixels = torch.randint(256, (3, 20 + number, 30 - number), generator=draw, dtype=torch.uint8)
            image = v2.functional.to_pil_image(pixels)
            image.convert("L" if number % 5 == 0 else "RGB").save(root / path)
    path = root / "index.json"
    content = {"format": 1, "root": str(root), "classes": ["cat", "dog", "owl"], "splits": splits}
    path.write_text(json.dumps(content))
    return path


def stream(path: Path, **changes: int) -> ImageStream:
    plain = Normaliser(255.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), torch.empty(0))
    choices = {"seed": 0, "batch_size": 4, "num_workers": 0, **changes}
    return ImageStream(read_index(path), SETTINGS, plain, **choices)


def equal(one: list[tuple[Tensor, Tensor]], other: list[tuple[Tensor, Tensor]]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in pairs)


def altered(path: Path, folder: Path, **changes: object) -> Path:
    copy = folder / "index.json"
    copy.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return copy


def test_an_epoch_has_every_image_once_and_keeps_the_smaller_last_batch(index_path: Path):
    source = stream(index_path)
    batches = list(source.epoch(0))
    assert source.num_steps == len(batches) == 6
    assert [tuple(images.shape) for images, _ in batches] == [(1, 4, 3, 12, 12)] * 5 + [(1, 2, 3, 12, 12)]
    labels = torch.cat([labels[0] for _, labels in batches])
    assert labels.bincount().tolist() == [8, 7, 7]


def test_two_workers_give_the_same_batches_as_none(index_path: Path):
    assert equal(list(stream(index_path).epoch(3)), list(stream(index_path, num_workers=2).epoch(3)))


def test_an_epoch_resumes_exactly_at_any_step(index_path: Path):
    whole = list(stream(index_path).epoch(1))
    for start in range(7):
        assert equal(list(stream(index_path).epoch(1, start)), whole[start:])


def test_what_comes_before_the_resumed_step_is_not_decoded(index_path: Path, tmp_path: Path):
    order = torch.randperm(NUM_TRAIN, generator=rng.generator(0, "order", 1)).tolist()
    splits = json.loads(index_path.read_text())["splits"]
    for image in order[:8]:
        splits["train"]["paths"][image] = "missing.jpg"
    damaged = stream(altered(index_path, tmp_path, splits=splits))
    assert equal(list(damaged.epoch(1, 2)), list(stream(index_path).epoch(1, 2)))
    with pytest.raises(ValueError, match=r"missing\.jpg"):
        next(damaged.epoch(1, 1))


def test_order_and_crops_change_by_epoch_and_by_seed(index_path: Path):
    first = list(stream(index_path).epoch(0))
    assert not equal(first, list(stream(index_path).epoch(1)))
    assert not equal(first, list(stream(index_path, seed=1).epoch(0)))
    assert equal(first, list(stream(index_path).epoch(0)))


def test_the_batch_size_changes_no_image(index_path: Path):
    small, large = (
        torch.cat([images[0] for images, _ in stream(index_path, batch_size=size).epoch(0)])
        for size in (4, 9)
    )
    assert torch.equal(small, large)


def test_a_training_image_is_cropped_and_flipped_by_the_stream_of_its_position(index_path: Path):
    source = stream(index_path)
    images, _ = list(source.epoch(2))[1]
    position = 1 * 4 + 3
    chosen = torch.randperm(NUM_TRAIN, generator=rng.generator(0, "order", 2))[position]
    image = Image.open(Path(source.index.root) / source.index.splits["train"].paths[chosen]).convert("RGB")
    draw = rng.generator(0, "augment", 2, position)
    box = random_boxes(1, image.height, image.width, draw)[0].tolist()
    view = v2.functional.resized_crop(image, *box, size=[12, 12], antialias=True)
    if random_flips(1, draw).item():
        view = v2.functional.horizontal_flip(view)
    assert torch.equal(images[0, 3], v2.functional.pil_to_tensor(view) / 255)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_evaluation_is_in_order_resized_and_centre_cropped_and_can_be_repeated(
    index_path: Path, num_workers: int
):
    source = stream(index_path, num_workers=num_workers)
    batches = source.evaluation("test", 3)
    found = list(batches)
    assert [len(labels) for _, labels in found] == [3, 3, 1]
    assert torch.cat([labels for _, labels in found]).tolist() == [0, 1, 2, 0, 1, 2, 0]
    image = Image.open(Path(source.index.root) / source.index.splits["test"].paths[4]).convert("RGB")
    usual = v2.Compose([v2.Resize(16, antialias=True), v2.CenterCrop(12), v2.PILToTensor()])
    assert torch.equal(found[1][0][1], usual(image) / 255)
    assert equal(list(batches), found)


def test_evaluating_in_the_middle_of_an_epoch_disturbs_nothing(index_path: Path):
    source, found = stream(index_path, num_workers=2), []
    for batch in source.epoch(0):
        found.append(batch)
        assert len(list(source.evaluation("test"))) == 1
    assert equal(found, list(source.epoch(0)))


def test_batches_are_normalised_channel_by_channel(index_path: Path):
    source = stream(index_path)
    plain, _ = next(source.epoch(0))
    source.normaliser = Normaliser(255.0, (0.1, 0.2, 0.3), (0.5, 1.0, 2.0), torch.empty(0))
    images, _ = next(source.epoch(0))
    for channel, (mean, std) in enumerate([(0.1, 0.5), (0.2, 1.0), (0.3, 2.0)]):
        torch.testing.assert_close(images[:, :, channel], (plain[:, :, channel] - mean) / std)


def test_streaming_leaves_torchs_global_generator_alone(index_path: Path):
    before = torch.get_rng_state()
    next(stream(index_path).epoch(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_survive_the_sigterm_that_a_cluster_sends_to_a_whole_job(index_path: Path):
    before = set(multiprocessing.active_children())
    batches = stream(index_path, num_workers=2, batch_size=1).epoch(0)
    found = [next(batches)]
    workers = set(multiprocessing.active_children()) - before
    assert len(workers) == 2
    for worker in workers:
        os.kill(worker.pid or 0, signal.SIGTERM)
    found += batches
    assert equal(found, list(stream(index_path, batch_size=1).epoch(0)))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_damaged_image_is_an_error_that_names_it(index_path: Path, tmp_path: Path, num_workers: int):
    (tmp_path / "cut.png").write_bytes((Path(index_path.parent) / "train/0.png").read_bytes()[:200])
    splits = {"train": {"paths": [str(tmp_path / "cut.png")], "labels": [0]}}
    damaged = stream(altered(index_path, tmp_path, splits=splits), num_workers=num_workers)
    with pytest.raises(ValueError, match=r"cannot decode the image .*cut\.png.*Restore the file"):
        next(damaged.epoch(0))


def test_a_split_that_is_not_there_is_an_error_that_lists_those_that_are(index_path: Path):
    with pytest.raises(ValueError, match="splits train, test: got val"):
        stream(index_path).evaluation("val")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"format": 2}, "has index format 2, this version reads 1: delete it"),
        ({"splits": {"train": {"paths": ["a"], "labels": []}}}, "train has 1 paths and 0 labels"),
        ({"splits": {"train": {"paths": ["a"], "labels": [3]}}}, "train has labels outside the 3 classes"),
        ({"classes": 7}, "not a whole image index"),
    ],
)
def test_a_wrong_index_is_refused(
    index_path: Path, tmp_path: Path, changes: dict[str, object], complaint: str
):
    with pytest.raises(ValueError, match=complaint):
        read_index(altered(index_path, tmp_path, **changes))


def test_a_cut_index_is_refused(index_path: Path, tmp_path: Path):
    cut = tmp_path / "index.json"
    cut.write_text(index_path.read_text()[:-20])
    with pytest.raises(ValueError, match=r"index\.json is not a whole image index"):
        read_index(cut)
