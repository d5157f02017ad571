import os
import random
import signal
import traceback
from collections import namedtuple
from pathlib import Path

import pytest
import torch

from carryover.core.config import canonical
from carryover.data.images import Images, Split, save_images
from carryover.io import files, recording
from carryover.io.manifest import read_manifest
from carryover.io.tables import load_table
from carryover.io.trajectory import find_trajectory, open_trajectory
from carryover.nets.build import build_net
from carryover.nets.init import draw_default, draw_head
from carryover.stages import train_net
from carryover.transfer.settings import NetTraining

MLP = {"kind": "mlp", "hidden": [8], "bias": True}
BN = {"kind": "resnet", "depth": 18, "width": 1 / 64, "stem": "cifar"}
NUM_TRAIN, EPOCH_STEPS = 20, 3


def images_file(path: Path, num_classes: int = 3, num_val: int = 9, size: int = 6) -> Path:
    draw = torch.Generator().manual_seed(num_classes)

    def split(num: int) -> Split:
        pixels = torch.randint(0, 17, (num, 1, size, size), generator=draw, dtype=torch.uint8)
        return Split(pixels, torch.arange(num) % num_classes, torch.arange(num))

    save_images(
        path,
        Images(
            dataset="small",
            splits={"train": split(NUM_TRAIN), "val": split(num_val), "test": split(10)},
            classes=tuple("abcde"[:num_classes]),
            max_value=16,
            mean=(0.3,),
            std=(0.5,),
            spec="{}",
            origin="Random pixels.",
        ),
    )
    return path


def settings(**changes):
    usual = {"dataset": "small", "net": MLP, "epochs": 3, "batch_size": 8, "lr": 0.1}
    return NetTraining.model_validate({**usual, **changes})


def train(folder, seeds="source1-2", images=None, manifests=(), extra=(), **changes) -> Path:
    """Run the stage as its rule does; return the folder of the block."""
    changes = {**({"start": "before"} if manifests else {}), **changes}
    block = folder / "trainings" / "small" / seeds
    block.mkdir(parents=True, exist_ok=True)
    images = images or images_file(folder / "small.safetensors")
    train_net.main(
        [
            *("--spec", canonical(settings(**changes)), "--code", "abc", "--seeds", seeds, "--device", "cpu"),
            *("--images", str(images), "--metrics", str(block / "metrics.csv")),
            *("--trajectory", str(block / "trajectory"), "--manifest", str(block / "manifest.json")),
            *(("--start", *map(str, manifests)) if manifests else ()),
            *extra,
        ]
    )
    return block


def results(block):
    """Every byte of a result but the manifest, which holds times."""
    found = [block / "metrics.csv", *sorted((block / "trajectory").iterdir())]
    return {path.relative_to(block).as_posix(): path.read_bytes() for path in found}


def test_a_training_leaves_metrics_its_trajectory_and_a_manifest_that_vouches_for_all_files(tmp_path):
    block = train(tmp_path)
    manifest = read_manifest(block / "manifest.json")
    assert (manifest.stage, manifest.seeds, manifest.record["kind"]) == (
        "train_net",
        "source1-2",
        "training",
    )
    points = [f"trajectory/point-{number:05d}.safetensors" for number in range(4)]
    assert set(manifest.outputs) == {"metrics.csv", "trajectory/best.safetensors", *points}
    metrics = load_table(block / "metrics.csv")
    assert list(metrics.columns) == ["run", "pair", "method", "split", "step", "metric", "value"]
    assert {tuple(row) for row in metrics[["run", "pair", "method"]].to_numpy()} == {
        ("small", 1, "source"), ("small", 2, "source")
    }  # fmt: skip
    steps = metrics.groupby(["split", "metric", "pair"])["step"].apply(list).to_dict()
    for pair in (1, 2):
        for metric in ("accuracy", "loss"):
            assert steps["train", metric, pair] == [3, 6, 9]
            assert steps["val", metric, pair] == steps["test", metric, pair] == [0, 3, 6, 9]


def test_the_first_point_is_the_random_start_and_the_last_what_was_measured(tmp_path):
    block = train(tmp_path, "target2", net=BN, epochs=1)
    found = open_trajectory(block / "trajectory", 202)
    net = build_net(settings(net=BN).net, (1, 6, 6), 3, affine=True)
    start = draw_default(net, 202)
    assert all(torch.equal(found.point(0)[name], start[name]) for name in start)
    assert found.buffers(0)["stem.norm.running_var"].eq(1).all()
    assert not torch.equal(found.point(1)["head.weight"], start["head.weight"])
    assert found.buffers(1)["stem.norm.num_batches_tracked"].item() == EPOCH_STEPS


