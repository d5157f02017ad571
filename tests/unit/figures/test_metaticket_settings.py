import pytest
from pydantic import ValidationError

from carryover.figures.metaticket import DRAWINGS
from carryover.figures.metaticket_settings import SHOWS, Draw, FewshotFigureSettings, Kind
from carryover.metaticket.settings import KINDS


def test_every_drawing_that_a_study_can_name_exists_and_is_about_a_kind_of_run():
    assert set(DRAWINGS) == set(Draw.__args__) == set(SHOWS)


def test_a_figure_has_a_list_of_runs_for_every_kind():
    assert set(Kind.__args__) == set(KINDS)
    assert set(KINDS) <= set(FewshotFigureSettings.model_fields)


def test_a_figure_needs_runs_of_the_kind_that_it_is_about():
    with pytest.raises(ValidationError, match="draw features shows analyses: name at least one of them"):
        FewshotFigureSettings(draw="features", tests=["main"])


def test_a_sweep_and_only_a_sweep_has_a_setting_along_its_axis():
    assert FewshotFigureSettings(draw="sweep", tests=["a"], x="order").x == "order"
    for draw, x in (("sweep", None), ("widths", "order")):
        with pytest.raises(ValidationError, match="x is the setting along the axis of a sweep"):
            FewshotFigureSettings(draw=draw, tests=["a"], x=x)
