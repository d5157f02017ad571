import shutil
import subprocess
import sys
from collections import namedtuple

import pytest
import torch

from carryover.core.trajectory import Trajectory
from carryover.io import checkpoint, recording, trajectory
from carryover.io.checkpoint import load_tensors
from carryover.io.manifest import write_manifest
from carryover.io.recording import TrajectoryWriter, check_room, publish
from carryover.io.trajectory import find_trajectory, open_trajectory

STEPS = (0, 2, 4, 5)
BOTH = [True, True]


def value(seed, step):
    return 1000.0 * seed + step


class Training:
    """Two nets whose tensors tell their seed and step."""

    def __init__(self, folder, seeds=(1, 2), steps=STEPS):
        self.seeds = seeds
        self.parameters = {"b": torch.zeros(len(seeds), 3), "a": torch.zeros(len(seeds), 2, 2)}
        self.buffers = {"count": torch.zeros(len(seeds), dtype=torch.int64)}
        self.writer = TrajectoryWriter(folder, seeds, self.parameters, self.buffers, steps, 2)

    def step(self, step, alive=(True, True), **val):
        for index, seed in enumerate(self.seeds):
            self.parameters["a"][index] = value(seed, step)
            self.parameters["b"][index] = -value(seed, step)
            self.buffers["count"][index] = step
        measured = {split: {"accuracy": list(found)} for split, found in val.items()}
        self.writer.keep(step, measured, list(alive[: len(self.seeds)]))

    def run(self, end=STEPS[-1]):
        for step in range(end + 1):
            self.step(step)
        return self


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_recorded_point_has_parameters_and_buffers_of_its_step(tmp_path):
    Training(tmp_path).run()
    for seed in (1, 2):
        found = open_trajectory(tmp_path, seed)
        assert isinstance(found, Trajectory)
        assert (found.num_steps, found.steps, found.epochs) == (3, STEPS, (0.0, 1.0, 2.0, 2.5))
        for t, step in enumerate(STEPS):
            point = found.point(t)
            assert list(point) == ["b", "a"]  # in the order of the net
            assert point["a"].tolist() == [[value(seed, step)] * 2] * 2
            assert point["b"].tolist() == [-value(seed, step)] * 3
            assert found.buffers(t)["count"].item() == step
            assert set(found.buffers(t)) == {"count"}


def test_a_file_holds_all_nets_of_a_block_and_says_when_it_was(tmp_path):
    Training(tmp_path).run()
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        f"point-{n:05d}.safetensors" for n in range(4)
    ]
    tensors, notes = load_tensors(tmp_path / "point-00003.safetensors")
    assert set(tensors) == {f"{seed}/{name}" for seed in (1, 2) for name in ("a", "b", "count")}
    assert (notes["step"], notes["epoch"], notes["points"]) == ("5", "2.5", "4")


def test_a_point_is_the_callers_own(tmp_path):
    Training(tmp_path).run()
    found = open_trajectory(tmp_path, 1)
    found.point(1)["a"].zero_()
    assert found.point(1)["a"].eq(value(1, 2)).all()


def test_groups_that_train_one_after_the_other_leave_what_a_whole_block_leaves(tmp_path):
    best = {0: (0.1, 0.1), 2: (0.5, 0.2), 4: (0.4, 0.6)}
    for folder, groups in (("together", [(1, 2)]), ("apart", [(1,), (2,)])):
        for seeds in groups:
            training = Training(tmp_path / folder, seeds)
            for step in range(6):
                val = [best[step][seed - 1] for seed in seeds] if step in best else None
                training.step(step, **({"val": val} if val else {}))
            training.writer.finish(BOTH[: len(seeds)])
    assert files(tmp_path / "together") == files(tmp_path / "apart")


def test_the_best_nets_are_the_first_of_the_best_validation_accuracy_after_an_epoch(tmp_path):
    training = Training(tmp_path)
    training.step(0, val=(0.9, 0.9))  # before training: not of an epoch
    for step, val in ((2, (0.5, 0.3)), (4, (0.5, 0.6)), (5, (0.4, 0.2))):
        training.step(step, val=val, test=(1.0, 1.0))
    training.writer.finish(BOTH)
    for seed, step in ((1, 2), (2, 4)):
        found = open_trajectory(tmp_path, seed)
        assert found.best_step() == step
        assert found.best()["a"].eq(value(seed, step)).all()
        assert set(found.best()) == {"a", "b"}


