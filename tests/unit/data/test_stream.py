import multiprocessing
import subprocess
import sys
from collections.abc import Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from carryover.core import rng
from carryover.core.loop import Batch
from carryover.data.augment import random_boxes, random_flips
from carryover.data.batches import Normaliser
from carryover.data.imagenet import ImageIndex, SplitIndex
from carryover.data.settings import Imagenet
from carryover.data.stream import ImageStream

pytestmark = [
    # the machine of a test may have one core, and Python 3.12 warns of any fork
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]

SETTINGS = Imagenet(source="imagenet", path="images", size=12, resize=16)
NUM_TRAIN, NUM_TEST = 22, 7


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ImageIndex:
    """Make a folder of small images of many sizes and kinds, and its index."""
    root = tmp_path_factory.mktemp("images")
    splits = {}
    for split, count in (("train", NUM_TRAIN), ("test", NUM_TEST)):
        paths = [f"{split}/{number}.{'png' if number % 3 == 0 else 'jpg'}" for number in range(count)]
        splits[split] = SplitIndex(paths=tuple(paths), labels=tuple(number % 3 for number in range(count)))
        (root / split).mkdir()
        for number, path in enumerate(paths):
            draw = rng.generator(0, path)
            pixels = torch.randint(256, (3, 20 + number, 30 - number), generator=draw, dtype=torch.uint8)
            image = v2.functional.to_pil_image(pixels)
            image.convert("L" if number % 5 == 0 else "RGB").save(root / path)
    return ImageIndex(
        dataset="tiny", root=str(root), settings=SETTINGS, classes=("cat", "dog", "owl"), splits=splits
    )


def stream(index: ImageIndex, **changes: int) -> ImageStream:
    plain = Normaliser(255.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), torch.empty(0))
    choices = {"seed": 0, "batch_size": 4, "num_workers": 0, **changes}
    return ImageStream(index, SETTINGS, plain, **choices)


def trained_on(index: ImageIndex, paths: Sequence[str]) -> ImageIndex:
    """Put other training files into an index."""
    train = SplitIndex(paths=tuple(paths), labels=(0,) * len(paths))
    return index.model_copy(update={"splits": {"train": train}})


def equal(one: list[tuple[Tensor, Tensor]], other: list[tuple[Tensor, Tensor]]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in pairs)


def altered(path: Path, folder: Path, **changes: object) -> Path:
    copy = folder / "index.json"
    copy.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return copy


def test_an_epoch_has_every_image_once_and_keeps_the_smaller_last_batch(index: ImageIndex):
    source = stream(index)
    batches = list(source.epoch(0))
    assert source.num_steps == len(batches) == 6
    assert [tuple(images.shape) for images, _ in batches] == [(1, 4, 3, 12, 12)] * 5 + [(1, 2, 3, 12, 12)]
    labels = torch.cat([labels[0] for _, labels in batches])
    assert labels.bincount().tolist() == [8, 7, 7]


def test_two_workers_give_the_same_batches_as_none(index: ImageIndex):
    assert equal(list(stream(index).epoch(3)), list(stream(index, num_workers=2).epoch(3)))


def test_an_epoch_resumes_exactly_at_any_step(index: ImageIndex):
    whole = list(stream(index).epoch(1))
    for start in range(7):
        assert equal(list(stream(index).epoch(1, start)), whole[start:])


def test_what_comes_before_the_resumed_step_is_not_decoded(index: ImageIndex):
    paths = list(index.splits["train"].paths)
    for image in torch.randperm(NUM_TRAIN, generator=rng.generator(0, "order", 1)).tolist()[:8]:
        paths[image] = "missing.jpg"
    damaged = stream(trained_on(index, paths))
    whole = list(stream(index).epoch(1))
    found = list(damaged.epoch(1, 2))
    assert all(torch.equal(images, own) for (images, _), (own, _) in zip(found, whole[2:], strict=True))
    with pytest.raises(ValueError, match=r"missing\.jpg"):
        next(damaged.epoch(1, 1))


def test_order_and_crops_change_by_epoch_and_by_seed(index: ImageIndex):
    first = list(stream(index).epoch(0))
    assert not equal(first, list(stream(index).epoch(1)))
    assert not equal(first, list(stream(index, seed=1).epoch(0)))
    assert equal(first, list(stream(index).epoch(0)))


def test_the_batch_size_changes_no_image(index: ImageIndex):
    small, large = (
        torch.cat([images[0] for images, _ in stream(index, batch_size=size).epoch(0)]) for size in (4, 9)
    )
    assert torch.equal(small, large)


