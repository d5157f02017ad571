import pytest

from carryover.figures.metaticket_looks import (
    FEWSHOT,
    arm_of,
    in_order,
    in_short,
    label_of,
    looks_of,
    net_names,
    width_label,
)
from carryover.metaticket.methods import METHODS


def net(**settings):
    return {f"training.net.{key}": value for key, value in settings.items()}


def test_every_method_has_a_look_under_the_name_that_the_table_of_methods_gives_it():
    labels = {name: FEWSHOT[name].label for name in METHODS}
    assert labels == {name: method.label for name, method in METHODS.items()}
    assert set(FEWSHOT) - set(METHODS) == {"mac-anil", "mac-maml"}


def test_no_two_methods_look_alike():
    looks = list(FEWSHOT.values())
    assert len({(look.color, look.marker) for look in looks}) == len(looks)
    assert len({look.label for look in looks}) == len(looks)
    colours = {name: look.color for name, look in FEWSHOT.items() if not name.startswith("mac-")}
    assert len(set(colours.values())) == len(colours)


def test_a_test_that_adds_units_is_mac_on_its_method():
    assert arm_of({"method": "anil", "test.widen.units": 32.0}) == "mac-anil"
    assert arm_of({"method": "anil", "test.widen.units": None}) == "anil"
    assert arm_of({"method": "anil"}) == "anil"


def test_methods_come_in_the_order_of_the_family_and_strangers_behind_them():
    assert in_order(["zeta", "metaticket", "alpha", "maml", "random", "maml"]) == [
        "random", "maml", "metaticket", "alpha", "zeta",
    ]  # fmt: skip


def test_the_series_named_as_its_method_has_its_look_and_variants_are_shades_of_it():
    looks = looks_of([("maml", "MAML"), ("maml", "MAML, sgd"), ("boil", "BOIL")])
    assert looks["MAML"] == FEWSHOT["maml"]
    assert looks["BOIL"] == FEWSHOT["boil"]
    assert looks["MAML, sgd"].color not in {look.color for look in FEWSHOT.values()}
    assert list(looks) == ["MAML", "MAML, sgd", "BOIL"]


def test_variants_without_a_plain_one_are_all_shades():
    looks = looks_of([("metaticket", "Meta-ticket, r = 0"), ("metaticket", "Meta-ticket, r = 1")])
    colours = [look.color for look in looks.values()]
    assert len(set(colours)) == 2
    assert FEWSHOT["metaticket"].color not in colours
    assert len({look.marker for look in looks.values()}) == 2


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("randomize_prob", 0.1, "r = 0.1"),
        ("masked", "body+head", "masks on body+head"),
        ("masked", "body", ""),
        ("outer_lr", None, ""),
        ("order", "first", "first order"),
        ("momentum", 0.5, "momentum 0.5"),
    ],
)
def test_settings_are_remarks_unless_their_value_is_the_usual_one(setting, value, words):
    assert in_short(setting, value) == words


def test_a_remark_follows_the_name_of_a_method():
    assert label_of("boil", "K = 3") == "BOIL, K = 3"
    assert label_of("metaticket") == "Meta-ticket"
    assert label_of("own-method") == "own-method"


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (
            net(kind="episode-mlp", hidden="256-128-64-64", width=1),
            ("MLP 256-128-64-64", "MLP 256-128-64-64", 1),
        ),
        (net(kind="episode-mlp", hidden="8-4", width=4), ("MLP 8-4 ×4", "MLP 8-4", 4)),
        (net(kind="wrn28", width=10), ("WRN28-10", "WRN28", 10)),
        (net(kind="conv4", channels=64), ("Conv4", "Conv4", 64)),
        (net(kind="conv4", channels=32), ("Conv4 32", "Conv4", 32)),
        (net(kind="resnet12", channels="64-128-256-512"), ("ResNet12", "ResNet12", 64)),
        (net(kind="regressor", hidden=40), ("MLP 40-40", "MLP of two layers", 40)),
    ],
)
def test_nets_have_names_families_and_widths(settings, names):
    assert net_names(settings) == names


def test_the_axis_of_widths_says_what_it_counts():
    assert width_label("MLP 256-128") == "width of the net, ×"
    assert width_label("MLP of two layers") == "units"
    assert width_label("WRN28") == "widening factor, k"
    assert width_label("Conv4") == "channels (of the first block)"
