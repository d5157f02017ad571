import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from pages import ROOT, blocks
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from carryover.data.class_split_settings import (
    ClassSplit,
    class_split_digest,
    read_class_split,
    shipped,
)
from carryover.data.class_splits import by_folders, divide, draw_classes
from carryover.data.digits import read_digits
from carryover.data.images import SPLITS
from carryover.data.prepare import Contents, Labelled, prepare_images
from carryover.data.settings import Digits, Folder

NAMES = ("ant", "bee", "cat", "dog", "elk", "fox")
LABELS = torch.tensor([3, 0, 1, 5, 2, 4, 0, 3, 3, 2])
IMAGES = torch.randint(0, 256, (10, 2, 5, 5), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
# characters of each alphabet, as Lake, Salakhutdinov and Tenenbaum (2015) publish them
BACKGROUND = {
    "Alphabet_of_the_Magi": 20, "Anglo-Saxon_Futhorc": 29, "Arcadian": 26, "Armenian": 41,
    "Asomtavruli_(Georgian)": 40, "Balinese": 24, "Bengali": 46,
    "Blackfoot_(Canadian_Aboriginal_Syllabics)": 14, "Braille": 26, "Burmese_(Myanmar)": 34, "Cyrillic": 33,
    "Early_Aramaic": 22, "Futurama": 26, "Grantha": 43, "Greek": 24, "Gujarati": 48, "Hebrew": 22,
    "Inuktitut_(Canadian_Aboriginal_Syllabics)": 16, "Japanese_(hiragana)": 52, "Japanese_(katakana)": 47,
    "Korean": 40, "Latin": 26, "Malay_(Jawi_-_Arabic)": 40, "Mkhedruli_(Georgian)": 41, "N_Ko": 33,
    "Ojibwe_(Canadian_Aboriginal_Syllabics)": 14, "Sanskrit": 42, "Syriac_(Estrangelo)": 23, "Tagalog": 17,
    "Tifinagh": 55,
}  # fmt: skip
EVALUATION = {
    "Angelic": 20, "Atemayar_Qelisayer": 26, "Atlantean": 26, "Aurek-Besh": 26, "Avesta": 26, "Ge_ez": 26,
    "Glagolitic": 45, "Gurmukhi": 45, "Kannada": 41, "Keble": 26, "Malayalam": 47, "Manipuri": 40,
    "Mongolian": 30, "Old_Church_Slavonic_(Cyrillic)": 45, "Oriya": 46, "Sylheti": 28, "Syriac_(Serto)": 23,
    "Tengwar": 25, "Tibetan": 42, "ULOG": 26,
}  # fmt: skip
CHARACTERS = [
    f"{alphabet}/character{number:02}"
    for part in (BACKGROUND, EVALUATION)
    for alphabet, count in part.items()
    for number in range(1, count + 1)
]


def split(train=("ant", "bee"), val=(), test=("cat",), **more):
    return ClassSplit.model_validate(
        {"origin": "Made here.", "train": train, "val": val, "test": test, **more}
    )


def divided(by, names=NAMES):
    """Divide one grey image of each class, filled with the number of the class."""
    labels = torch.arange(len(names))
    images = labels.to(torch.int32).view(-1, 1, 1, 1).bitwise_and(255).to(torch.uint8)
    return divide(images, labels, names, by)


def sizes(name, names):
    found = divided(read_class_split(name), names)
    return [len(found.splits[part].labels) for part in SPLITS]


def test_images_are_divided_by_class_and_numbered_in_the_order_of_the_list():
    found = divide(IMAGES, LABELS, NAMES, split(train=("dog", "ant"), val=("fox",), test=("cat", "bee")))
    assert found.classes == ("dog", "ant", "fox", "cat", "bee")
    index = {part: own.index.tolist() for part, own in found.splits.items()}
    assert index == {"train": [0, 7, 8, 1, 6], "val": [3], "test": [4, 9, 2]}
    labels = {part: own.labels.tolist() for part, own in found.splits.items()}
    assert labels == {"train": [0, 0, 0, 1, 1], "val": [2], "test": [3, 3, 4]}
    for own in found.splits.values():
        assert own.images.equal(IMAGES[own.index])


def test_a_turned_class_is_another_class_of_turned_images():
    entry = {"class": "dog", "rotations": [0, 90, 270]}
    found = divide(IMAGES, LABELS, NAMES, split(train=("ant", entry), rotations=[0, 180]))
    assert found.classes == ("ant", "ant@180", "dog", "dog@90", "dog@270", "cat", "cat@180")
    train = found.splits["train"]
    assert train.labels.tolist() == [0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert train.index.tolist() == [1, 6] * 2 + [0, 7, 8] * 3
    assert train.images[2:4].equal(IMAGES[[1, 6]].flip(2, 3))
    assert train.images[7:10].equal(IMAGES[[0, 7, 8]].transpose(2, 3).flip(2))  # counter-clockwise
    assert train.images[10:].equal(IMAGES[[0, 7, 8]].transpose(2, 3).flip(3))


def test_a_pattern_stands_for_every_class_that_fits():
    names = ("a/1", "a/2", "b/1", "b?[1", "c")
    found = divided(split(train=("a/*",), val=("b?[1",), test=("*c",)), names)
    assert found.classes == ("a/1", "a/2", "b?[1", "c")


def test_there_may_be_no_classes_to_validate_on():
    own = divide(IMAGES, LABELS, NAMES, split()).splits["val"]
    assert (own.images.shape, own.labels.shape, own.index.shape) == ((0, 2, 5, 5), (0,), (0,))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"train": ("ant", "ant")}, "ant is twice in train"),
        ({"train": ("ant", {"class": "cat", "rotations": [90]})}, "cat is in train and in test"),
        ({"test": ({"class": "cat", "rotations": [90, 90]},)}, r"different ones: got \[90, 90\]"),
        ({"rotations": [45]}, "0, 90, 180 or 270"),
        ({"rotations": []}, "at least 1 item"),
        ({"tset": ()}, "tset"),
    ],
)
def test_a_list_that_is_no_division_is_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        split(**parts)


