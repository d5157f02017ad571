"""Sections 1.2 and 2: which weights a mask keeps, and how many."""

from fractions import Fraction
from math import floor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from carryover.nets.build import build_net
from carryover.nets.settings import ConvSettings, ResNetSettings
from carryover.sparse.masks import KeepRule, MaskRule, keep_top, masks_of, num_kept, top_mask
from carryover.sparse.prunable import prunable

SPARSITIES = ("0", "0.1", "0.5", "0.6", "0.7", "0.9", "1")
SIZES = (1, 2, 10, 11, 432, 640)


def documented_count(n: int, sparsity: str, keep_rule: str) -> int:
    """The two rules in whole numbers: no float can round them."""
    p = Fraction(sparsity)
    if keep_rule == "exact":
        return n - floor(p * n)
    removed, rest = divmod(p * (n - 1), 1)
    return int(
        n - (removed + (1 if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and removed % 2) else 0))
    )


def distinct(*shape: int) -> torch.Tensor:
    """Scores without ties, in random order."""
    n = shape[-1]
    rows = [torch.randperm(n, generator=torch.Generator().manual_seed(i)) for i in range(shape[0])]
    return torch.stack(rows).double() - n / 2


@pytest.mark.parametrize("keep_rule", ["exact", "authors"])
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_a_layer_keeps_as_many_weights_as_the_rule_says(sparsity: str, n: int, keep_rule: KeepRule):
    count = documented_count(n, sparsity, keep_rule)
    scores = distinct(3, n)
    assert num_kept(n, float(sparsity), keep_rule) == count
    masks = masks_of({"a": scores}, MaskRule(float(sparsity), keep_rule=keep_rule))["a"]
    assert masks.sum(-1).tolist() == [count] * 3
    best = scores.argsort(-1, descending=True)[:, :count]
    assert torch.equal(masks, torch.zeros_like(scores).scatter(-1, best, 1.0))


def test_the_two_rules_have_the_counts_of_the_specification():
    assert num_kept(10, 0.5, "authors") == 6
    assert num_kept(640, 0.6, "authors") == 640 - 383
    assert num_kept(10, 0.5) == 5
    assert num_kept(640, 0.6) == 640 - 384
    assert num_kept(10, 0.7) == 3  # the float 0.7 is below seven tenths
    assert num_kept(100, 0.29) == 71


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_ties_give_the_exact_count_and_keep_the_lower_index(sparsity: str, n: int):
    count = num_kept(n, float(sparsity))
    equal = keep_top(torch.zeros(n), float(sparsity))
    assert torch.equal(equal, (torch.arange(n) < count).float())
    # the second half is better, the first half is tied
    scores = (torch.arange(n) >= n // 2).double()
    expected = torch.zeros(n, dtype=torch.float64)
    expected[torch.argsort(scores, descending=True, stable=True)[:count]] = 1
    assert torch.equal(keep_top(scores, float(sparsity)), expected)


def test_the_authors_rule_keeps_all_ties_at_the_threshold():
    assert keep_top(torch.zeros(10), 0.9, "authors").sum() == 10
    assert torch.equal(
        keep_top(torch.tensor([0.0, 1, 1, 1, 2]), 0.5, "authors"), torch.tensor([0.0, 1, 1, 1, 1])
    )


def test_the_authors_rule_removes_the_scores_below_the_k_th_smallest():
    for row, p in ((distinct(1, 41)[0], 0.35), (torch.tensor([3.0, 1, 1, 2, 2, 0]), 0.5)):
        threshold = row.sort().values[round(Fraction(str(p)) * (len(row) - 1))]
        assert torch.equal(keep_top(row, p, "authors"), (row >= threshold).to(row))


def test_each_net_of_a_block_has_the_mask_that_it_has_alone():
    draw = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 6, (4, 3, 7), generator=draw).float()  # many ties
    scores[2] = 0
    rule = MaskRule(0.4)
    together = masks_of({"a": scores}, rule)["a"]
    for index in range(4):
        assert torch.equal(together[index], masks_of({"a": scores[index : index + 1]}, rule)["a"][0])
        assert torch.equal(together[index], keep_top(scores[index], 0.4))