def test_without_validation_images_there_is_no_best_point(tmp_path):
    Training(tmp_path).run().writer.finish(BOTH)
    with pytest.raises(
        ValueError, match=r"no best point, since its training had no validation images.*split\.val"
    ):
        open_trajectory(tmp_path, 1).best()


def test_the_best_nets_so_far_are_a_part_of_the_state(tmp_path):
    first, second = Training(tmp_path / "a"), Training(tmp_path / "b")
    for training in (first, second):
        training.step(2, val=(0.5, 0.3))
    third = Training(tmp_path / "b")
    for name, tensor in third.writer.state().items():
        tensor.copy_(second.writer.state()[name])
    for training in (first, third):
        training.step(4, val=(0.5, 0.6))
        training.writer.finish(BOTH)
    name = "best.safetensors"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_net_that_diverged_is_in_no_further_point_and_refused_with_the_reason(tmp_path):
    training = Training(tmp_path)
    for step in (0, 2, 4, 5):
        training.step(step, alive=(step < 4, True), val=(0.5, 0.5))
    training.writer.finish([False, True])
    assert open_trajectory(tmp_path, 2).num_steps == 3
    assert open_trajectory(tmp_path, 2).best_step() == 2
    with pytest.raises(
        ValueError, match=r"point-00002\S* has nets of the seeds \[2\].*seed 1 diverged before step 4"
    ):
        open_trajectory(tmp_path, 1)


def test_a_block_that_diverged_as_a_whole_is_refused(tmp_path):
    training = Training(tmp_path)
    training.step(0)
    training.step(2, alive=(False, False))
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(
        ValueError, match=r"point-00001\S* is missing, of 4 points: either every net diverged"
    ):
        open_trajectory(tmp_path, 1)


def test_a_folder_without_points_and_a_seed_that_is_not_there_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no trajectory"):
        open_trajectory(tmp_path, 1)
    Training(tmp_path).run()
    with pytest.raises(ValueError, match=r"nets of the seeds \[1, 2\]; that of seed 3 is not there"):
        open_trajectory(tmp_path, 3)
    with pytest.raises(AssertionError, match="points are 0 to 3: got 4"):
        open_trajectory(tmp_path, 1).point(4)


def test_a_training_that_goes_on_needs_the_points_it_has_passed(tmp_path):
    training = Training(tmp_path / "trajectory")
    training.writer.start(0, BOTH)
    training.run(4)
    training.writer.start(5 - 1, BOTH)
    (tmp_path / "trajectory" / "point-00001.safetensors").unlink()
    training.writer.start(1, BOTH)
    with pytest.raises(
        ValueError, match=r"point-00001\S* is missing, though the training has passed it \(step 4"
    ):
        training.writer.start(4, BOTH)
    training.writer.start(4, [False, False])


def test_writing_a_point_again_changes_no_byte(tmp_path):
    training = Training(tmp_path).run()
    before = files(tmp_path)
    training.run()
    assert files(tmp_path) == before


