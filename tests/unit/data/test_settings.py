import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from carryover.core.config import canonical
from carryover.data.settings import DATASETS, DatasetSettings, Digits, Folder, Imagenet

ADAPTER = TypeAdapter(DatasetSettings)


def read(**settings):
    return ADAPTER.validate_python(settings)


@pytest.mark.parametrize("source", DATASETS)
def test_a_source_needs_nothing_but_its_name_and_path(source):
    path = {"path": "pictures"} if source in ("folder", "imagenet") else {}
    assert isinstance(read(source=source, **path), DATASETS[source])


def test_settings_survive_their_canonical_text():
    settings = read(source="fashion-mnist", size=14, split={"train": 6000, "test": 3000})
    assert ADAPTER.validate_json(canonical(settings)) == settings


def test_every_setting_is_described():
    schema = ADAPTER.json_schema()
    models = [model for model in schema["$defs"].values() if "properties" in model]
    undescribed = [
        f"{model['title']}.{name}"
        for model in models
        for name, field in model["properties"].items()
        if "description" not in field
    ]
    assert len(models) >= len(DATASETS)
    assert not undescribed


def test_an_unknown_source_is_named_with_the_known_ones():
    with pytest.raises(ValidationError, match=r"cifar11.*cifar10"):
        read(source="cifar11")


def test_a_misspelt_setting_is_refused():
    with pytest.raises(ValidationError, match="sise"):
        read(source="mnist", sise=14)


def test_images_shrink_only_to_sizes_that_divide_theirs():
    with pytest.raises(ValidationError, match="14 or 7"):
        read(source="mnist", size=13)


def test_digits_are_1400_to_train_and_397_to_test_unless_told_otherwise():
    split = Digits(source="digits").split
    assert (split.train, split.val, split.test) == (None, 0, 397)
    assert Digits.total - split.test == 1400


@pytest.mark.parametrize("split", [{"train": 1401}, {"val": 1400}, {"test": 1797}, {"test": None}])
def test_digits_refuse_more_images_than_1797(split):
    with pytest.raises(ValidationError, match="at most 1797"):
        read(source="digits", split=split)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"train": 45_001, "val": 5000}, "50001 images to train and validate, but 50000"),
        ({"val": 50_000}, "50001 images to train and validate, but 50000"),
        ({"test": 10_001}, "split.test is at most 10000"),
    ],
)
def test_a_split_larger_than_the_official_one_is_refused_before_any_job(split, message):
    with pytest.raises(ValidationError, match=message):
        read(source="cifar10", split=split)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "digits", "classes": [0, 10]}, "classes are numbers from 0 to 9: got 10"),
        ({"source": "cifar100", "classes": [1, 100]}, "classes are numbers from 0 to 99: got 100"),
        ({"source": "mnist", "classes": [3, 1, 3]}, "each number stands there once, 3 is there more often"),
        ({"source": "imagenet", "path": "x", "classes": [3, 3]}, "3 is there more often"),
        ({"source": "cifar10", "classes": [3]}, "at least 2 items"),
        ({"source": "cifar10", "classes": [-1, 3]}, "greater than or equal to 0"),
    ],
)
def test_classes_that_a_source_does_not_have_or_named_twice_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        read(**settings)


def test_the_classes_of_a_folder_are_known_when_it_is_read():
    assert Folder(source="folder", path="x", classes=[0, 700]).classes == (0, 700)


def test_a_folder_has_a_mean_and_std_for_each_channel():
    assert Folder(source="folder", path="x", channels=1, mean=(0.5,), std=(0.2,)).mean == (0.5,)
    with pytest.raises(ValidationError, match="one value for each of the 1 channels: got 3 and 3"):
        Folder(source="folder", path="x", channels=1)


def test_imagenet_cuts_from_inside_the_resized_image():
    with pytest.raises(ValidationError, match="resize is at least size, 224: got 128"):
        Imagenet(source="imagenet", path="x", resize=128)


def test_settings_and_names_load_without_torch_numpy_or_pandas():
    code = (
        "import sys, carryover.data.names, carryover.data.settings; "
        "print({'torch', 'numpy', 'pandas'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_a_class_split_takes_the_place_of_split_and_classes():
    settings = read(source="cifar100", class_split="cifar-fs")
    assert ADAPTER.validate_json(canonical(settings)) == settings
    assert read(source="folder", path="x", class_split="studies/own.json").class_split == "studies/own.json"
    for more in ({"split": {"val": 5000}}, {"classes": [1, 2]}):
        with pytest.raises(ValidationError, match="divides them by class: leave out split and classes"):
            read(source="cifar100", class_split="cifar-fs", **more)


def test_an_unknown_class_split_is_named_before_any_job():
    with pytest.raises(ValidationError, match="no list is called omniglot-vinyls, perhaps omniglot-vinyals"):
        read(source="omniglot", class_split="omniglot-vinyls")


def test_only_a_folder_can_be_divided_by_its_own_folders():
    assert read(source="folder", path="x", class_split="folders").class_split == "folders"
    with pytest.raises(ValidationError, match="folders is for `source: folder`"):
        read(source="mnist", class_split="folders")


def test_omniglot_is_always_divided_by_class():
    assert read(source="omniglot").class_split == "omniglot-vinyals"
    with pytest.raises(ValidationError, match="class_split"):
        read(source="omniglot", class_split=None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resize": 126}, "brought to `size`: give that too"),
        ({"resize": "stretch"}, "brought to `size`: give that too"),
        ({"size": 84, "resize": 83}, "resize is at least size, 84: got 83"),
    ],
)
def test_a_folder_is_resized_to_no_less_than_what_is_cut_out(settings, message):
    with pytest.raises(ValidationError, match=message):
        read(source="folder", path="x", **settings)
