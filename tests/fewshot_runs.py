"""Small real runs of few-shot learning: a data set of drawn classes, stored tasks, and trainings of a few steps."""

import json
from pathlib import Path

import torch

from carryover.core import rng
from carryover.core.config import canonical
from carryover.data.episode_settings import EpisodeSettings
from carryover.data.images import Images, Split, save_images
from carryover.metaticket.settings import FewshotTest, FewshotTraining
from carryover.stages import sample_episodes, test_fewshot, train_fewshot

SIDE = 6
PARTS = {"train": range(0, 6), "val": range(6, 10), "test": range(10, 14)}
RUN = {
    "dataset": "marks",
    "net": {"kind": "episode-mlp", "hidden": [8, 6]},
    "ways": 3,
    "shots": 2,
    "outer_steps": 4,
    "inner_steps": 2,
    "val_tasks": 2,
    "evaluate_every": 0,
}


def pictures_of(label: int, num: int, channels: int = 1) -> torch.Tensor:
    """Draw pictures of one class: its own pattern, and noise."""
    pattern = torch.randint(0, 200, (channels, SIDE, SIDE), generator=rng.generator(label, "pattern"))
    noise = torch.randint(0, 56, (num, channels, SIDE, SIDE), generator=rng.generator(label, "noise"))
    return (pattern + noise).to(torch.uint8)


def write_marks(path: Path, channels: int = 1, **spec: object) -> Path:
    """Write a data set whose splits have classes of their own."""

    def split(classes: range) -> Split:
        images = torch.cat([pictures_of(label, 8, channels) for label in classes])
        return Split(images, torch.tensor(list(classes)).repeat_interleave(8), torch.arange(len(images)))

    images = Images(
        dataset="marks",
        splits={name: split(classes) for name, classes in PARTS.items()},
        classes=tuple(f"mark{label}" for label in range(14)),
        max_value=255,
        mean=(0.4,) * channels,
        std=(0.3,) * channels,
        spec=json.dumps(spec),
        origin="Drawn.",
    )
    save_images(path, images)
    return path


def stored(images: Path, split: str, **changes: int) -> Path:
    """Store tasks of a split beside the data set."""
    values = {"ways": 3, "shots": 2, "query_shots": 2, "tasks": 3, **changes}
    settings = EpisodeSettings.model_validate({"split": split, **values})
    path = images.with_name(f"{settings.name}.safetensors")
    sample_episodes.main(["--spec", canonical(settings), "--images", str(images), "--episodes", str(path)])
    return path


def train(folder: Path, images: Path, run: str, seeds: str = "s1", **changes: object) -> Path:
    """Train a block below `folder`, and return it."""
    train_fewshot.main(training(folder, images, run, seeds, **changes))
    return block_of(folder, "trainings", run, seeds)


def training(folder: Path, images: Path, run: str, seeds: str = "s1", **changes: object) -> list[str]:
    """Give the words of the command that trains a block below `folder`; `before` is the block that meta-lth prunes."""
    before = changes.pop("before", None)
    settings = FewshotTraining.model_validate({**RUN, **changes})
    block = block_of(folder, "trainings", run, seeds)
    arguments = {
        "spec": canonical(settings),
        "code": "0",
        "seeds": seeds,
        "device": "cpu",
        "images": images,
        "episodes": stored(images, "val", ways=settings.ways, tasks=settings.val_tasks),
        "work": folder / "work",
        "nets": block / "nets.safetensors",
        "metrics": block / "metrics.csv",
        "manifest": block / "manifest.json",
    }
    if before is not None:
        arguments["start"] = Path(str(before)) / "manifest.json"
    return words(arguments)


def test(folder: Path, images: Path, run: str, block: Path, **changes: object) -> Path:
    """Test a trained block, and return the block of the test."""
    own = {"training": block.parent.name, "tasks": 3, "steps": [0, 1, 3], **changes}
    settings = FewshotTest.model_validate(own)
    size = {"ways": settings.ways or 3, "shots": settings.shots or 2, "tasks": settings.tasks}
    made = block_of(folder, "tests", run, block.name)
    arguments = {
        "spec": canonical(settings),
        "seeds": block.name,
        "device": "cpu",
        "images": images,
        "episodes": stored(images, settings.split, **size),
        "training": block / "manifest.json",
        "tasks": made / "tasks.safetensors",
        "metrics": made / "metrics.csv",
        "manifest": made / "manifest.json",
    }
    test_fewshot.main(words(arguments))
    return made


def block_of(folder: Path, kind: str, run: str, seeds: str) -> Path:
    """Make the folder of a block."""
    block = folder / kind / run / seeds
    block.mkdir(parents=True, exist_ok=True)
    return block


def words(arguments: dict[str, object]) -> list[str]:
    """Write arguments as words of a command."""
    return [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
