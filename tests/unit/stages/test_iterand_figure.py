import pytest

from carryover.core.config import canonical
from carryover.io.tables import load_table
from carryover.stages import iterand_figure

SEEDS = {0: 0.7, 1: 0.8, 2: 0.9}
SPEC = {
    "draw": "rate",
    "grids": ["rate"],
    "x": [],
    "split": "test",
    "splits": [],
    "runs": {"rate": ["a", "b"]},
}


@pytest.fixture
def results(made):
    made.add("popup-ku", SEEDS, run="a")
    made.add("iterand-ku", SEEDS, run="b")
    return [str(manifest) for manifest in made.manifests]


def run(folder, results, **spec):
    folder.mkdir()
    files = {f"--{kind}": str(folder / f"figure.{end}") for kind, end in FILES.items()}
    arguments = [word for pair in files.items() for word in pair]
    iterand_figure.main(["--spec", canonical({**SPEC, **spec}), "--results", *results, *arguments])
    return {path.name: path.read_bytes() for path in folder.iterdir()}


FILES = {"pdf": "pdf", "png": "png", "table": "csv"}


def test_a_figure_comes_with_the_table_that_it_shows(results, tmp_path):
    files = run(tmp_path / "out", results)
    assert set(files) == {"figure.pdf", "figure.png", "figure.csv"}
    table = load_table(tmp_path / "out" / "figure.csv")
    assert table["arm"].tolist() == ["popup-ku", "iterand-ku"]
    assert table["mean"].tolist() == pytest.approx([0.8, 0.8])
    assert table["sd"].tolist() == pytest.approx([0.1, 0.1])
    assert table["n"].tolist() == [3, 3]


def test_the_same_results_give_the_same_bytes(results, tmp_path):
    assert run(tmp_path / "first", results) == run(tmp_path / "second", results)


def test_what_the_workflow_passes_is_what_the_stage_reads(tmp_path, results):
    assert run(tmp_path / "out", results, splits=["test"], draw="sweeps", x=["randomize_prob"])


def test_a_figure_that_cannot_be_drawn_leaves_no_file(results, tmp_path):
    with pytest.raises(ValueError, match="has no val accuracy"):
        run(tmp_path / "out", results, split="val")
    assert not list((tmp_path / "out").iterdir())


def test_an_unknown_drawing_is_an_error(results, tmp_path):
    with pytest.raises(ValueError, match="Input should be 'rate'"):
        run(tmp_path / "out", results, draw="pie")
