import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carryover.io.tables import load_table, save_table

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def test_columns_keep_the_order_of_the_first_row(tmp_path):
    path = tmp_path / "table.csv"
    save_table(path, [{"b": 1, "a": "x"}, {"a": "y, z", "b": 2}])
    assert path.read_bytes() == b'b,a\n1,x\n2,"y, z"\n'


@same_folder
@given(values=st.lists(st.floats(), min_size=1))
def test_every_float_comes_back_bit_for_bit(tmp_path, values):
    path = tmp_path / "table.csv"
    save_table(path, [{"value": value, "row": row} for row, value in enumerate(values)])
    for value, read in zip(values, load_table(path)["value"], strict=True):
        if math.isnan(value):
            assert math.isnan(read)
        else:
            assert np.float64(read).tobytes() == np.float64(value).tobytes()


def test_numbers_of_numpy_are_written_as_plain_ones(tmp_path):
    path = tmp_path / "table.csv"
    save_table(path, [{"a": np.float32(0.1), "b": np.float64(0.1), "c": np.int64(3), "d": np.bool_(True)}])
    assert path.read_text() == "a,b,c,d\n0.10000000149011612,0.1,3,True\n"


def test_words_that_look_like_missing_values_stay_words(tmp_path):
    path = tmp_path / "table.csv"
    save_table(path, [{"split": "none"}, {"split": "None"}, {"split": "NA"}, {"split": "null"}])
    assert list(load_table(path)["split"]) == ["none", "None", "NA", "null"]


def test_none_is_an_empty_cell_and_read_as_missing(tmp_path):
    path = tmp_path / "table.csv"
    save_table(path, [{"a": 1, "b": None}, {"a": None, "b": "x"}])
    assert path.read_text() == "a,b\n1,\n,x\n"
    assert load_table(path).isna().to_numpy().tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize("rows", [[], [{"a": 1}, {"b": 1}], [{"a": 1}, {"a": 1, "b": 1}], [{"a": [1]}]])
def test_what_is_no_table_is_refused_and_leaves_no_file(tmp_path, rows):
    with pytest.raises(AssertionError):
        save_table(tmp_path / "table.csv", rows)
    assert not list(tmp_path.iterdir())