def test_two_patterns_that_share_a_class_are_refused():
    with pytest.raises(ValueError, match="bee is in train and in test"):
        divided(split(train=("*ee",), test=("b*",)))


@pytest.mark.parametrize(("name", "near"), [("beee", "bee"), ("foxy*", "fox")])
def test_a_class_that_is_not_there_is_named_with_the_nearest(name, near):
    with pytest.raises(ValueError, match=f"test names .*none of the 6 classes.*the nearest is '{near}'"):
        divided(split(test=(name,)))


def test_images_that_are_not_square_are_turned_upside_down_only():
    images = IMAGES[:, :, :4]
    turned = split(test=({"class": "cat", "rotations": [180]},))
    assert divide(images, LABELS, NAMES, turned).splits["test"].images.equal(images[[4, 9]].flip(2, 3))
    with pytest.raises(ValueError, match=r"5x4 pixels are not square and cannot be turned by 90"):
        divide(images, LABELS, NAMES, split(rotations=[0, 90]))


def test_the_folders_of_a_source_can_be_its_list():
    labels = {"train": LABELS[:2], "val": LABELS[2:4], "test": LABELS[4:6]}
    by = by_folders(labels, NAMES)
    assert (by.train, by.val, by.test) == (("ant", "dog"), ("bee", "fox"), ("cat", "elk"))
    with pytest.raises(ValueError, match="dog is in train and in test"):
        by_folders({"train": LABELS[:2], "test": LABELS[7:]}, NAMES)
    with pytest.raises(ValueError, match="needs folders train and test"):
        by_folders({"all": LABELS}, NAMES)


def test_all_parts_of_a_source_are_taken_together_training_images_first(tmp_path):
    (tmp_path / "own.json").write_text(split(train=("ant", "cat"), test=("dog",)).model_dump_json())
    parts = {"test": Labelled(IMAGES[6:], LABELS[6:]), "train": Labelled(IMAGES[:6], LABELS[:6])}
    contents = Contents(parts=parts, classes=NAMES, origin="Pets.")
    settings = Folder(source="folder", path="x", class_split=str(tmp_path / "own.json"))
    images = prepare_images("pets", contents, settings)
    assert images.classes == ("ant", "cat", "dog")
    assert images.train.index.tolist() == [1, 6, 4, 9]
    assert images.test.index.tolist() == [0, 7, 8]
    assert images.test.images.equal(IMAGES[[0, 7, 8]])
    with pytest.raises(ValueError, match="ant is in train and in test"):
        prepare_images("pets", contents, settings.model_copy(update={"class_split": "folders"}))