def test_a_training_image_is_cropped_and_flipped_by_the_stream_of_its_position(index: ImageIndex):
    source = stream(index)
    images, _ = list(source.epoch(2))[1]
    position = 1 * 4 + 3
    chosen = torch.randperm(NUM_TRAIN, generator=rng.generator(0, "order", 2))[position]
    image = Image.open(Path(index.root) / index.splits["train"].paths[chosen]).convert("RGB")
    draw = rng.generator(0, "augment", 2, position)
    box = random_boxes(1, image.height, image.width, draw)[0].tolist()
    view = v2.functional.resized_crop(image, *box, size=[12, 12], antialias=True)
    if random_flips(1, draw).item():
        view = v2.functional.horizontal_flip(view)
    assert torch.equal(images[0, 3], v2.functional.pil_to_tensor(view) / 255)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_evaluation_is_in_order_resized_and_centre_cropped_and_can_be_repeated(
    index: ImageIndex, num_workers: int
):
    source = stream(index, num_workers=num_workers)
    batches = source.evaluation("test", 3)
    found = list(batches)
    assert [len(labels) for _, labels in found] == [3, 3, 1]
    assert torch.cat([labels for _, labels in found]).tolist() == [0, 1, 2, 0, 1, 2, 0]
    image = Image.open(Path(index.root) / index.splits["test"].paths[4]).convert("RGB")
    usual = v2.Compose([v2.Resize(16, antialias=True), v2.CenterCrop(12), v2.PILToTensor()])
    assert torch.equal(found[1][0][1], usual(image) / 255)
    assert equal(list(batches), found)


def test_evaluating_in_the_middle_of_an_epoch_disturbs_nothing(index: ImageIndex):
    source, found = stream(index, num_workers=2), []
    for batch in source.epoch(0):
        found.append(batch)
        assert len(list(source.evaluation("test"))) == 1
    assert equal(found, list(source.epoch(0)))


def test_batches_are_normalised_channel_by_channel(index: ImageIndex):
    source = stream(index)
    plain, _ = next(source.epoch(0))
    source.normaliser = Normaliser(255.0, (0.1, 0.2, 0.3), (0.5, 1.0, 2.0), torch.empty(0))
    images, _ = next(source.epoch(0))
    for channel, (mean, std) in enumerate([(0.1, 0.5), (0.2, 1.0), (0.3, 2.0)]):
        torch.testing.assert_close(images[:, :, channel], (plain[:, :, channel] - mean) / std)


def test_streaming_leaves_torchs_global_generator_alone(index: ImageIndex):
    before = torch.get_rng_state()
    next(stream(index).epoch(0))
    assert torch.equal(torch.get_rng_state(), before)


def workers_of(source: ImageStream) -> tuple[Iterator[Batch], list[Batch], set[BaseProcess]]:
    """Start an epoch: what is left of it, a batch of each of two workers, which then are ready, and the workers."""
    before = set(multiprocessing.active_children())
    batches = source.epoch(0)
    first = [next(batches), next(batches)]
    return batches, first, set(multiprocessing.active_children()) - before


@pytest.mark.skipif(sys.platform != "linux", reason="needs signals that tell their sender")
def test_workers_survive_the_sigterm_that_a_cluster_sends_to_a_whole_job(index: ImageIndex):
    rest, first, workers = workers_of(stream(index, num_workers=2, batch_size=1))
    assert len(workers) == 2
    subprocess.run(["kill", "-TERM", *(str(worker.pid) for worker in workers)], check=True)
    assert equal([*first, *rest], list(stream(index, batch_size=1).epoch(0)))


def test_workers_end_when_their_parent_tells_them(index: ImageIndex):
    rest, _, workers = workers_of(stream(index, num_workers=2, batch_size=1))
    for worker in workers:
        worker.terminate()
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    del rest


def test_a_damaged_image_is_an_error_that_names_it(index: ImageIndex, tmp_path: Path):
    cut = tmp_path / "cut.png"
    cut.write_bytes((Path(index.root) / "train/0.png").read_bytes()[:200])
    with pytest.raises(ValueError, match=r"cannot decode the image .*cut\.png.*Restore the file"):
        next(stream(trained_on(index, [str(cut)])).epoch(0))


def test_a_split_that_is_not_there_is_an_error_that_lists_those_that_are(index: ImageIndex):
    with pytest.raises(ValueError, match="splits train, test: got val"):
        stream(index).evaluation("val")
