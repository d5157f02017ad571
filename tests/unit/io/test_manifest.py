import json

import pytest

from carryover.io.files import sha256_of
from carryover.io.manifest import read_manifest, write_manifest


@pytest.fixture
def result(tmp_path):
    """The folder of a finished result."""
    images, folder = tmp_path / "images.safetensors", tmp_path / "run" / "s0-4"
    folder.mkdir(parents=True)
    images.write_text("images")
    (folder / "metrics.csv").write_text("loss\n1\n")
    (folder / "net.safetensors").write_text("weights")
    write_manifest(
        folder / "manifest.json",
        stage="search",
        spec='{"lr":0.1}',
        code="abc",
        seeds="s0-4",
        inputs=[images],
        outputs=[folder / "metrics.csv", folder / "net.safetensors"],
        record={"device": "cpu", "threads": 1, "attempt": 2},
    )
    return folder


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_manifest_says_what_made_the_result(result):
    manifest = read_manifest(result / "manifest.json")
    assert (manifest.stage, manifest.spec, manifest.code, manifest.seeds) == (
        "search",
        '{"lr":0.1}',
        "abc",
        "s0-4",
    )
    images = result.parent.parent / "images.safetensors"
    assert manifest.inputs == {images.as_posix(): sha256_of(images)}
    assert set(manifest.outputs) == {"metrics.csv", "net.safetensors"}
    assert manifest.outputs["metrics.csv"].sha256 == sha256_of(result / "metrics.csv")
    assert manifest.record["device"] == "cpu"
    assert {"wall_seconds", "host", "torch", "python", "revision"} <= manifest.record.keys()


def test_a_result_can_move_to_another_folder(result):
    moved = result.rename(result.parent.parent / "elsewhere")
    assert set(read_manifest(moved / "manifest.json").outputs) == {"metrics.csv", "net.safetensors"}


def test_a_missing_output_is_refused_by_name(result):
    (result / "metrics.csv").unlink()
    with pytest.raises(ValueError, match=r"metrics\.csv is missing.*delete the folder .*s0-4"):
        read_manifest(result / "manifest.json")


@pytest.mark.parametrize("text", ["loss\n2\n", "loss\n1\n2\n", ""])
def test_a_changed_output_is_refused_by_name(result, text):
    (result / "metrics.csv").write_text(text)
    with pytest.raises(ValueError, match=r"metrics\.csv was changed .*delete the folder .*s0-4"):
        read_manifest(result / "manifest.json")


def test_a_newer_format_is_refused_with_the_remedy(result):
    change(result / "manifest.json", format=2, something_new=1)
    with pytest.raises(
        ValueError, match=r"format 2, made by a newer Carryover .*update, or delete the folder"
    ):
        read_manifest(result / "manifest.json")


def test_an_unknown_format_is_refused_with_the_remedy(result):
    change(result / "manifest.json", format=0)
    with pytest.raises(ValueError, match="format 0, and this version reads format 1 only: delete the folder"):
        read_manifest(result / "manifest.json")


@pytest.mark.parametrize("text", ["", "{}", '{"format": 1}', "[1, 2", '{"format": "one"}'])
def test_a_damaged_manifest_is_refused_by_name(result, text):
    (result / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"manifest\.json is no manifest of Carryover, or damaged"):
        read_manifest(result / "manifest.json")


def test_no_manifest_is_written_for_an_output_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"metrics\.csv"):
        write_manifest(
            tmp_path / "manifest.json",
            stage="search",
            spec=None,
            code=None,
            seeds=None,
            inputs=[],
            outputs=[tmp_path / "metrics.csv"],
            record={},
        )
    assert not list(tmp_path.iterdir())
