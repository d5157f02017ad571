"""Training from a folder that is too large to hold: what `_training` opens for the index of one."""

from pathlib import Path

import torch
from torch import Tensor

from carryover.core.evaluate import SplitBatches
from carryover.core.loop import Batches
from carryover.data.batches import Normaliser
from carryover.data.imagenet import read_index
from carryover.data.stream import ImageStream
from carryover.stages._training import Source
from carryover.train.settings import Training


def stream_source(path: Path, run: Training, like: Tensor) -> Source:
    """Open the index of an image folder; images are decoded by as many workers as the job has threads.

    Raises ValueError when the run asks for an augmentation that the stream does not have.
    """
    if run.augmentation != "imagenet":
        raise ValueError(
            f"augmentation {run.augmentation!r} of {path.stem}: a streamed folder is always trained with resized crops"
            " and flips; write `augmentation: imagenet` in the recipe"
        )
    index = read_index(path)
    settings = index.settings
    normaliser = Normaliser(255.0, settings.mean, settings.std, like)

    def stream(seed: int) -> ImageStream:
        return ImageStream(
            index,
            settings,
            normaliser,
            seed=seed,
            batch_size=run.batch_size,
            num_workers=torch.get_num_threads(),
        )

    def batches(seeds: tuple[int, ...]) -> Batches:
        assert len(seeds) == 1, "streamed nets train one after the other"
        return stream(seeds[0])

    splits: dict[str, SplitBatches] = {
        name: stream(0).evaluation(name) for name in ("val", "test") if index.splits[name].paths
    }
    return Source((3, settings.size, settings.size), len(index.classes), batches, splits)