CONV = {0.25: 71_064, 0.5: 283_184, 1: 1_130_592, 2: 4_518_080}
RESNET = {
    (18, 0.25): 283_327,
    (18, 0.5): 1_121_983,
    (18, 1): 4_465_752,
    (18, 2): 17_830_591,
    (34, 0.25): 535_853,
    (34, 0.5): 2_132_065,
    (34, 1): 8_506_054,
    (34, 2): 33_991_777,
}
IMAGENET = {18: 3_503_691, 34: 6_533_927, 50: 7_650_923, 101: 13_332_935}


def kept_in(settings, image_shape, num_classes: int, sparsity: float, keep_rule: KeepRule) -> int:
    with torch.device("meta"):
        net = build_net(settings, image_shape, num_classes, affine=False)
    sizes = [net.get_parameter(name).numel() for name in prunable(net)]
    return sum(num_kept(size, sparsity, keep_rule) for size in sizes)


@pytest.mark.parametrize(("width", "count"), CONV.items())
def test_conv6_keeps_the_weights_of_table_2_1(width: float, count: int):
    net = ConvSettings(kind="conv", depth=6, width=width)
    assert kept_in(net, (3, 32, 32), 10, 0.5, "authors") == count
    assert kept_in(net, (3, 32, 32), 10, 0.5, "exact") == count


@pytest.mark.parametrize(("net", "count"), RESNET.items())
def test_cifar_resnets_keep_the_weights_of_table_2_2(net: tuple[int, float], count: int):
    settings = ResNetSettings(kind="resnet", depth=net[0], width=net[1], stem="cifar")
    assert kept_in(settings, (3, 32, 32), 10, 0.6, "authors") == count


@pytest.mark.parametrize(("depth", "count"), IMAGENET.items())
def test_imagenet_resnets_keep_the_weights_of_table_2_2(depth: int, count: int):
    settings = ResNetSettings(kind="resnet", depth=depth, stem="imagenet")
    assert kept_in(settings, (3, 224, 224), 1000, 0.7, "authors") == count


# whole numbers and powers of two: a float rounds neither, so that no new tie arises
scores_lists = st.lists(st.integers(-1000, 1000), min_size=1, max_size=60)
fractions = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 0.9, 1.0])
rules = st.sampled_from(["exact", "authors"])


@given(scores_lists, fractions, rules, st.sampled_from([0.25, 0.5, 2.0, 8.0, 3.0]), st.integers(-50, 50))
def test_a_rising_line_through_the_scores_leaves_the_mask(values, sparsity, keep_rule, slope, shift):
    scores = torch.tensor(values, dtype=torch.float64)
    mask = keep_top(scores, sparsity, keep_rule)
    assert torch.equal(mask, keep_top(slope * scores + shift, sparsity, keep_rule))


@given(scores_lists, fractions, rules, st.randoms(use_true_random=False))
def test_absolute_masks_do_not_see_the_signs(values, sparsity, keep_rule, random):
    scores = torch.tensor(values, dtype=torch.float64)
    signs = torch.tensor([random.choice((-1.0, 1.0)) for _ in values], dtype=torch.float64)
    rule = MaskRule(sparsity, rank="absolute", keep_rule=keep_rule)
    assert torch.equal(
        masks_of({"": scores[None]}, rule)[""], masks_of({"": (signs * scores)[None]}, rule)[""]
    )


@given(scores_lists, st.data())
def test_introselect_finds_what_sorting_finds(values, data):
    scores = torch.tensor([values, values[::-1]], dtype=torch.float32)
    kept = data.draw(st.integers(0, len(values)))
    order = torch.argsort(scores, dim=-1, descending=True, stable=True)[:, :kept]
    expected = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, order, True)
    assert torch.equal(top_mask(scores, kept), expected)
