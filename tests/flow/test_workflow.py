"""The whole workflow on the tiny study: it finishes, then has nothing to do; a change re-runs what it reaches."""

import json

import pytest
from workflow_copy import WorkflowCopy

from carryover.workflow import load_workflow

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


def test_every_figure_and_table_of_learning_transfer_is_there(finished):
    flow = load_workflow({"study": "tiny"}, finished.folder).transfer
    figures = finished.folder / "results/tiny/figures/transfer"
    names = {*flow.section.figures, "theory", "claims"}
    assert len(names) > 10
    for kind in ("pdf", "png", "csv"):
        assert {path.stem for path in figures.glob(f"*.{kind}")} == names - (
            {"claims"} if kind == "csv" else set()
        )
    for table in ("table", "claims"):
        assert len((finished.folder / f"results/tiny/transfer/{table}.csv").read_text().splitlines()) > 10
    assert not [
        path for path in (finished.folder / "results/tiny/.work").rglob("*") if path.suffix == ".safetensors"
    ]


def test_every_figure_and_table_of_few_shot_learning_is_there(finished):
    flow = load_workflow({"study": "tiny"}, finished.folder).metaticket
    figures = finished.folder / "results/tiny/figures/metaticket"
    for kind in ("pdf", "png", "csv"):
        names = {path.stem for path in figures.glob(f"*.{kind}")}
        assert names == {*flow.section.figures, *([] if kind == "csv" else ["claims"])}
    for table in ("table", "claims"):
        assert len((finished.folder / f"results/tiny/metaticket/{table}.csv").read_text().splitlines()) > 10


def test_a_second_run_has_nothing_to_do(finished):
    assert "Nothing to be done" in finished.snakemake("--cores", "2", *TINY).stdout


FEWSHOT = {
    *("train_fewshot", "test_fewshot", "analyse_fewshot"),
    *("metaticket_figure", "metaticket_table", "metaticket_claims"),
}
"""Rules that follow from a training of few-shot learning; Meta-ticket shares IteRand's redraw."""


def test_a_comment_re_runs_nothing(editable):
    editable.edit("src/carryover/sparse/randomize.py", "@torch.no_grad()", "# a comment\n@torch.no_grad()")
    assert editable.planned(*TINY) == {}


def test_a_constant_of_the_redraw_re_runs_the_searches_and_what_follows_them(editable):
    editable.edit("src/carryover/sparse/randomize.py", "< prob", "< prob * 0.999")
    planned = editable.planned(*TINY)
    assert planned.pop("iterand_search") == SEARCHES
    assert set(planned) == {"all_figures", "iterand_figure", "iterand_table", "iterand_claims"} | FEWSHOT


def test_a_constant_of_the_masks_leaves_weight_training_and_theory_alone(editable):
    editable.edit("src/carryover/sparse/masks.py", 'keep_rule == "authors"', 'keep_rule == "authors2"')
    planned = editable.planned(*TINY)
    assert {"iterand_popup", "iterand_search"} < set(planned)
    assert not {"iterand_dense", "iterand_theory", "prepare_digits"} & set(planned)


TRANSFERS = {
    "transfer_trajectory": 7,
    "train_transferred": 2,
    "transfer_landscape": 1,
    "transfer_ensemble": 1,
}
SHOWN = {"transfer_figure", "transfer_table", "transfer_claims", "all_figures"}


@pytest.mark.parametrize(
    ("path", "before", "after", "more"),
    [
        (
            "permute/matching.py",
            "ROUNDING = 1e-12",
            "ROUNDING = 1e-13",
            {"transfer_cosine": 2, "transfer_synced": 1},
        ),
        (
            "transfer/gmt.py",
            "range(1, search.num_steps + 1)",
            "range(1, 1 + search.num_steps)",
            {"transfer_synced": 1},
        ),
        ("transfer/fixed.py", '"random permutation"', '"random permutations"', {}),
    ],
    ids=["matching", "gmt", "baselines"],
)
def test_a_change_of_a_transfer_re_runs_transfers_and_what_follows_but_no_training(
    editable, path, before, after, more
):
    editable.edit(f"src/carryover/{path}", before, after)
    planned = editable.planned(*TINY)
    counts = {rule: count for rule, count in planned.items() if rule not in SHOWN}
    assert counts == {**TRANSFERS, **more}
    assert planned.keys() - counts.keys() == SHOWN


def test_a_constant_of_weight_training_re_runs_trainings_and_all_that_comes_of_them(editable):
    editable.edit("src/carryover/train/weights.py", "start == 0", "start <= 0")
    planned = editable.planned(*TINY)
    assert {rule: planned[rule] for rule in TRANSFERS} == TRANSFERS
    assert (planned["train_net"], planned["transfer_cosine"], planned["transfer_synced"]) == (10, 2, 1)
    assert "iterand_dense" in planned
    assert not {"iterand_search", "iterand_popup", "transfer_theory", "prepare_digits"} & set(planned)


def test_a_constant_of_iterand_leaves_learning_transfer_alone(editable):
    editable.edit("src/carryover/sparse/randomize.py", "< prob", "< prob * 0.999")
    planned = editable.planned(*TINY)
    assert not [
        rule for rule in planned if rule.startswith("transfer") or rule in ("train_net", "train_transferred")
    ]


def test_a_constant_of_the_inner_loop_re_runs_few_shot_learning_alone(editable):
    editable.edit("src/carryover/metaticket/adapt.py", "value=-1)", "value=-1.0)")
    planned = editable.planned(*TINY)
    assert (planned["train_fewshot"], planned["test_fewshot"], planned["analyse_fewshot"]) == (7, 15, 2)
    assert set(planned) == {*FEWSHOT, "all_figures"}


def test_a_further_pair_is_trained_and_transferred_alone(finished):
    finished.edit("studies/tiny.yaml", "pairs: [1-2]", "pairs: [1-2, 3]")
    planned = finished.planned(*TINY)
    finished.edit("studies/tiny.yaml", "pairs: [1-2, 3]", "pairs: [1-2]")
    # the landscape has one pair
    assert (planned["train_net"], planned["transfer_trajectory"], planned["train_transferred"]) == (10, 7, 2)
    assert (planned["transfer_cosine"], planned["transfer_synced"], planned["transfer_ensemble"]) == (2, 1, 1)
    assert "transfer_landscape" not in planned


@pytest.mark.parametrize("paper", ["iterand", "transfer", "metaticket"])
def test_a_deleted_figure_is_one_job(finished, paper):
    figure = {
        "iterand": "iterand/fig1.pdf",
        "transfer": "transfer/fig5.pdf",
        "metaticket": "metaticket/steps.pdf",
    }[paper]
    pdf = finished.folder / "results/tiny/figures" / figure
    content = pdf.read_bytes()
    pdf.unlink()
    assert finished.planned(*TINY) == {f"{paper}_figure": 1, "all_figures": 1}
    done = finished.snakemake("--cores", "1", f"results/tiny/figures/{figure}", *TINY)
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
