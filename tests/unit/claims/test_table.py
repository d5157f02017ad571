from math import inf

import pytest

from carryover.claims.check import Finding, Part
from carryover.claims.claim import Claim
from carryover.claims.statistics import Region, Verdict, paired_effect
from carryover.claims.table import rows_of
from carryover.io.tables import load_table, save_table

CLAIM = Claim("order", "A beats B.", "figure 2", "replica", ())
FINE = Part("16", Region(low=0.0), "test", effect=paired_effect([0.1, 0.2, 0.3]), verdict=Verdict.HOLDS)
BAD = Part(
    "32", Region(-0.02, 0.02), "val", effect=paired_effect([0.4, 0.5]), diverged=1, verdict=Verdict.FAILS
)
MISSING = Part("64", Region(high=0.0), "test", reason="no run")


def rows(parts, verdict=Verdict.FAILS):
    return rows_of("IteRand", [Finding(CLAIM, parts, verdict, "because")])


def test_a_claim_is_row_0_and_its_parts_follow_with_its_name():
    table = rows([FINE, BAD, MISSING])
    assert [(row["claim"], row["part"], row["parts"]) for row in table] == [
        ("order", 0, 3), ("order", 1, 1), ("order", 2, 1), ("order", 3, 1),
    ]  # fmt: skip
    assert [row["verdict"] for row in table] == ["does not hold", "holds", "does not hold", "not tested"]
    assert [row["reason"] for row in table] == ["because", "", "", "no run"]
    assert {(row["statement"], row["paper"], row["where"], row["basis"]) for row in table} == {
        ("A beats B.", "IteRand", "figure 2", "replica")
    }


def test_the_row_of_a_claim_has_the_numbers_of_the_part_that_is_worst_for_it():
    claim, _, bad, _ = rows([FINE, BAD, MISSING])
    numbers = ("compared", "effect", "low", "high", "n", "diverged", "split", "margin_low", "margin_high")
    assert [claim[key] for key in numbers] == [bad[key] for key in numbers]
    assert claim["effect"] == pytest.approx(0.45)
    assert (claim["n"], claim["diverged"]) == (2, 1)


def test_among_parts_that_hold_the_closest_to_its_margin_is_the_worst():
    close = Part("8", Region(low=0.0), "test", effect=paired_effect([0.01, 0.011]), verdict=Verdict.HOLDS)
    far = Part(
        "8", Region(low=-inf, high=9.0), "test", effect=paired_effect([0.0, 0.001]), verdict=Verdict.HOLDS
    )
    assert Finding(CLAIM, [far, close, far], Verdict.HOLDS, "").decisive is close


def test_margins_are_stated_and_open_sides_are_empty_cells():
    _, fine, bad, missing = rows([FINE, BAD, MISSING])
    assert (fine["margin_low"], fine["margin_high"]) == (0.0, None)
    assert (bad["margin_low"], bad["margin_high"]) == (-0.02, 0.02)
    assert (missing["margin_low"], missing["margin_high"]) == (None, 0.0)


def test_what_was_not_tested_has_no_numbers(tmp_path):
    save_table(tmp_path / "claims.csv", rows([MISSING], Verdict.UNTESTED))
    table = load_table(tmp_path / "claims.csv")
    assert table[["effect", "low", "high"]].isna().all(axis=None)
    assert table["n"].tolist() == [0, 0]
    assert table["unit"].unique().tolist() == ["accuracy, as a fraction"]
