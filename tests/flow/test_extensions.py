"""The how-to pages, followed word by word in a copy of the repository: what they promise is what happens."""

import hashlib
import shlex
import subprocess
import sys

import numpy as np
import pytest
from pages import ROOT, blocks, commands, follow
from PIL import Image
from workflow_copy import WorkflowCopy

from carryover.data.images import load_images
from carryover.io.manifest import read_manifest
from carryover.io.tables import load_table
from carryover.problems import ConfigError
from carryover.workflow import load_workflow

PAGES = ROOT / "docs" / "how-to"
MOST_FILES = 3


@pytest.fixture
def copy(tmp_path):
    return WorkflowCopy(tmp_path)


def change_code(copy, page):
    """Do what a page says; return the files of the package that it touched, after checking their style."""
    touched = sorted(path for path in follow(PAGES / page, copy.folder) if path.startswith("src/"))
    for words in (["check"], ["format", "--diff"]):
        config = str(ROOT / "pyproject.toml")
        checked = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--quiet", "--no-cache", "--config", config, *touched],
            cwd=copy.folder,
            capture_output=True,
            text=True,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
    return touched


def type_commands(copy, page):
    """Type the snakemake commands of a page."""
    typed = [line for line in commands(PAGES / page) if line.startswith("snakemake ")]
    assert typed, f"{page} has no command"
    for line in typed:
        done = copy.snakemake("--cores", "1", *shlex.split(line)[1:])
        assert done.returncode == 0, f"{line}\n{done.stdout[-5000:]}"


def test_a_data_set_is_added_as_the_page_says_in_three_files(copy):
    touched = change_code(copy, "add-a-data-set.md")
    assert len(touched) <= MOST_FILES, touched
    draw = np.random.default_rng(0)
    raw = copy.folder / "data" / "k49"
    raw.mkdir(parents=True)
    for part, count in (("train", 2600), ("test", 1000)):
        np.savez(raw / f"k49-{part}-imgs.npz", draw.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        np.savez(raw / f"k49-{part}-labels.npz", draw.integers(0, 49, count, dtype=np.uint8))
    sources = copy.folder / "src" / "carryover" / "data" / "sources.py"
    text = sources.read_text()
    for file in raw.iterdir():  # the page has the checksums of the real files
        start = text.index(f'"{file.name}": "') + len(f'"{file.name}": "')
        text = text[:start] + hashlib.md5(file.read_bytes()).hexdigest() + text[start + 32 :]
    sources.write_text(text)
    copy.edit("config.yaml", "offline: false", "offline: true")

    type_commands(copy, "add-a-data-set.md")

    images = load_images(copy.folder / "results/data/k49-small.safetensors")
    assert [len(split.labels) for split in (images.train, images.val, images.test)] == [2000, 500, 1000]
    assert images.train.images.shape[1:] == (1, 14, 14)
    assert len(images.classes) == 49
    metrics = load_table(copy.folder / "results/k49/iterand/k49-small-mlp64-iterand-ku/s0-1/metrics.csv")
    assert len(metrics.query("split == 'test' and metric == 'accuracy'")) == 2


def test_a_net_is_added_as_the_page_says_in_three_files(copy):
    touched = change_code(copy, "add-a-net.md")
    assert len(touched) <= MOST_FILES, touched

    type_commands(copy, "add-a-net.md")

    metrics = load_table(
        copy.folder / "results/shortcuts/iterand/digits-residual16-iterand-ku/s0-1/metrics.csv"
    )
    assert set(metrics.query("metric == 'num_weights'")["value"]) == {64 * 16 + 2 * 16 * 16 + 16 * 10}
    drawn = load_table(copy.folder / "results/shortcuts/figures/iterand/fig2.csv")
    assert len(drawn) == 2


def test_a_method_is_added_as_the_page_says_in_three_files(copy):
    touched = change_code(copy, "add-a-method.md")
    assert len(touched) <= MOST_FILES, touched

    type_commands(copy, "add-a-method.md")

    runs = copy.folder / "results" / "fading" / "iterand"
    faded, usual = (runs / f"digits-mlp32-{method}-ku" / "s0-1" for method in ("fade", "iterand"))
    assert read_manifest(faded / "manifest.json").stage == "iterand_fade"
    rows = [load_table(folder / "metrics.csv") for folder in (faded, usual)]
    assert len(rows[0]) == len(rows[1])
    assert rows[0]["value"].tolist() != rows[1]["value"].tolist()
    drawn = load_table(copy.folder / "results/fading/figures/iterand/fig2.csv")
    assert set(drawn["arm"]) == {"fade-ku", "iterand-ku"}


def draw_leaves(folder):
    """Write forty pictures of each of three classes, in sizes of their own."""
    draw = np.random.default_rng(0)
    for label, name in enumerate(("ash", "birch", "oak")):
        (folder / name).mkdir(parents=True)
        for number in range(40):
            height, width = draw.integers(16, 40, 2)
            pixels = draw.integers(0, 60, (height, width, 3), dtype=np.uint8) + np.uint8(90 * label)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def test_images_of_ones_own_need_a_study_and_no_code(copy):
    assert follow(PAGES / "use-your-own-images.md", copy.folder) == {"studies/leaves.yaml"}
    draw_leaves(copy.folder / "data" / "leaves")

    type_commands(copy, "use-your-own-images.md")

    images = load_images(copy.folder / "results/data/leaves.safetensors")
    assert images.classes == ("ash", "birch", "oak")
    assert [len(split.labels) for split in (images.train, images.val, images.test)] == [60, 20, 40]
    assert images.train.images.shape[1:] == (1, 16, 16)
    assert (copy.folder / "results/leaves/iterand/leaves-conv2-iterand-ku/s0-1/metrics.csv").is_file()


def test_a_study_plans_the_jobs_that_the_page_says(copy):
    page = PAGES / "write-a-study.md"
    assert follow(page, copy.folder) == {
        f"studies/{name}.yaml" for name in ("narrow", "narrow.fast", "carried")
    }
    promised = next(block.text for block in blocks(page) if "iterand_dense" in block.text)
    planned = copy.planned("--config", "study=narrow")
    planned.pop("all_figures")
    assert planned == {rule: int(count) for rule, count in map(str.split, promised.splitlines())}
    fast = load_workflow({"study": "narrow.fast"}, copy.folder)
    assert {run.settings.score_lr for run in fast.runs.values() if run.method != "dense"} == {0.3}
    assert list(fast.grids) == ["width"]


def test_a_study_with_mistakes_is_told_what_the_page_says(copy):
    page = PAGES / "write-a-study.md"
    follow(page, copy.folder)
    copy.edit("studies/narrow.yaml", "sparsity: 0.5\n", "sparsity: 1.5\n")
    copy.edit("studies/narrow.yaml", "[mlp8, mlp16]", "[mlp61, mlp16]")
    promised = next(block.text for block in blocks(page) if "problems in the settings" in block.text)
    with pytest.raises(ConfigError) as told:
        load_workflow({"study": "narrow"}, copy.folder)
    assert str(told.value) == promised.rstrip()
