"""Every study expands to exactly the jobs that it describes."""

from pathlib import Path

import pytest

from carryover.workflow import load_workflow

ROOT = Path(__file__).parent.parent.parent
TRAININGS = ("iterand_dense", "iterand_popup", "iterand_search")


@pytest.fixture
def paper():
    return load_workflow({"study": "paper"}, ROOT)


def seeds_of_grids(flow, *grids):
    return {(run, block) for grid in grids for run in flow.grids[grid] for block in flow.blocks[run]}


def test_the_paper_study_has_206_trainings():
    flow = load_workflow({"study": "paper"}, ROOT)
    assert len(flow.results(list(flow.runs))) == 206
    assert all("-" not in block for blocks in flow.blocks.values() for block in blocks), "blocks of one seed"


def test_figures_1_and_2_of_the_paper_share_18_of_their_trainings(paper):
    figure1 = seeds_of_grids(paper, *paper.figure("fig1").grids)
    figure2 = seeds_of_grids(paper, *paper.figure("fig2").grids)
    assert (len(figure1), len(figure2), len(figure1 & figure2)) == (36, 180, 18)
    assert len(seeds_of_grids(paper, *paper.figure("fig3").grids)) == 8


def test_the_recipes_of_the_paper_are_those_of_its_authors(paper):
    conv = paper.runs["cifar10-conv6-iterand-ku"].settings
    assert (conv.score_lr, conv.sparsity, conv.weight_decay, conv.epochs, conv.batch_size) == (
        0.3,
        0.5,
        1e-4,
        100,
        128,
    )
    assert (conv.randomize_every, conv.randomize_prob, conv.augmentation) == (300, 0.1, "authors")
    assert paper.runs["cifar10-conv6-dense"].settings.lr == 0.01
    resnet = paper.runs["cifar10-resnet34-w0.5-popup-sc"].settings
    assert (resnet.score_lr, resnet.sparsity, resnet.weight_decay) == (0.1, 0.6, 5e-4)
    imagenet = paper.runs["imagenet-imagenet50-iterand-sc"].settings
    assert (imagenet.sparsity, imagenet.randomize_every, imagenet.epochs, imagenet.weight_decay) == (
        0.7,
        1000,
        105,
        1e-4,
    )
    assert imagenet.schedule == "warmup-cosine"


@pytest.mark.parametrize("study", ["demo", "tiny", "demo.bf16", "digits", "fashion", "gpu", "paper"])
def test_every_shipped_study_is_valid_and_its_paths_are_short(study):
    flow = load_workflow({"study": study}, ROOT)
    assert flow.targets()
    for run, blocks in flow.blocks.items():
        assert len(run) <= 80
        assert all(len(f"{study}{run}{block}") < 120 for block in blocks)


def test_a_further_seed_leaves_finished_blocks_where_they_are():
    flow = load_workflow({"study": "demo"}, ROOT)
    more = flow.study.iterand.model_copy(update={"seeds": [*flow.study.iterand.seeds, "5-6"]})
    grown = type(flow)(flow.config, flow.study.model_copy(update={"iterand": more}), flow.runs, flow.grids)
    before, after = (set(f.results(list(f.runs))) for f in (flow, grown))
    assert before < after
    assert {path.rsplit("/", 2)[1] for path in after - before} == {"s5-6"}


def test_arms_of_a_comparison_differ_in_nothing_but_their_method():
    flow = load_workflow({"study": "demo"}, ROOT)
    popup, iterand = (
        flow.runs[f"digits-mlp32-{arm}-ku"].settings.model_dump(exclude={"method"})
        for arm in ("popup", "iterand")
    )
    assert {key for key in iterand if popup.get(key) != iterand[key]} == {"randomize_every", "randomize_prob"}
