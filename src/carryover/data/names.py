"""Names of data sets; light enough for the Snakefile."""

from carryover.core.config import Settings
from carryover.data.base_settings import Dataset
from carryover.data.settings import DATASETS, ColourDataset, GreyDataset, Imagenet, Omniglot

WHOLE_OMNIGLOT = ("omniglot-vinyals", "omniglot-alphabets")
"""Class splits with every character."""


def check_name(name: str, dataset: Settings) -> None:
    """Refuse a name that promises other images than it holds: a part of CIFAR-10 is not `cifar10`.

    The name of a source belongs to the whole source in its own size, with all of its classes in every split; only
    Omniglot is always divided by class.
    Raises ValueError when `name` is a source's and `dataset` is another one, a part of it or a smaller copy.
    """
    if name not in DATASETS:
        return
    if not isinstance(dataset, DATASETS[name]):
        raise ValueError(
            f"the name {name} belongs to the source {name}: give this data set a name of its own"
        )
    if not _is_whole(dataset):
        raise ValueError(
            f"the name {name} belongs to all images of {name} in their own size: this one has fewer images or "
            f"classes, or another size, or is divided by class: give it a name of its own, such as {name}-small"
        )


def _is_whole(dataset: Settings) -> bool:
    if isinstance(dataset, Dataset | Imagenet) and dataset.classes is not None:
        return False
    if isinstance(dataset, Omniglot):
        own_size = type(dataset).model_fields["size"].default
        return dataset.class_split in WHOLE_OMNIGLOT and dataset.size == own_size
    if isinstance(dataset, Dataset) and dataset.class_split is not None:
        return False
    if isinstance(dataset, Imagenet):
        return dataset.split.train_fraction is None
    if not isinstance(dataset, GreyDataset | ColourDataset):
        return True
    num_train, num_test = dataset.official
    split = dataset.split
    every_train = split.train is None or split.train + split.val == num_train
    return every_train and split.test in (None, num_test) and dataset.size is None