def test_the_best_point_is_that_of_the_best_validation_accuracy_in_the_table(tmp_path):
    block = train(tmp_path, epochs=8, record="steps", lr=0.3)
    metrics = load_table(block / "metrics.csv")
    curve = metrics[(metrics["split"] == "val") & (metrics["metric"] == "accuracy") & (metrics["step"] > 0)]
    for pair in (1, 2):
        own = curve[curve["pair"] == pair]
        found = open_trajectory(block / "trajectory", 100 * pair + 1)
        assert found.best_step() == own.loc[own["value"].idxmax(), "step"]
        point = found.point(found.steps.index(found.best_step()))
        assert all(torch.equal(found.best()[name], point[name]) for name in point)


@pytest.mark.parametrize("net", [MLP, BN])
def test_the_same_command_twice_gives_the_same_bytes(tmp_path, net):
    first, second = (train(tmp_path / name, net=net) for name in ("first", "second"))
    assert results(first) == results(second)


def test_nets_one_by_one_leave_the_trajectory_of_the_stacked_block(tmp_path):
    together, apart = train(tmp_path / "a"), train(tmp_path / "b", stack="never")
    ours, theirs = results(together), results(apart)
    assert ours.pop("metrics.csv") != theirs.pop("metrics.csv")  # another order of rows
    assert ours == theirs


def test_a_net_trains_alike_in_every_block(tmp_path):
    block, alone = train(tmp_path, "source1-3"), train(tmp_path, "source2")
    ours, theirs = (open_trajectory(b / "trajectory", 201) for b in (block, alone))
    assert all(torch.equal(ours.point(3)[name], theirs.point(3)[name]) for name in ours.point(3))


def test_work_is_cleared_away_when_the_outputs_are_there(tmp_path):
    train(tmp_path)
    assert not list((tmp_path / ".work").rglob("*.safetensors"))
    assert not list(tmp_path.rglob("*.tmp"))


def killed_at(replacement, *arguments, **changes):
    """Run the stage in a process of its own that is killed (-9) in the middle of writing its n-th file.

    Returns whether it was over before.
    """
    child = os.fork()
    if child == 0:
        try:
            left, really = [replacement], os.replace

            def replace(source, target):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                really(source, target)

            files.os.replace = replace
            train(*arguments, **changes)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code == 0


@pytest.mark.parametrize(
    ("settings_of", "save_every"),
    [
        ({"record": "steps", "record_every": 2}, "0"),
        ({"record": "steps", "record_every": 2}, "1000"),
        ({"record": "epochs", "stack": "never"}, "0"),
        ({"record": "epochs", "net": BN, "epochs": 2}, "0"),
    ],
    ids=["every step saved", "nothing saved", "one by one", "batch-norm"],
)
def test_a_training_that_is_killed_again_and_again_leaves_every_byte_as_it_would_be(
    tmp_path, settings_of, save_every
):
    images = images_file(tmp_path / "small.safetensors")
    expected = results(train(tmp_path / "whole", images=images, **settings_of))
    draw, kills = random.Random(1), 0
    extra = ("--save-every", save_every)
    # with nothing saved all is done again: a later attempt must get further than those before
    while not killed_at(
        draw.randint(1, 12) if save_every == "0" else 3 * (kills + 1),
        tmp_path / "killed",
        images=images,
        extra=extra,
        **settings_of,
    ):
        kills += 1
    assert kills >= 3
    assert results(tmp_path / "killed" / "trainings" / "small" / "source1-2") == expected


