import pytest

from carryover.figures.settings import FigureSettings


def test_a_sweep_names_a_setting_for_each_grid():
    settings = FigureSettings(draw="sweeps", grids=["a", "b"], x=["sparsity", "rank"], splits=["val", "test"])
    assert settings.split_of_grids == ["val", "test"]


def test_one_split_is_that_of_all_grids():
    assert FigureSettings(draw="width", grids=["a", "b"]).split_of_grids == ["test", "test"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"draw": "sweeps", "x": ["sparsity"]}, "`draw: sweeps` of 2 grids needs 2 settings in `x`"),
        ({"draw": "width", "x": ["sparsity"]}, "`draw: width` of 2 grids needs 0 settings in `x`"),
        ({"draw": "width", "splits": ["val", "test"]}, "of 2 grids needs 0 `splits` or none"),
        ({"draw": "sweeps", "x": ["rank", "rank"], "splits": ["val"]}, "needs 2 `splits` or none"),
        ({"draw": "sweeps", "x": ["rank", "dataset"]}, "Input should be"),
    ],
)
def test_panels_that_do_not_fit_the_grids_are_errors(wrong, message):
    with pytest.raises(ValueError, match=message):
        FigureSettings(grids=["a", "b"], **wrong)
