"""Tables as CSV: one row per observation, floats that read back bit for bit."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from carryover.io.files import replacing

if TYPE_CHECKING:
    import pandas


def save_table(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows as a CSV file, whole or not at all; the first row gives the columns and their order.

    A cell is text, a bool, a number of Python or NumPy, or None, which is written as an empty cell. Floats
    are written in their shortest exact form, and `nan`, `inf` and `-inf` as such.
    """
    assert rows, f"a table needs at least one row: {path}"
    columns = list(rows[0])
    assert all(row.keys() == rows[0].keys() for row in rows), f"all rows have the columns {columns}: {path}"
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(row[column]) for column in columns] for row in rows)


def _cell(value: object) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    assert value is None or isinstance(value, str | bool | int | float), f"no cell of a table: {value!r}"
    return "" if value is None else str(value)  # str of a float is its repr


def load_table(path: Path) -> "pandas.DataFrame":
    """Read a CSV file; floats are exact, only an empty cell and `nan` are missing values."""
    import pandas  # half a second that most stages need not spend

    return pandas.read_csv(path, keep_default_na=False, na_values=["", "nan"])
