from itertools import pairwise

import pytest
from matplotlib.colors import to_hex
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.claims import draw

NAN = float("nan")
COLORS = {"holds": "#009e73", "does not hold": "#d55e00", "undecided": "#737373"}


def row(claim, part, verdict, effect=0.05, half=0.01, **changed):
    tested = verdict != "not tested"
    return {
        "claim": claim,
        "part": part,
        "statement": f"{claim} beats everything else by a margin that takes some words to tell.",
        "paper": "IteRand",
        "where": "figure 2",
        "basis": "replica",
        "verdict": verdict,
        "effect": effect if tested else NAN,
        "low": effect - half if tested else NAN,
        "high": effect + half if tested else NAN,
        "margin_low": 0.0,
        "margin_high": NAN,
        "n": 5 if tested else 0,
        "diverged": 0,
        "unit": "accuracy, as a fraction",
        "split": "test",
        "reason": "" if tested else "the study has no such runs",
        **changed,
    }


def board(*claims):
    """Make a table of claims, each a list of its parts' verdicts after its own."""
    rows = [
        row(f"claim {number}", part, verdict)
        for number, verdicts in enumerate(claims)
        for part, verdict in enumerate(verdicts)
    ]
    return DataFrame(rows)


def intervals(axis):
    """List the bars of intervals, which are no separators between claims."""
    return [line for line in axis.lines if len(line.get_xdata()) == 2 and tuple(line.get_xdata()) != (0, 1)]


def texts(axis):
    return [" ".join(text.get_text().split()) for text in axis.texts]


@pytest.mark.parametrize(
    ("verdict", "symbol"),
    [("holds", "✓"), ("does not hold", "✗"), ("undecided", "?"), ("not tested", "–")],
)
def test_a_verdict_is_a_symbol_a_word_and_a_colour(verdict, symbol):
    figure = draw(board([verdict, verdict]))
    words = figure.axes[2].texts[0]
    assert words.get_text() == f"{symbol} {verdict}"
    assert to_hex(words.get_color()) == COLORS.get(verdict, "#737373")


def test_every_part_is_an_interval_in_the_colour_of_its_own_verdict():
    figure = draw(board(["does not hold", "holds", "undecided", "does not hold"]))
    bars = intervals(figure.axes[1])
    points = [line for line in figure.axes[1].lines if len(line.get_xdata()) == 1]
    assert [tuple(bar.get_xdata()) for bar in bars] == [pytest.approx((0.04, 0.06))] * 3
    assert [to_hex(bar.get_color()) for bar in bars] == [
        COLORS[v] for v in ("holds", "undecided", "does not hold")
    ]
    assert len({point.get_marker() + str(point.get_markerfacecolor()) for point in points}) == 3


def test_a_claim_is_as_high_as_its_parts_need_and_none_overlap():
    figure = draw(board(["holds", *["holds"] * 30], ["undecided", "undecided"]))
    heights = [bar.get_ydata()[0] for bar in intervals(figure.axes[1])]
    steps = [later - earlier for earlier, later in pairwise(heights)]
    assert min(steps) > 0.3
    verdicts = figure.axes[2].texts
    assert heights[29] < verdicts[2].get_position()[1] < heights[30]


def test_the_claimed_side_of_the_margin_is_shaded():
    table = board(["holds", "holds"])
    table["margin_low"], table["margin_high"] = -0.02, 0.03
    (shade,) = [
        c
        for c in draw(table).axes[1].collections
        if c.get_array() is None and c.get_alpha() is None and len(c.get_facecolor())
    ]
    x = shade.get_paths()[0].vertices[:, 0]
    assert (x.min(), x.max()) == pytest.approx((-0.02, 0.03))


def test_numbers_say_effect_interval_seeds_and_parts_in_points():
    assert (
        texts(draw(board(["holds", "holds", "holds"])).axes[2])[1]
        == "+5.0 [+4.0, +6.0] n = 5, worst of 2 parts"
    )
    assert texts(draw(board(["holds", "holds"])).axes[2])[1] == "+5.0 [+4.0, +6.0] n = 5"


def test_seeds_that_diverged_and_another_split_are_told():
    table = board(["holds", "holds", "holds"])
    table.loc[1, ["n", "diverged", "split"]] = [3, 2, "val"]
    told = texts(draw(table).axes[2])[1]
    assert "n = 3 to 5" in told
    assert "2 diverged, left out" in told
    assert "validation images" in told


def test_a_claim_that_was_not_tested_says_why_where_others_have_their_effect():
    figure = draw(board(["not tested", "not tested"]))
    assert texts(figure.axes[1]) == ["the study has no such runs"]
    assert not intervals(figure.axes[1])


def test_equal_differences_are_drawn_without_an_interval(tmp_path):
    table = board(["undecided", "undecided"])
    table[["low", "high"]] = NAN
    figure = draw(table)
    style.save_figure(figure, tmp_path / "a.pdf", tmp_path / "a.png")
    assert "no interval" in texts(figure.axes[2])[1]


def test_the_note_states_the_rules_and_whose_claims_they_are():
    note = " ".join(draw(board(["holds", "holds"])).get_supxlabel().split())
    for words in ("95% interval", "paired by seed", "margin (dotted)", "Holm", "IteRand", "fixed in advance"):
        assert words in note


def test_a_cosine_is_no_percentage_and_the_axis_says_what_it_counts():
    table = board(["holds", "holds"], ["holds", "holds"])
    table.loc[table["claim"] == "claim 1", "unit"] = "cosine"
    figure = draw(table)
    assert texts(figure.axes[2])[1::2] == ["+5.0 [+4.0, +6.0] n = 5", "+0.050 [+0.040, +0.060] cosine n = 5"]
    assert figure.axes[1].get_xlabel() == "percentage points of accuracy; hundredths of a cosine"
    assert (
        draw(board(["holds", "holds"])).axes[1].get_xlabel() == "difference of accuracy (percentage points)"
    )


def test_learning_transfer_is_paired_by_pairs_and_its_own_questions_are_marked():
    table = board(["holds", "holds"]).assign(paper="learning transfer", basis="own")
    figure = draw(table)
    assert "paired by pair of source and target" in " ".join(figure.get_supxlabel().split())
    assert any("figure 2 (own)" in text for text in texts(figure.axes[0]))


def test_ticks_stay_apart_however_wide_the_differences_are():
    for half in (0.005, 0.9):
        table = board(["holds", "holds"])
        table[["low", "high"]] = [-half, half]
        axis = draw(table).axes[1]
        places = [axis.transData.transform((tick, 0))[0] for tick in axis.get_xticks()]
        assert 0 in axis.get_xticks()
        assert min(later - earlier for earlier, later in pairwise(places)) > 10


def test_statements_stay_in_their_column():
    table = board(*[["holds", "holds"]] * 16)
    figure = draw(table)
    figure.draw_without_rendering()
    left, middle, right = (axis.get_window_extent() for axis in figure.axes)
    assert max(text.get_window_extent().x1 for text in figure.axes[0].texts) < middle.x0
    assert left.x1 < middle.x0 < middle.x1 < right.x0
    assert max(text.get_window_extent().x1 for text in figure.axes[2].texts) < figure.bbox.width
