import pytest
import torch
from pydantic import ValidationError

from carryover.data.split_settings import DigitsSplit, ImagenetSplit, SplitSettings
from carryover.data.splits import split_fraction, split_official, split_own


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_splits_of_one_pool_are_disjoint_and_together_complete():
    chosen = split_own(1797, DigitsSplit(val=280))
    together = torch.cat(list(chosen.values()))
    assert [len(chosen[name]) for name in ("train", "val", "test")] == [1120, 280, 397]
    assert together.sort().values.equal(torch.arange(1797))


def test_the_same_397_digits_test_whatever_train_and_val_are():
    default, with_val = split_own(1797, DigitsSplit()), split_own(1797, DigitsSplit(train=1120, val=280))
    assert len(default["train"]) == 1400
    assert default["test"].equal(with_val["test"])


def test_fewer_training_images_are_among_the_more():
    few, many = split_own(1797, DigitsSplit(train=100)), split_own(1797, DigitsSplit(train=900, val=100))
    assert set(few["train"].tolist()) < set(many["train"].tolist())


def test_train_and_val_are_disjoint_parts_of_the_official_training_images():
    chosen = split_official(1000, 200, SplitSettings(val=100))
    assert torch.cat([chosen["train"], chosen["val"]]).sort().values.equal(torch.arange(1000))
    assert chosen["test"].equal(torch.arange(200))


def test_official_splits_can_be_sampled():
    chosen = split_official(1000, 200, SplitSettings(train=60, val=10, test=30))
    assert [len(set(chosen[name].tolist())) for name in ("train", "val", "test")] == [60, 10, 30]
    assert not set(chosen["train"].tolist()) & set(chosen["val"].tolist())
    assert chosen["train"].max() > 60  # a sample, not the first ones
    assert chosen["test"].max() > 30


def test_positions_ascend():
    chosen = split_official(1000, 200, SplitSettings(train=60, val=10, test=30))
    assert all(positions.diff().gt(0).all() for positions in chosen.values())


def test_a_split_ignores_the_global_random_state_and_leaves_it_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = split_own(100, DigitsSplit(test=10))
    assert torch.get_rng_state().equal(before)
    torch.manual_seed(2)
    assert same(first, split_own(100, DigitsSplit(test=10)))


def test_another_split_seed_chooses_other_images():
    one, other = (split_own(100, DigitsSplit(test=10, seed=seed)) for seed in (777, 778))
    assert not same(one, other)


def test_the_split_is_fixed_for_ever():
    chosen = split_own(1797, DigitsSplit())
    assert chosen["test"][:8].tolist() == [13, 16, 21, 26, 27, 30, 33, 34]


def test_one_percent_of_imagenet_validates():
    chosen = split_fraction(1_281_167, 50_000, ImagenetSplit())
    assert {name: len(chosen[name]) for name in chosen} == {"train": 1_268_356, "val": 12_811, "test": 50_000}


def test_a_fraction_is_read_as_an_exact_decimal():
    assert len(split_fraction(100, 1, ImagenetSplit(val_fraction=0.29))["val"]) == 29  # 0.29 * 100 < 29


def test_a_tenth_of_imagenet_trains_whatever_validates():
    chosen = split_fraction(1_281_167, 50_000, ImagenetSplit(val_fraction=0.1, train_fraction=0.1))
    assert {name: len(chosen[name]) for name in chosen} == {"train": 128_116, "val": 128_116, "test": 50_000}
    whole = split_fraction(1_281_167, 50_000, ImagenetSplit(val_fraction=0.1))
    assert chosen["val"].equal(whole["val"])
    assert torch.isin(chosen["train"], whole["train"]).all()


def test_fractions_that_make_a_whole_as_decimals_are_accepted_and_more_are_not():
    assert len(split_fraction(10, 1, ImagenetSplit(val_fraction=0.1, train_fraction=0.9))["train"]) == 9
    with pytest.raises(
        ValidationError, match=r"train_fraction 0\.91 and val_fraction 0\.1 are more than all"
    ):
        ImagenetSplit(val_fraction=0.1, train_fraction=0.91)


def test_a_fraction_of_too_few_images_is_refused():
    with pytest.raises(ValueError, match=r"split\.train_fraction 0\.1 of 9 images is none"):
        split_fraction(9, 1, ImagenetSplit(train_fraction=0.1))


@pytest.mark.parametrize("split", [{"train": 90, "val": 1}, {"val": 90}, {"train": 91}, {"test": 100}])
def test_asking_for_more_images_than_there_are_names_the_settings(split):
    with pytest.raises(ValueError, match=r"lower split\.train, split\.val or split\.test"):
        split_own(100, SplitSettings(**{"test": 10, **split}))


def test_a_set_without_official_test_images_needs_a_number_of_them():
    with pytest.raises(ValueError, match=r"say in split\.test"):
        split_own(100, SplitSettings())


def test_more_test_images_than_official_are_refused():
    with pytest.raises(ValueError, match=r"split\.test asks for 11 images, the official test split has 10"):
        split_official(100, 10, SplitSettings(test=11))