def test_too_little_room_is_an_error_that_says_how_much_is_needed_and_what_lowers_it(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(recording.shutil, "disk_usage", lambda folder: usage(10**12, 0, 12_000_000))
    check_room(tmp_path / "new", num_points=3, num_seeds=2, num_bytes=1_500_000)
    with pytest.raises(
        ValueError, match=r"needs 15 MB \(4 points and the best, 2 nets of 1\.5 MB\), and \S* has 12 MB free"
    ) as error:
        check_room(tmp_path / "new", num_points=4, num_seeds=2, num_bytes=1_500_000)
    assert "record: ends" in str(error.value)
    assert "record_every" in str(error.value)


def test_points_that_are_there_need_no_further_room(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    (tmp_path / "point-00000.safetensors").write_bytes(bytes(1000))
    monkeypatch.setattr(recording.shutil, "disk_usage", lambda folder: usage(10**12, 0, 2000))
    check_room(tmp_path, num_points=2, num_seeds=1, num_bytes=1000)
    with pytest.raises(ValueError, match=r"needs 2\.03 kB"):
        check_room(tmp_path, num_points=2, num_seeds=1, num_bytes=1010)


@pytest.mark.parametrize("links", [True, False])
def test_a_published_trajectory_is_whole_alone_and_survives_the_work_folder(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(
            recording.os, "link", lambda *paths: (_ for _ in ()).throw(OSError("another disk"))
        )
    work, output = tmp_path / "work", tmp_path / "output"
    Training(work).run()
    output.mkdir()
    for name in ("point-00077.safetensors", "point-00000.safetensors.12ab.tmp"):
        (output / name).write_text("of an earlier training")
    for _ in range(2):  # a training killed in between does it again
        listed = publish(work, output)
    assert files(work) == files(output)
    assert listed == sorted(output.iterdir())
    assert links == (work / "point-00000.safetensors").samefile(output / "point-00000.safetensors")
    shutil.rmtree(work)
    assert open_trajectory(output, 2).point(3)["a"].eq(value(2, 5)).all()


def test_only_what_is_asked_for_is_read(tmp_path, monkeypatch):
    Training(tmp_path).run()
    read = []

    class Watched:
        def __init__(self, path):
            self.path, self.handle = path.name, checkpoint.safe_open(path, framework="pt")

        def keys(self):
            return self.handle.keys()

        def get_tensor(self, name):
            read.append((self.path, name))
            return self.handle.get_tensor(name)

        def get_slice(self, name):
            raise AssertionError(name)

        def metadata(self):
            return self.handle.metadata()

    def opened(path):
        return Watched(path), checkpoint.open_tensors(path)[1]

    monkeypatch.setattr(trajectory, "open_tensors", opened)
    found = open_trajectory(tmp_path, 2)
    assert read == []
    found.point(1)
    assert read == [("point-00001.safetensors", name) for name in ("2/b", "2/a")]
    read.clear()
    found.buffers(2)
    assert read == [("point-00002.safetensors", "2/count")]


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory has other units elsewhere")
def test_the_memory_of_a_point_is_that_of_one_net(tmp_path):
    """Sixteen nets of 8 MB in each file: reading one of them keeps one in memory."""
    writer = TrajectoryWriter(tmp_path, range(16), {"a": torch.zeros(16, 2_000_000)}, {}, (0, 1, 2), 1)
    for step in range(3):
        writer.keep(step, {}, [True] * 16)
    ran = subprocess.run(
        [sys.executable, "-c", READING, tmp_path], capture_output=True, text=True, check=True
    )
    assert float(ran.stdout) < 3 * 8


READING = """
import resource, sys
from pathlib import Path
from carryover.io.trajectory import open_trajectory

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000

found = open_trajectory(Path(sys.argv[1]), 7)
before = peak()
for t in range(3):
    assert found.point(t)["a"].numel() == 2_000_000
print(peak() - before)
"""


def manifest(folder, *parts):
    written = [path for part in parts for path in sorted((folder / part).iterdir())]
    write_manifest(
        folder / "manifest.json",
        stage="train_net", spec="{}", code=None, seeds="source1", inputs=[], outputs=written, record={},
    )  # fmt: skip
    return folder / "manifest.json"


def test_a_net_is_found_in_whichever_block_has_it(tmp_path):
    for block, seeds in (("a", (1, 2)), ("b", (3,))):
        Training(tmp_path / block / "trajectory", seeds).run()
    manifests = [manifest(tmp_path / block, "trajectory") for block in ("a", "b")]
    for seed in (1, 2, 3):
        assert find_trajectory(manifests, seed).point(3)["a"].eq(value(seed, 5)).all()
    with pytest.raises(ValueError, match="none of these blocks has a net of seed 4"):
        find_trajectory(manifests, 4)


def test_a_trajectory_with_missing_or_cut_points_is_not_found(tmp_path):
    Training(tmp_path / "trajectory").run()
    path = manifest(tmp_path, "trajectory")
    last = tmp_path / "trajectory" / "point-00003.safetensors"
    whole = last.read_bytes()
    last.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"point-00003\S* is missing or cut: delete"):
        find_trajectory([path], 1)
    last.unlink()
    with pytest.raises(ValueError, match="is missing or cut"):
        find_trajectory([path], 1)


def test_a_result_without_a_trajectory_is_refused(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "nets.safetensors").touch()
    with pytest.raises(ValueError, match="not the manifest of a training that records its trajectory"):
        find_trajectory([manifest(tmp_path, "other")], 1)
