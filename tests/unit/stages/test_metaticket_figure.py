import pytest
from metaticket_results import family

from carryover.core.config import canonical
from carryover.figures.metaticket_settings import FewshotFigureSettings
from carryover.io.tables import load_table
from carryover.stages import metaticket_figure

FILES = {"pdf": "pdf", "png": "png", "table": "csv"}


@pytest.fixture
def results(tmp_path):
    """Write the results of two methods, and give their manifests as a command does."""
    return [str(path) for path in family(tmp_path / "results", methods=("maml", "metaticket")).manifests]


def run(folder, results, **spec):
    folder.mkdir()
    files = {f"--{kind}": str(folder / f"figure.{end}") for kind, end in FILES.items()}
    arguments = [word for pair in files.items() for word in pair]
    settings = canonical(FewshotFigureSettings.model_validate({"draw": "results", "tests": ["all"], **spec}))
    metaticket_figure.main(["--spec", settings, "--results", *results, *arguments])
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_figure_comes_with_the_table_that_it_shows(results, tmp_path):
    files = run(tmp_path / "out", results, step=3)
    assert set(files) == {"figure.pdf", "figure.png", "figure.csv"}
    table = load_table(tmp_path / "out" / "figure.csv")
    own = table[table["part"] == "result"]
    assert own["method"].tolist() == ["maml", "maml", "metaticket", "metaticket"]
    assert own["norm"].tolist() == ["transductive", "support"] * 2
    assert own["n"].tolist() == [3, 3, 3, 3]
    assert own["tasks"].tolist() == [60, 60, 60, 60]


def test_the_same_results_give_the_same_bytes(results, tmp_path):
    assert run(tmp_path / "first", results) == run(tmp_path / "second", results)


def test_a_figure_that_cannot_be_drawn_leaves_no_file(results, tmp_path):
    with pytest.raises(ValueError, match="test-maml-x1 was not measured after 7 inner steps"):
        run(tmp_path / "out", results, step=7)
    assert not list((tmp_path / "out").iterdir())


def test_an_unknown_drawing_is_an_error(results, tmp_path):
    with pytest.raises(ValueError, match="Input should be 'results'"):
        run(tmp_path / "out", results, draw="pie")