def test_a_file_of_ones_own_is_read_and_named_in_every_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("own.json")
    with pytest.raises(ValueError, match=r"own\.json is missing; a relative path starts where"):
        read_class_split("own.json")
    path.write_text('{"train": []}')
    with pytest.raises(ValueError, match=r"own\.json is no class split \(docs.*origin: Field required"):
        read_class_split("own.json")
    path.write_text('{"origin": "x", "train": ["a"], "val": ["a"], "test": []}')
    with pytest.raises(
        ValueError, match=r"class split \S+ class_split: each class .* a is in train and in val"
    ):
        read_class_split("own.json")
    path.write_text('{"origin": "x", "train": ["a"], "val": [], "test": ["b"]}')
    assert read_class_split("own.json").test == ("b",)


def test_the_digest_of_a_list_is_of_what_it_says(tmp_path):
    one, two, three = (tmp_path / f"{number}.json" for number in range(3))
    said = {"origin": "x", "train": ["a"], "val": [], "test": ["b"]}
    one.write_text(json.dumps(said))
    two.write_text(json.dumps(said, indent=4))
    three.write_text(json.dumps({**said, "test": ["c"]}))
    assert class_split_digest(str(one)) == class_split_digest(str(two)) != class_split_digest(str(three))
    assert class_split_digest(None) == class_split_digest("folders") == ""


def test_an_unknown_list_is_named_with_the_known_ones_and_the_page():
    with pytest.raises(ValueError, match=r"called cifarfs, perhaps cifar-fs\. .*omniglot-vinyals.*how-to"):
        read_class_split("cifarfs")
    assert (ROOT / "docs/how-to/add-a-class-split.md").is_file()


@pytest.mark.parametrize("name", shipped())
def test_every_list_that_comes_with_the_package_says_where_it_is_from(name):
    listed = read_class_split(name)
    assert listed.origin.endswith(".")
    assert listed.origin.startswith(("Made here", "The split of "))


def test_digits_are_ten_five_and_eight_classes():
    images = prepare_images("digits.shots", read_digits(), Digits(source="digits", class_split="digits"))
    assert [len(images.splits[part].labels.unique()) for part in SPLITS] == [10, 5, 8]
    assert [len(images.splits[part].labels) for part in SPLITS] == [1798, 898, 1450]
    assert len(images.classes) == 23
    digits = [{name.split("@")[0] for name in images.classes[a:b]} for a, b in ((0, 10), (10, 15), (15, 23))]
    assert digits == [set("04689"), set("17"), set("235")]
    assert images.origin.startswith("The 1,797 handwritten digits")
    assert "Classes divided by digits: Made here by hand" in images.origin


