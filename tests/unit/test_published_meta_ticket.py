import json
from hashlib import sha256
from pathlib import Path

import pytest

from carryover.figures.metaticket_looks import FEWSHOT
from carryover.published import meta_ticket
from carryover.published.meta_ticket import NOT_AVAILABLE, SOURCES, anchors

FILE = Path(meta_ticket.__file__).with_suffix(".json")
MINI = ("miniImageNet", "miniImageNet")


def value(source, method, net, shots, trained, tested):
    place = (SOURCES[source], method, net, 5, shots, trained, tested)
    (found,) = [
        each
        for each in anchors()
        if (each.source, each.method, each.net, each.ways, each.shots, each.trained, each.tested) == place
    ]
    return found.mean, found.sd


def test_the_numbers_are_the_ones_whose_digest_the_code_knows():
    assert sha256(FILE.read_bytes()).hexdigest() == meta_ticket._DIGEST


def test_every_row_of_the_file_is_an_accuracy_as_a_fraction_with_source_and_recipe():
    rows = json.loads(FILE.read_text())
    assert len(rows) == len(anchors())
    for row, found in zip(rows, anchors(), strict=True):
        assert found.mean == pytest.approx(row["mean"] / 100, abs=1e-9)
        assert 0.2 < found.mean < 1
        assert (found.sd is None) == (row["sd"] is None)
        assert found.source is SOURCES[row["source"]]
        assert found.source.place in found.recipe
        assert found.method in FEWSHOT


def test_no_number_is_there_twice():
    keys = [(a.source.name, a.method, a.net, a.ways, a.shots, a.trained, a.tested) for a in anchors()]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (("boil", "maml", "ResNet-12", 5, *MINI), (0.6796, 0.0028)),
        (("boil", "boil", "ResNet-12", 5, *MINI), (0.6968, 0.0025)),
        (("boil", "maml", "ResNet-12", 5, "miniImageNet", "CUB"), (0.5561, 0.0043)),
        (("boil", "boil", "ResNet-12", 5, "miniImageNet", "tieredImageNet"), (0.7143, 0.0038)),
        (("boil", "maml", "ResNet-12 without its last skip connection", 5, *MINI), (0.6603, 0.0018)),
        (
            ("boil", "boil", "ResNet-12 without its last skip connection", 5, "miniImageNet", "CUB"),
            (0.6183, 0.0049),
        ),
        (("boil", "maml", "4conv", 1, *MINI), (0.4847, 0.0026)),
        (("boil", "boil", "4conv", 5, *MINI), (0.6532, 0.0034)),
        (("boil", "maml", "4conv", 5, "miniImageNet", "Cars"), (0.4429, 0.0028)),
        (("boil", "boil", "4conv", 1, "miniImageNet", "CUB"), (0.4438, 0.0011)),
        (("learn2learn", "maml", "MLP 256-128-64-64", 1, "Omniglot", "Omniglot"), (0.889, None)),
        (("learn2learn, original", "maml", "MLP 256-128-64-64", 1, "Omniglot", "Omniglot"), (0.897, None)),
        (("learn2learn", "maml", "CNN", 5, "CIFAR-FS", "CIFAR-FS"), (0.736, None)),
    ],
)
def test_numbers_are_those_of_the_specification(place, expected):
    assert value(*place) == expected


def test_the_papers_own_numbers_are_said_to_be_missing_and_none_is_there():
    assert "not available" in NOT_AVAILABLE
    assert not any(each.method.startswith("metaticket") for each in anchors())
