"""The whole workflow on the tiny study: it finishes, then has nothing to do; a change re-runs what it reaches."""

import json

import pytest
from workflow_copy import WorkflowCopy

pytestmark = pytest.mark.xdist_group("workflow")  # one worker runs the tiny study once
TINY = ("--config", "study=tiny")
SEARCHES = 14


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    copy = WorkflowCopy(tmp_path_factory.mktemp("flow"))
    done = copy.snakemake("--cores", "2", *TINY)
    assert done.returncode == 0, done.stdout[-5000:]
    return copy


@pytest.fixture
def editable(finished):
    """The finished workflow, whose source is put back after the test."""
    before = {path: path.read_bytes() for path in (finished.folder / "src").rglob("*.py")}
    yield finished
    for path, content in before.items():
        path.write_bytes(content)


def test_every_figure_and_table_is_there(finished):
    figures = finished.folder / "results/tiny/figures/iterand"
    names = {path.stem for path in figures.glob("*.pdf")}
    assert names == {
        "fig1",
        "fig1-curves",
        "fig2",
        "fig3",
        "ablations",
        "diagnostics",
        "parameters",
        "theory",
        "claims",
    }
    assert names == {path.stem for path in figures.glob("*.png")}
    assert (finished.folder / "results/tiny/iterand/claims.csv").stat().st_size > 0


def test_a_second_run_has_nothing_to_do(finished):
    assert "Nothing to be done" in finished.snakemake("--cores", "2", *TINY).stdout


def test_a_comment_re_runs_nothing(editable):
    editable.edit("src/carryover/sparse/randomize.py", "@torch.no_grad()", "# a comment\n@torch.no_grad()")
    assert editable.planned(*TINY) == {}


def test_a_constant_of_the_redraw_re_runs_the_searches_and_what_follows_them(editable):
    editable.edit("src/carryover/sparse/randomize.py", "< prob", "< prob * 0.999")
    planned = editable.planned(*TINY)
    assert planned.pop("iterand_search") == SEARCHES
    assert set(planned) == {"all_figures", "iterand_figure", "iterand_table", "iterand_claims"}


def test_a_constant_of_the_masks_leaves_weight_training_and_theory_alone(editable):
    editable.edit("src/carryover/sparse/masks.py", 'keep_rule == "authors"', 'keep_rule == "authors2"')
    planned = editable.planned(*TINY)
    assert {"iterand_popup", "iterand_search"} < set(planned)
    assert not {"iterand_dense", "iterand_theory", "prepare_digits"} & set(planned)


def test_a_deleted_figure_is_one_job(finished):
    pdf = finished.folder / "results/tiny/figures/iterand/fig1.pdf"
    content = pdf.read_bytes()
    pdf.unlink()
    assert finished.planned(*TINY) == {"iterand_figure": 1, "all_figures": 1}
    done = finished.snakemake("--cores", "1", "results/tiny/figures/iterand/fig1.pdf", *TINY)
    assert done.returncode == 0
    assert pdf.read_bytes() == content


def test_a_further_seed_trains_that_seed_alone(finished):
    finished.edit("studies/tiny.yaml", "seeds: [0-2]", "seeds: [0-2, 3]")
    planned = finished.planned(*TINY)
    finished.edit("studies/tiny.yaml", "seeds: [0-2, 3]", "seeds: [0-2]")
    assert sum(planned[rule] for rule in ("iterand_dense", "iterand_popup", "iterand_search")) == 26


def test_the_device_re_runs_nothing(finished):
    assert finished.planned(*TINY, "device=cpu") == {}


def test_the_report_is_built_without_a_network(finished):
    done = finished.snakemake(*TINY, "--report", "report.zip")
    assert done.returncode == 0, done.stdout[-3000:]
    assert (finished.folder / "report.zip").stat().st_size > 100_000


def test_a_newer_result_is_refused_with_the_remedy(finished):
    manifest = finished.folder / "results/tiny/iterand/digits-mlp16-dense/s0-2/manifest.json"
    text = manifest.read_text()
    manifest.write_text(json.dumps({**json.loads(text), "format": 99}))
    (finished.folder / "results/tiny/iterand/table.csv").unlink()
    done = finished.snakemake("--cores", "1", "results/tiny/iterand/table.csv", *TINY)
    manifest.write_text(text)
    assert done.returncode != 0
    assert "format 99" in done.stdout
    assert "update" in done.stdout
    assert finished.snakemake("--cores", "2", *TINY).returncode == 0