def test_turned_digits_are_turned_as_torch_does():
    contents = read_digits()
    images = prepare_images("digits.shots", contents, Digits(source="digits", class_split="digits"))
    for own in images.splits.values():
        for label in own.labels.unique().tolist():
            name, _, degrees = images.classes[label].partition("@")
            chosen = own.labels == label
            source = contents.parts["all"].images[own.index[chosen]]
            assert own.images[chosen].equal(torch.rot90(source, int(degrees or 0) // 90, (2, 3)))
            assert (contents.parts["all"].labels[own.index[chosen]] == int(name)).all()


def test_omniglot_has_1623_characters_in_50_alphabets():
    assert (len(BACKGROUND), sum(BACKGROUND.values())) == (30, 964)
    assert (len(EVALUATION), sum(EVALUATION.values())) == (20, 659)


@pytest.mark.parametrize(
    ("name", "characters"),
    [
        ("omniglot-vinyals", [1028, 172, 423]),
        ("omniglot-alphabets", [788, 176, 659]),
        ("omniglot-small", [154, 24, 64]),
    ],
)
def test_omniglot_is_divided_as_published_with_four_rotations_of_each_character(name, characters):
    assert sizes(name, CHARACTERS) == [4 * count for count in characters]


def test_the_split_of_vinyals_breaks_one_alphabet_only():
    found = divided(read_class_split("omniglot-vinyals"), CHARACTERS)
    alphabets = {
        part: {found.classes[label].split("/")[0] for label in found.splits[part].labels.tolist()}
        for part in SPLITS
    }
    assert alphabets["train"] & alphabets["test"] == {"Gurmukhi"}
    assert alphabets["train"] | alphabets["val"] == BACKGROUND.keys() | set(sorted(EVALUATION)[:8])


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("cifar-fs", (64, 16, 20)),
        ("miniimagenet", (64, 16, 20)),
        ("cub", (100, 50, 50)),
        ("vgg-flower", (71, 15, 16)),
        ("aircraft", (70, 15, 15)),
        ("cars", (98, 49, 49)),
        ("flowers17", (7, 5, 5)),
    ],
)
def test_the_other_lists_have_as_many_classes_as_published(name, counts):
    listed = read_class_split(name)
    assert tuple(len(getattr(listed, part)) for part in SPLITS) == counts


@pytest.mark.parametrize(("name", "total"), [("vgg-flower", 102), ("cars", 196)])
@pytest.mark.parametrize("suffix", ["", ".a name"])
def test_classes_known_by_number_are_found_with_and_without_a_name(name, total, suffix):
    names = [f"{number:03}{suffix}" for number in range(1, total + 1)]
    found = divided(read_class_split(name), names)
    assert sorted(found.classes) == names


@pytest.mark.parametrize("source", ["mnist", "digits"])
def test_ten_digits_are_all_for_testing_whatever_words_follow_them(source):
    names = {"mnist": datasets.MNIST.classes, "digits": [str(digit) for digit in range(10)]}[source]
    assert sizes("ten-digits", names) == [0, 0, 10]


def test_birds_are_divided_by_their_numbers():
    listed = read_class_split("cub")
    numbers = [[int(name[:3]) for name in getattr(listed, part)] for part in SPLITS]
    assert numbers == [[*range(1, 201, 2)], [*range(2, 201, 4)], [*range(4, 201, 4)]]


@pytest.mark.parametrize("name", ["cars", "flowers17"])
def test_the_lists_that_were_drawn_can_be_drawn_again(name):
    listed = read_class_split(name)
    parts = {part: list(getattr(listed, part)) for part in SPLITS}
    names = [each for own in parts.values() for each in own]
    assert draw_classes(names, len(parts["val"]), len(parts["test"]), 777) == parts


def test_alphabets_can_be_drawn_again():
    listed = read_class_split("omniglot-alphabets")
    drawn = draw_classes(list(BACKGROUND), 5, 0, 777)
    assert [f"{alphabet}/*" for alphabet in drawn["train"]] == list(listed.train)
    assert [f"{alphabet}/*" for alphabet in drawn["val"]] == list(listed.val)
    assert listed.test == tuple(f"{alphabet}/*" for alphabet in EVALUATION)


def test_a_draw_leaves_classes_to_train_on():
    with pytest.raises(ValueError, match="leave none of 6 to train"):
        draw_classes(NAMES, 3, 3, 0)