def test_a_trajectory_that_does_not_fit_on_the_disk_is_refused_before_the_first_step(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(recording.shutil, "disk_usage", lambda folder: usage(10**9, 10**9, 10_000))
    message = r"needs 12\.9 kB \(4 points and the best, 2 nets of 1\.29 kB\).*10 kB free.*`record: ends`.*record_every"
    with pytest.raises(ValueError, match=message):
        train(tmp_path, extra=("--save-every", "0"))
    assert not list(tmp_path.rglob("*.csv"))
    assert not list((tmp_path / ".work").rglob("*.safetensors"))
    assert len(results(train(tmp_path, record="ends"))) == 4


def differing(left, right):
    return [
        t
        for t in range(left.num_steps + 1)
        if not torch.equal(left.point(t)["fc1.weight"], right.point(t)["fc1.weight"])
    ]


def test_the_order_of_the_images_has_a_seed_of_its_own(tmp_path):
    def trajectory(name, **changes):
        return open_trajectory(train(tmp_path / name, "source1", **changes) / "trajectory", 101)

    usual = trajectory("usual")
    assert differing(usual, trajectory("same", order_seed=101)) == []
    assert differing(usual, trajectory("other", order_seed=102)) == [1, 2, 3]  # the start is the same


def test_nets_of_equal_order_seed_see_the_same_images_though_their_weights_differ(tmp_path, monkeypatch):
    seen = {}
    inner = train_net.train

    def watched(nets, batches, *rest):
        seen["labels"] = [labels for _, labels in batches.epoch(1)]
        inner(nets, batches, *rest)

    monkeypatch.setattr(train_net, "train", watched)
    train(tmp_path / "a")
    assert not all(torch.equal(*labels) for labels in seen["labels"])
    train(tmp_path / "b", order_seed=0)
    assert all(torch.equal(*labels) for labels in seen["labels"])


@pytest.mark.parametrize("net", [MLP, BN])
def test_fine_tuning_keeps_the_body_and_draws_a_new_head_for_the_new_classes(tmp_path, net):
    before = train(tmp_path / "a", net=net, epochs=2)
    images = images_file(tmp_path / "five.safetensors", num_classes=5)
    manifest = before / "manifest.json"
    after = train(tmp_path / "b", "source2", images, [manifest], net=net, epochs=1)
    trained = open_trajectory(before / "trajectory", 201)
    start = open_trajectory(after / "trajectory", 201)
    head = draw_head(build_net(settings(net=net).net, (1, 6, 6), 5, affine=True), 201)
    assert {name: tensor.shape[0] for name, tensor in head.items()} == dict.fromkeys(head, 5)
    for name, tensor in start.point(0).items():
        assert torch.equal(tensor, head[name] if name in head else trained.point(2)[name])
    for name, tensor in start.buffers(0).items():
        assert torch.equal(tensor, trained.buffers(2)[name])
    assert list(read_manifest(after / "manifest.json").inputs) == [str(images), str(manifest)]


def test_source_and_target_of_a_pair_get_heads_of_their_own(tmp_path):
    heads = []
    images = images_file(tmp_path / "five.safetensors", num_classes=5)
    for block, seed in (("source1", 101), ("target1", 102)):
        before = train(tmp_path / "a", block)
        after = train(tmp_path / "b", block, images, [before / "manifest.json"], record="ends")
        heads.append(open_trajectory(after / "trajectory", seed).point(0)["fc2.weight"])
    assert not torch.equal(*heads)


def test_a_block_may_start_from_several_smaller_ones(tmp_path):
    manifests = [train(tmp_path / "a", f"source{pair}") / "manifest.json" for pair in (1, 2)]
    after = train(tmp_path / "b", "source1-2", None, manifests)
    for seed in (101, 201):
        last = find_trajectory(manifests, seed).point(3)["fc1.weight"]
        assert torch.equal(open_trajectory(after / "trajectory", seed).point(0)["fc1.weight"], last)


def test_a_start_of_another_architecture_or_of_other_pairs_is_refused(tmp_path):
    before = [train(tmp_path / "a") / "manifest.json"]
    deeper = {"kind": "mlp", "hidden": [8, 8], "bias": True}
    with pytest.raises(ValueError, match=r"another architecture.*\(fc2\.bias.*same net and image size"):
        train(tmp_path / "b", manifests=before, net=deeper)
    larger = images_file(tmp_path / "larger.safetensors", size=8)
    with pytest.raises(ValueError, match=r"images of another shape \(fc1\.weight\)"):
        train(tmp_path / "b", images=larger, manifests=before)
    with pytest.raises(ValueError, match="none of these blocks has a net of seed 301"):
        train(tmp_path / "b", "source3", manifests=before)


def test_spec_and_command_agree_on_whether_there_is_a_start(tmp_path):
    with pytest.raises(ValueError, match="the spec says 'low', and --start names 0 manifests"):
        train(tmp_path, start="low")


def test_only_blocks_of_one_role_are_trained(tmp_path):
    for block in ("pairs1-2", "s0-1"):
        with pytest.raises(ValueError, match="seeds:"):
            train(tmp_path, block)


def test_a_diverged_net_is_in_the_table_and_the_others_have_their_whole_trajectory(tmp_path, monkeypatch):
    inner = train_net.train

    def poisoned(nets, *rest):
        nets.parameters["fc1.weight"][0, 0, 0] = float("nan")
        inner(nets, *rest)

    monkeypatch.setattr(train_net, "train", poisoned)
    block = train(tmp_path)
    metrics = load_table(block / "metrics.csv")
    diverged = metrics[metrics["metric"] == "diverged"]
    assert diverged[["pair", "step"]].to_numpy().tolist() == [[1, EPOCH_STEPS]]
    assert open_trajectory(block / "trajectory", 201).num_steps == 3
    with pytest.raises(ValueError, match="seed 101 diverged before step 3"):
        open_trajectory(block / "trajectory", 101)


def test_the_start_of_a_training_is_found_by_its_images_and_its_start(tmp_path):
    """Work on another start, or on other images, is never continued."""
    images = images_file(tmp_path / "small.safetensors")
    starts = [[train(tmp_path / name, lr=lr) / "manifest.json"] for name, lr in (("a", 0.1), ("b", 0.2))]
    for start in ([], *starts):
        train(tmp_path / "c", images=images, manifests=start)
    train(tmp_path / "c", images=images_file(tmp_path / "other.safetensors", num_val=5))
    assert len(list((tmp_path / "c" / "trainings" / ".work" / "small" / "source1-2").iterdir())) == 4
