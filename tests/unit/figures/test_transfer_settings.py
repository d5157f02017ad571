import pytest
from pydantic import ValidationError

from carryover.figures.transfer import DRAWINGS
from carryover.figures.transfer_settings import PRINTED, SHOWS, Draw, Kind, TransferFigureSettings
from carryover.transfer.settings import KINDS


def test_every_drawing_that_a_study_can_name_exists_and_is_about_a_kind_of_run():
    assert set(DRAWINGS) == set(Draw.__args__) == set(SHOWS)
    assert set(PRINTED) <= set(SHOWS)


def test_a_figure_has_a_list_of_runs_for_every_kind():
    assert set(Kind.__args__) == set(KINDS)
    assert set(KINDS) <= set(TransferFigureSettings.model_fields)


def test_a_figure_needs_runs_of_the_kind_that_it_is_about():
    with pytest.raises(ValidationError, match="`draw: plane` needs the names of runs in `landscapes`"):
        TransferFigureSettings(draw="plane", transfers=["main"])


def test_a_published_panel_of_another_kind_of_figure_is_refused():
    with pytest.raises(ValidationError, match="`draw: curves` cannot show fig6a"):
        TransferFigureSettings(draw="curves", transfers=["main"], published=["fig5a", "fig6a"])
    with pytest.raises(ValidationError, match="`draw: cost` cannot show fig5a"):
        TransferFigureSettings(draw="cost", transfers=["main"], published=["fig5a"])


def test_level_lines_are_of_curves_only():
    assert TransferFigureSettings(draw="curves", transfers=["main"], epochs=[1]).epochs == [1]
    with pytest.raises(ValidationError, match="has no level lines"):
        TransferFigureSettings(draw="steps", transfers=["main"], epochs=[1])


def test_courses_are_of_validation_images_and_results_of_test_images_unless_a_figure_says_otherwise():
    assert TransferFigureSettings(draw="curves", transfers=["main"]).shown_split == "val"
    assert TransferFigureSettings(draw="steps", transfers=["main"]).shown_split == "test"
    assert TransferFigureSettings(draw="steps", transfers=["main"], split="val").shown_split == "val"
