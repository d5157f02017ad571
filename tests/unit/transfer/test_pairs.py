import subprocess
import sys

import pytest

from carryover.transfer.pairs import net_of, pairs_of, seed_of, seeds_of_block


def test_pairs_have_the_seeds_of_the_published_code():
    assert [(seed_of("source", pair), seed_of("target", pair)) for pair in (1, 2, 3)] == [
        (101, 102), (201, 202), (301, 302)
    ]  # fmt: skip


def test_a_seed_tells_role_and_pair():
    for role in ("source", "target"):
        for pair in (1, 7, 40):
            assert net_of(seed_of(role, pair)) == (role, pair)


@pytest.mark.parametrize(
    ("block", "seeds"),
    [("source1-3", (101, 201, 301)), ("target2", (202,)), ("target9-10", (902, 1002)), ("source4-4", (401,))],
)
def test_a_block_of_one_role_is_a_range_of_pairs(block, seeds):
    assert seeds_of_block(block) == seeds
    assert pairs_of(block) == tuple(seed // 100 for seed in seeds)


def test_a_block_of_whole_pairs_has_pairs_and_no_seeds():
    assert pairs_of("pairs2-4") == (2, 3, 4)
    with pytest.raises(ValueError, match=r"blocks of one role, source1-3 or target2: got 'pairs2-4'"):
        seeds_of_block("pairs2-4")


@pytest.mark.parametrize(
    "block", ["", "source", "s0-4", "source3-1", "source0", "1-3", "source1-", "target1,2"]
)
def test_any_other_block_is_refused_with_the_right_form(block):
    for read in (pairs_of, seeds_of_block):
        with pytest.raises(ValueError, match="a block is written source1-3"):
            read(block)


def test_pairs_are_known_without_torch():
    code = "import sys, carryover.transfer.pairs; print({'torch', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
