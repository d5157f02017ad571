"""Settings of the data sets: where the images come from, how they are split, how they are normalised."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from carryover.core.config import Settings
from carryover.data.base_settings import (
    ClassSplitName,
    Colour,
    ColourScale,
    Dataset,
    Fraction,
    Grey,
    GreyScale,
    Positive,
)
from carryover.data.sinusoid_settings import Sinusoid
from carryover.data.split_settings import Classes, Count, DigitsSplit, ImagenetSplit, check_classes


class Digits(Dataset):
    """The 1,797 handwritten digits of 8x8 pixels that scikit-learn carries; nothing is downloaded."""

    total: ClassVar[int] = 1797

    source: Literal["digits"]
    """Where the images come from."""
    split: DigitsSplit = DigitsSplit()
    """How many images train, validate and test; by default 1,400 train and 397 test."""
    mean: Grey = (0.3,)
    """Subtracted from pixels on the 0..1 scale (pixel / 16), one value in [0, 1]."""
    std: GreyScale = (1.0,)
    """Divides what is left, one value above 0."""

    @model_validator(mode="after")
    def _asks_for_no_more_than_1797(self) -> "Digits":
        wanted = (self.split.train or 1) + self.split.val + (self.split.test or 0)
        if self.split.test is None or wanted > self.total:
            raise ValueError(
                f"split of digits needs train + val + test of at most {self.total} and a number for test: "
                f"got {wanted}; lower split.train, split.val or split.test"
            )
        return self


class GreyDataset(Dataset):
    """A downloaded set of 60,000 + 10,000 grey images of 28x28 pixels."""

    official: ClassVar[tuple[int, int]] = (60_000, 10_000)

    size: Literal[14, 7] | None = None
    """Side of the images after averaging blocks of pixels, 14 or 7; 28 pixels when it is not given."""


class Mnist(GreyDataset):
    """Handwritten digits, 10 classes."""

    source: Literal["mnist"]
    """Where the images come from."""
    mean: Grey = (0.1307,)
    """Mean pixel that is subtracted, on the 0..1 scale, one value in [0, 1]."""
    std: GreyScale = (0.3081,)
    """Standard deviation that divides what is left, one value above 0."""


class FashionMnist(GreyDataset):
    """Pieces of clothing, 10 classes."""

    source: Literal["fashion-mnist"]
    """Where the images come from."""
    mean: Grey = (0.2860,)
    """Mean pixel that is subtracted, on the 0..1 scale, one value in [0, 1]."""
    std: GreyScale = (0.3530,)
    """Standard deviation that divides what is left, one value above 0."""


class Kmnist(GreyDataset):
    """Cursive Japanese characters, 10 classes."""

    source: Literal["kmnist"]
    """Where the images come from."""
    mean: Grey = (0.1918,)
    """Mean pixel that is subtracted, on the 0..1 scale, one value in [0, 1]."""
    std: GreyScale = (0.3483,)
    """Standard deviation that divides what is left, one value above 0."""


class Omniglot(Dataset):
    """Characters of 50 alphabets, 1,623 classes of 20 drawings each, for few-shot learning.

    Source: Meta-ticket, section 4.1.
    """

    num_classes: ClassVar[int | None] = 1623

    source: Literal["omniglot"]
    """Where the images come from."""
    class_split: ClassSplitName = "omniglot-vinyals"
    """The list that says which characters train, validate and test, called `<alphabet>/character<number>`: the name
    of one that comes with the package, or the path of a JSON file of one's own."""
    size: Count = 28
    """Side of the images, in pixels; the drawings have 105x105."""
    mean: Grey = (0.0,)
    """Mean pixel that is subtracted, on the 0..1 scale, where ink is 1; one value in [0, 1]."""
    std: GreyScale = (1.0,)
    """Standard deviation that divides what is left, one value above 0."""


class ColourDataset(Dataset):
    """A downloaded set of colour images of 32x32 pixels."""

    size: Literal[16, 8] | None = None
    """Side of the images after averaging blocks of pixels, 16 or 8; 32 pixels when it is not given."""


class Cifar10(ColourDataset):
    """Photographs of 10 classes, 50,000 + 10,000."""

    official: ClassVar[tuple[int, int]] = (50_000, 10_000)

    source: Literal["cifar10"]
    """Where the images come from."""
    mean: Colour = (0.4914, 0.4822, 0.4465)
    """Mean of red, green and blue that is subtracted, on the 0..1 scale, each in [0, 1]."""
    std: ColourScale = (0.2470, 0.2435, 0.2616)
    """Standard deviations that divide what is left, each above 0."""


class Cifar100(ColourDataset):
    """Photographs of 100 classes, 50,000 + 10,000."""

    official: ClassVar[tuple[int, int]] = (50_000, 10_000)
    num_classes: ClassVar[int | None] = 100

    source: Literal["cifar100"]
    """Where the images come from."""
    mean: Colour = (0.5071, 0.4865, 0.4409)
    """Mean of red, green and blue that is subtracted, on the 0..1 scale, each in [0, 1]."""
    std: ColourScale = (0.2673, 0.2564, 0.2762)
    """Standard deviations that divide what is left, each above 0."""


