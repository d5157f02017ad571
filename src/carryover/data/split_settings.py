"""Settings of the choice of images: which classes, and how many of them train, validate and test."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from pydantic import Field, model_validator

from carryover.core.config import Settings

Count = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]
Classes = Annotated[tuple[NonNegative, ...], Field(min_length=2)]


def check_classes(classes: Sequence[int], num_classes: int | None) -> None:
    """Make sure that `classes` are different ones of `num_classes`, as far as that number is known.

    Raises ValueError otherwise.
    """
    twice = sorted({number for number in classes if classes.count(number) > 1})
    if twice:
        raise ValueError(f"classes: each number stands there once, {twice[0]} is there more often")
    if num_classes is not None and max(classes) >= num_classes:
        raise ValueError(f"classes are numbers from 0 to {num_classes - 1}: got {max(classes)}")


class SplitSettings(Settings):
    """How the images are divided; the same for every run and every seed of a study.

    Validation images are taken from the source's training images, from the end of a fixed permutation of
    them; training images from its start. A set without an official test split gives test images from the
    very end.
    """

    train: Count | None = None
    """Number of training images, at least 1; all that are left when it is not given."""
    val: NonNegative = 0
    """Number of validation images, 0 or more; they are not trained on."""
    test: Count | None = None
    """Number of test images, at least 1; all of the official test split when it is not given."""
    seed: NonNegative = 777
    """Seed of the fixed permutations, 0 or more; it has nothing to do with the seeds of the runs."""


class DigitsSplit(SplitSettings):
    """How the 1,797 digits are divided; they have no official test split."""

    test: Count | None = 397
    """Number of test images, from 1 to 1796; the same ones whatever `train` and `val` are."""


class ImagenetSplit(Settings):
    """How ImageNet is divided; the official validation images are the test split."""

    val_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """Fraction of the training images that validate, in [0, 1), rounded down to whole images."""
    train_fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    """Fraction of the training images that train, in (0, 1], rounded down; all that are left when it is not given."""
    seed: NonNegative = 777
    """Seed of the fixed permutation, 0 or more; it has nothing to do with the seeds of the runs."""

    @model_validator(mode="after")
    def _asks_for_no_more_than_there_is(self) -> "ImagenetSplit":
        # as decimals: 0.9 and 0.1 make a whole
        if Decimal(str(self.train_fraction or 0)) + Decimal(str(self.val_fraction)) > 1:
            raise ValueError(
                f"split: train_fraction {self.train_fraction} and val_fraction {self.val_fraction} are more than all "
                "training images: lower one of them"
            )
        return self