def picture(path, size=(40, 30), box=None):
    """Write a black picture with a white box of corners that are counted from 1."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    if box:
        left, upper, right, lower = box
        pixels[upper - 1 : lower, left - 1 : right] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def snippets(tmp_path, monkeypatch):
    """The Python of the page, each block a function that runs in an empty folder."""
    monkeypatch.chdir(tmp_path)
    Path("studies").mkdir()
    texts = [
        block.text
        for block in blocks(ROOT / "docs/how-to/add-a-class-split.md")
        if block.language == "python"
    ]
    names = ("drawn", "meta-dataset", "csv", "flowers", "aircraft", "cars")
    return {
        name: (lambda text=text: exec(compile(text, "page", "exec"), {}))
        for name, text in zip(names, texts, strict=True)
    }


def test_the_page_draws_and_converts_lists(snippets):
    for name in NAMES:
        Path("data/leaves", name).mkdir(parents=True)
    Path("dtd_splits.json").write_text('{"train": ["a", "b"], "valid": ["c"], "test": ["d"]}')
    for part, label in (("train", "n2\nx.jpg,n1\ny.jpg,n2"), ("val", "n3"), ("test", "n4")):
        Path(f"{part}.csv").write_text(f"filename,label\nz.jpg,{label}\n")
    for name in ("drawn", "meta-dataset", "csv"):
        snippets[name]()
    assert len(read_class_split("studies/drawn.json").train) == 2
    assert read_class_split("studies/dtd.json").val == ("c",)
    assert read_class_split("studies/mini.json").train == ("n1", "n2")


def test_the_page_makes_class_folders_of_flowers(snippets):
    Path("flowers").mkdir()
    savemat("flowers/imagelabels.mat", {"labels": np.array([[77, 5, 77]], np.uint8)})
    for number in (1, 2, 3):
        picture(Path(f"flowers/jpg/image_{number:05}.jpg"))
    snippets["flowers"]()
    found = sorted(path.relative_to("data").as_posix() for path in Path("data").rglob("*.jpg"))
    assert found == [f"vgg-flower/{name}.jpg" for name in ("005/00002", "077/00001", "077/00003")]


def test_the_page_cuts_aircraft_out_along_their_boxes(snippets):
    source = Path("fgvc-aircraft-2013b/data")
    boxes = {"0000001": (3, 5, 20, 9), "0000002": (1, 1, 40, 30)}
    for name, box in boxes.items():
        picture(source / f"images/{name}.jpg", box=box)
    (source / "images_box.txt").write_text(
        "".join(f"{n} {' '.join(map(str, b))}\n" for n, b in boxes.items())
    )
    (source / "images_variant_trainval.txt").write_text("0000001 F/A-18\n")
    (source / "images_variant_test.txt").write_text("0000002 Cessna 172\n")
    snippets["aircraft"]()
    with Image.open("data/aircraft/F-A-18/0000001.png") as image:
        assert image.size == (18, 5)
        assert np.array(image).min() > 128
    with Image.open("data/aircraft/Cessna 172/0000002.png") as image:
        assert image.size == (40, 30)
    assert {"F-A-18", "Cessna 172"} <= set(read_class_split("aircraft").train)


def test_the_page_cuts_cars_out_along_their_boxes(snippets):
    picture(Path("cars/cars_train/00001.jpg"), box=(3, 5, 20, 9))
    picture(Path("cars/cars_train/00002.jpg"), box=(1, 1, 4, 4))
    Path("cars/devkit").mkdir()
    kinds = [
        ("bbox_x1", "O"),
        ("bbox_y1", "O"),
        ("bbox_x2", "O"),
        ("bbox_y2", "O"),
        ("class", "O"),
        ("fname", "O"),
    ]
    rows = np.empty((1, 2), dtype=kinds)
    rows[0, 0] = (np.uint8(3), np.uint8(5), np.uint8(20), np.uint8(9), np.uint8(196), "00001.jpg")
    rows[0, 1] = (np.uint8(1), np.uint8(1), np.uint8(4), np.uint8(4), np.uint8(7), "00002.jpg")
    savemat("cars/devkit/cars_train_annos.mat", {"annotations": rows})
    snippets["cars"]()
    with Image.open("data/cars-images/196/00001.png") as image:
        assert image.size == (18, 5)
        assert np.array(image).min() > 128
    assert Path("data/cars-images/007/00002.png").is_file()


@pytest.mark.mirror
@pytest.mark.skipif("CARRYOVER_MIRROR" not in os.environ, reason="CARRYOVER_MIRROR names no mirror")
def test_a_subset_of_cifar100_has_every_class_of_cifar_fs():
    names = json.loads((Path(os.environ["CARRYOVER_MIRROR"]) / "cifar100/cifar100_classes.json").read_text())
    assert sizes("cifar-fs", names["fine_label_names"]) == [64, 16, 20]