class Svhn(ColourDataset):
    """Street view house numbers, 10 classes, 73,257 + 26,032; the `extra` images are not used."""

    official: ClassVar[tuple[int, int]] = (73_257, 26_032)

    source: Literal["svhn"]
    """Where the images come from."""
    mean: Colour = (0.4377, 0.4438, 0.4728)
    """Mean of red, green and blue that is subtracted, on the 0..1 scale, each in [0, 1]."""
    std: ColourScale = (0.1980, 0.2010, 0.1970)
    """Standard deviations that divide what is left, each above 0."""


class Folder(Dataset):
    """Your own images: a folder or a zip of `<class>/<image>`, or of `{train,val,test}/<class>/<image>`.

    Folders called train and test are an official split and stay as they are. Plain class folders are split by
    the permutation and then need `split.test`. Classes are numbered in the order of their sorted names. With
    `class_split` all images are taken together and divided by class.
    """

    num_classes: ClassVar[int | None] = None
    has_folders: ClassVar[bool] = True

    source: Literal["folder"]
    """Where the images come from."""
    path: Annotated[str, Field(min_length=1)]
    """The folder or zip; a relative path is looked for in `data.root`, then in `data.mirror`."""
    channels: Literal[1, 3] = 3
    """1 makes the images grey, 3 makes them red, green and blue."""
    size: Count | None = None
    """Side of the images: the shorter side is resized to it, then the centre is cut out; needed unless all
    images have one size already."""
    resize: Count | Literal["stretch"] | None = None
    """Length of the shorter side before the centre is cut out, at least `size`, if it is not `size`; `stretch` makes
    the whole image a square and cuts nothing."""
    mean: Annotated[tuple[Fraction, ...], Field(min_length=1, max_length=3)] = (0.485, 0.456, 0.406)
    """Mean of each channel that is subtracted, on the 0..1 scale, each in [0, 1]."""
    std: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=3)] = (0.229, 0.224, 0.225)
    """Standard deviation of each channel that divides what is left, each above 0."""

    @model_validator(mode="after")
    def _one_mean_and_std_per_channel(self) -> "Folder":
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(
                f"mean and std need one value for each of the {self.channels} channels: "
                f"got {len(self.mean)} and {len(self.std)}"
            )
        return self

    @model_validator(mode="after")
    def _cuts_from_inside(self) -> "Folder":
        if self.resize is not None and self.size is None:
            raise ValueError("resize says how images are brought to `size`: give that too")
        if isinstance(self.resize, int) and self.resize < (self.size or 0):
            raise ValueError(f"resize is at least size, {self.size}: got {self.resize}")
        return self


class Imagenet(Settings):
    """ImageNet, read from its folders while training; nothing is copied.

    Source: IteRand, section 3.1 (1 % of the training images validate, the official validation images test).
    """

    source: Literal["imagenet"]
    """Where the images come from."""
    path: Annotated[str, Field(min_length=1)]
    """Folder that holds `train/<class>/<image>` and `val/<class>/<image>`; looked for as for `folder`."""
    split: ImagenetSplit = ImagenetSplit()
    """Shares of the training images that train and validate, and the seed that decides which."""
    classes: Classes | None = None
    """Classes to keep, by their numbers in the order of the sorted class folders; the first becomes class 0, and so
    on. All when it is not given."""
    size: Count = 224
    """Side of the square that training and evaluation cut out, in pixels, at least 1."""
    resize: Count = 256
    """Length of the shorter side before the evaluation's centre cut, in pixels, at least `size`."""
    mean: Colour = (0.485, 0.456, 0.406)
    """Mean of red, green and blue that is subtracted, on the 0..1 scale, each in [0, 1]."""
    std: ColourScale = (0.229, 0.224, 0.225)
    """Standard deviations that divide what is left, each above 0."""

    @model_validator(mode="after")
    def _cuts_from_inside(self) -> "Imagenet":
        if self.resize < self.size:
            raise ValueError(f"resize is at least size, {self.size}: got {self.resize}")
        if self.classes is not None:
            check_classes(self.classes, None)
        return self


DatasetSettings = Annotated[
    Digits
    | Mnist
    | FashionMnist
    | Kmnist
    | Omniglot
    | Cifar10
    | Cifar100
    | Svhn
    | Folder
    | Imagenet
    | Sinusoid,
    Field(discriminator="source"),
]
DownloadSettings = Annotated[
    Mnist | FashionMnist | Kmnist | Omniglot | Cifar10 | Cifar100 | Svhn, Field(discriminator="source")
]

DATASETS: dict[str, type[Settings]] = {
    "digits": Digits,
    "mnist": Mnist,
    "fashion-mnist": FashionMnist,
    "kmnist": Kmnist,
    "omniglot": Omniglot,
    "cifar10": Cifar10,
    "cifar100": Cifar100,
    "svhn": Svhn,
    "folder": Folder,
    "imagenet": Imagenet,
    "sinusoid": Sinusoid,
}
"""Every source of images, and that of sinusoids."""


class RawSettings(Settings):
    """The source whose raw files are fetched; its data sets, however many, share them."""

    source: Literal["mnist", "fashion-mnist", "kmnist", "omniglot", "cifar10", "cifar100", "svhn"]
    """A source that can be downloaded."""
