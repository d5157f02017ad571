"""What the settings of every data set have that is held in memory."""

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from carryover.core.config import Settings
from carryover.data.class_split_settings import FOLDERS, check_class_split
from carryover.data.split_settings import Classes, SplitSettings, check_classes

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Grey = tuple[Fraction]
GreyScale = tuple[Positive]
Colour = tuple[Fraction, Fraction, Fraction]
ColourScale = tuple[Positive, Positive, Positive]
ClassSplitName = Annotated[str, Field(min_length=1)]


class Dataset(Settings):
    """What every data set has."""

    official: ClassVar[tuple[int, int]] = (0, 0)  # training and test images of the whole set; (0, 0) unknown
    num_classes: ClassVar[int | None] = 10  # of the whole set; None unknown
    has_folders: ClassVar[bool] = False  # whether train, val and test may hold different classes

    split: SplitSettings = SplitSettings()
    """How many images train, validate and test, and the seed of the permutation that decides which."""
    classes: Classes | None = None
    """Classes to keep, by their numbers in the source, before the split; the first becomes class 0, and so on. All
    when it is not given."""
    class_split: ClassSplitName | None = None
    """Few-shot learning: the list that says which classes train, validate and test, in place of `split` and
    `classes`. The name of a list that comes with the package, the path of a JSON file of one's own, or `folders` for
    a folder whose train, val and test hold different classes."""

    @model_validator(mode="after")
    def _asks_for_no_more_than_there_is(self) -> "Dataset":
        num_train, num_test = self.official
        wanted = (self.split.train or 1) + self.split.val
        if num_train and wanted > num_train:
            raise ValueError(
                f"split asks for {wanted} images to train and validate, but {num_train} are there: "
                "lower split.train or split.val"
            )
        if num_test and (self.split.test or 0) > num_test:
            raise ValueError(
                f"split.test is at most {num_test}, the official test images: got {self.split.test}"
            )
        if self.classes is not None:
            check_classes(self.classes, self.num_classes)
        return self

    @model_validator(mode="after")
    def _divides_by_class_or_by_image(self) -> "Dataset":
        if self.class_split is not None:
            check_class_split(self.class_split)
            if self.class_split == FOLDERS and not self.has_folders:
                raise ValueError(f"class_split: {FOLDERS} is for `source: folder`; name a list of classes")
            if self.classes is not None or self.split != type(self).model_fields["split"].default:
                raise ValueError(
                    "class_split takes all images and divides them by class: leave out split and classes"
                )
        return self
