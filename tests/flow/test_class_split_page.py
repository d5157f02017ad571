"""The page on class splits, followed word by word in a copy of the repository."""

import json
import shlex

import numpy as np
from pages import ROOT, blocks, commands, follow
from PIL import Image
from workflow_copy import WorkflowCopy

from carryover.data.images import load_images

PAGE = ROOT / "docs" / "how-to" / "add-a-class-split.md"
CLASSES = ("ash", "birch", "elm", "oak", "pine", "lime", "maple", "willow-white", "willow-grey", "yew")


def draw_leaves(folder):
    """Write three pictures of each class."""
    draw = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for number in range(3):
            pixels = draw.integers(0, 256, (30, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def test_images_of_ones_own_are_divided_by_a_list_and_again_when_it_changes(tmp_path):
    copy = WorkflowCopy(tmp_path)
    assert follow(PAGE, tmp_path) == {"studies/leaves.yaml"}
    listed = next(block.text for block in blocks(PAGE) if block.language == "json")
    (tmp_path / "studies/leaves.json").write_text(listed)
    draw_leaves(tmp_path / "data" / "leaves")
    (line,) = commands(PAGE)
    words = shlex.split(line)[1:]

    done = copy.snakemake("--cores", "1", *words)

    assert done.returncode == 0, done.stdout[-5000:]
    images = load_images(tmp_path / "results/data/leaves.safetensors")
    assert images.classes == (
        *("ash", "birch", "elm", "oak", "pine", "pine@90", "pine@180", "pine@270"),
        *("lime", "maple", "willow-grey", "willow-white"),
    )
    assert [len(own.labels) for own in (images.train, images.val, images.test)] == [24, 6, 6]
    assert images.train.images.shape[1:] == (1, 28, 28)
    (tmp_path / "studies/leaves.json").write_text(json.dumps(json.loads(listed)))
    assert copy.planned(*words) == {}, "another layout of the file says the same"
    (tmp_path / "studies/leaves.json").write_text(listed.replace('"lime", ', ""))
    assert copy.planned(*words) == {"prepare_folder": 1}
