"""Fixed splits: which images train, validate and test, decided once by a permutation of their positions."""

from collections.abc import Mapping
from decimal import Decimal

import torch
from jaxtyping import Int64
from torch import Tensor

from carryover.core import rng
from carryover.data.split_settings import ImagenetSplit, SplitSettings

Positions = Mapping[str, Int64[Tensor, " n"]]


def split_own(num_images: int, split: SplitSettings) -> Positions:
    """Divide the positions of a set without an official test split into train, val and test.

    Test is the end of the permutation, val the end of the rest, train its start: `train` and `val` never
    change which images test. Positions are ascending.
    Raises ValueError when `split.test` is not given or more images are asked for than there are.
    """
    if split.test is None:
        raise ValueError("these images have no official test split: say in split.test how many of them test")
    order = _permutation(num_images, split.seed, "all")
    rest = max(num_images - split.test, 0)
    return {**_cut_train(order[:rest], split, "images that do not test"), "test": order[rest:].sort().values}


def split_official(num_train: int, num_test: int, split: SplitSettings) -> Positions:
    """Divide official training images into train and val, and take all or `split.test` of the test images.

    Train and val are positions among the training images, test among the test images; ascending.
    Raises ValueError when more images are asked for than there are.
    """
    if split.test is not None and split.test > num_test:
        raise ValueError(f"split.test asks for {split.test} images, the official test split has {num_test}")
    order = _permutation(num_train, split.seed, "train")
    test = _permutation(num_test, split.seed, "test")[: split.test]
    return {**_cut_train(order, split, "official training images"), "test": test.sort().values}


def split_fraction(num_train: int, num_test: int, split: ImagenetSplit) -> Positions:
    """Divide official training images by fractions, read as exact decimals; every test image is taken.

    Source: IteRand, section 3.1 (1 % of the 1,281,167 training images of ImageNet are 12,811).
    """
    val = int(Decimal(str(split.val_fraction)) * num_train)
    train = None
    if split.train_fraction is not None:
        train = int(Decimal(str(split.train_fraction)) * num_train)
        if train < 1:
            raise ValueError(
                f"split.train_fraction {split.train_fraction} of {num_train} images is none: raise it"
            )
    return split_official(num_train, num_test, SplitSettings(train=train, val=val, seed=split.seed))


def _cut_train(order: Tensor, split: SplitSettings, what: str) -> dict[str, Tensor]:
    """Take train from the start and val from the end of a permutation."""
    left = len(order) - split.val
    train = left if split.train is None else split.train
    if not 1 <= train <= left:
        raise ValueError(
            f"split asks for train {split.train or 'all'} and val {split.val} of {len(order)} {what}: "
            "lower split.train, split.val or split.test"
        )
    return {"train": order[:train].sort().values, "val": order[left:].sort().values}


def _permutation(num: int, seed: int, part: str) -> Tensor:
    return torch.randperm(num, generator=rng.generator(seed, "split", part))
