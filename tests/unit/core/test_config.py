import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from carryover.core.config import Settings, canonical, parse


class Inner(Settings):
    """Part of a setting."""

    rate: float = 0.1
    """How fast."""


class Outer(Settings):
    """A setting."""

    name: str
    """What it is called."""
    inner: Inner = Inner()
    """The part."""
    sizes: tuple[int, ...] = ()
    """How large."""


def test_equal_settings_have_one_text():
    left = Outer.model_validate({"sizes": [1, 2], "name": "a", "inner": {"rate": 1}})
    right = Outer.model_validate({"inner": {"rate": 1.0}, "name": "a", "sizes": (1, 2)})
    text = '{"inner":{"rate":1.0},"name":"a","sizes":[1,2]}'
    assert canonical(left) == canonical(right) == text
    assert parse(Outer, text) == left


def test_a_mapping_and_a_list_have_a_canonical_text_too():
    assert canonical({"b": 1, "a": [0.1, None, True]}) == '{"a":[0.1,null,true],"b":1}'
    assert canonical([1, "x"]) == '[1,"x"]'


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back_bit_for_bit(rate):
    assert parse(Inner, canonical(Inner(rate=rate))).rate == rate


@pytest.mark.parametrize("text", ['{"nam":"a"}', '{"name":"a","rate":1}', "{", "[]", '{"name":null}'])
def test_typos_and_broken_text_are_refused(text):
    with pytest.raises(ValueError, match="Outer"):
        parse(Outer, text)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused(value):
    with pytest.raises(ValidationError, match="finite"):
        Inner(rate=value)
    with pytest.raises(ValueError, match="JSON"):
        canonical({"rate": value})


def test_settings_are_frozen_and_hashable():
    settings = Outer(name="a")
    with pytest.raises(ValidationError, match="frozen"):
        settings.name = "b"
    assert hash(settings) == hash(Outer(name="a"))


def test_the_text_under_a_field_is_its_description_in_the_schema():
    schema = Outer.model_json_schema()
    assert schema["properties"]["name"]["description"] == "What it is called."
    assert schema["additionalProperties"] is False
    assert json.dumps(schema)
