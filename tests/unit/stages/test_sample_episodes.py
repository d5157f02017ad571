import pytest
import torch

from carryover.core.block import placed
from carryover.core.config import canonical
from carryover.core.rng import generator
from carryover.data.episode_settings import EpisodeSettings
from carryover.data.episodes import open_episodes
from carryover.data.images import Images, Split, save_images
from carryover.data.sinusoid_settings import Sinusoid
from carryover.data.sinusoids import save_sinusoid
from carryover.io.checkpoint import load_tensors
from carryover.stages._fewshot import load_stored
from carryover.stages.sample_episodes import main

LIKE = torch.zeros(())
SETTINGS = EpisodeSettings(split="test", ways=3, shots=2, query_shots=4, tasks=20)


@pytest.fixture
def images(tmp_path):
    """Twelve classes of ten images, four in each split."""
    pixels = torch.randint(0, 256, (120, 1, 4, 4), generator=generator(0, "pixels"), dtype=torch.uint8)
    labels = torch.arange(120) % 12
    splits = {}
    for number, name in enumerate(("train", "val", "test")):
        own = (labels // 4 == number).nonzero().flatten()
        splits[name] = Split(pixels[own], labels[own], own)
    made = Images(
        dataset="small",
        splits=splits,
        classes=tuple("abcdefghijkl"),
        max_value=255,
        mean=(0.0,),
        std=(1.0,),
        spec="{}",
        origin="Random pixels.",
    )
    save_images(tmp_path / "small.safetensors", made)
    return tmp_path / "small.safetensors"


def sample(images, folder="one", **changes):
    settings = SETTINGS.model_copy(update=changes)
    path = images.parent / folder / f"{settings.name}.safetensors"
    main(["--spec", canonical(settings), "--images", str(images), "--episodes", str(path)])
    return path


def test_stored_tasks_carry_their_settings_and_become_tasks_again(images):
    stored = load_stored(sample(images))
    assert stored.settings == SETTINGS
    episodes = open_episodes(images, "test", LIKE)
    made = episodes.tasks(placed(stored.drawn, LIKE), stored.settings.shots)
    assert made.support_x.shape == (20, 6, 1, 4, 4)
    assert made.query_x.shape == (20, 12, 1, 4, 4)
    assert stored.drawn["positions"].max() < 40


def test_the_same_settings_store_the_same_bytes(images):
    torch.rand(5, generator=generator(3))
    assert sample(images, "one").read_bytes() == sample(images, "two").read_bytes()


def test_more_tasks_begin_with_the_same_ones(images):
    few, many = (load_tensors(sample(images, tasks=number))[0]["positions"] for number in (5, 20))
    assert few.equal(many[:5])
    assert len({tuple(task.flatten().tolist()) for task in many}) == 20


def test_other_shots_and_queries_keep_classes_and_first_images(images):
    two, four = (load_tensors(sample(images, shots=shots))[0]["positions"] for shots in (2, 4))
    assert two.equal(four[..., :6])
    asked = load_tensors(sample(images, query_shots=1))[0]["positions"]
    assert asked.equal(two[..., :3])


def test_splits_have_tasks_of_their_own(images):
    val, test = (load_tensors(sample(images, split=split))[0]["positions"] for split in ("val", "test"))
    assert val.shape == test.shape
    assert not val.equal(test)


def test_tasks_of_sinusoids_are_stored_too(tmp_path):
    save_sinusoid(tmp_path / "waves.json", Sinusoid(source="sinusoid"))
    stored = load_stored(sample(tmp_path / "waves.json", ways=1))
    assert {name: tuple(part.shape) for name, part in stored.drawn.items()} == {
        "amplitude": (20,),
        "phase": (20,),
        "x": (20, 6),
    }
    assert len(stored.drawn["amplitude"].unique()) == 20
    made = open_episodes(tmp_path / "waves.json", "test", LIKE).tasks(stored.drawn, 2)
    assert made.query_y.shape == (20, 4, 1)


def test_tasks_that_a_split_cannot_give_leave_no_file(images):
    with pytest.raises(ValueError, match="small, split test: tasks of 5 ways"):
        sample(images, ways=5)
    assert not (images.parent / "one").exists()


def test_a_file_of_other_tensors_is_no_file_of_tasks(images):
    with pytest.raises(ValueError, match=r"small\.safetensors holds no tasks"):
        load_stored(images)
