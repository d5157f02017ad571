import json
import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from carryover import carry
from carryover.carry_inputs import build
from carryover.cli import main
from carryover.core import rng
from carryover.core.config import canonical
from carryover.data.batches import MemoryBatches, Normaliser, evaluation_batches
from carryover.data.images import Images, Split, load_images, save_images
from carryover.io.checkpoint import digest_of, load_tensors
from carryover.io.files import sha256_of
from carryover.io.tables import load_table
from carryover.io.trajectory import open_trajectory
from carryover.nets.build import build_net
from carryover.nets.specs import spec_of
from carryover.stages import train_net
from carryover.transfer.own import Options, transfer
from carryover.transfer.settings import NetTraining

MLP = {"kind": "mlp", "hidden": [8], "bias": True}
BN = {"kind": "resnet", "depth": 18, "width": 1 / 64, "stem": "cifar"}
RUN = {"dataset": "small", "net": MLP, "epochs": 3, "batch_size": 8, "lr": 0.1, "record": "epochs"}
SHAPES = """
from torch import nn

def make():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))

def nothing():
    return 3
"""


def write_images(path: Path, num_val: int = 12) -> Path:
    """Write images whose brightness tells their class, so that a few steps learn something."""
    draw = rng.generator(0, "test carry", num_val)

    def split(num: int) -> Split:
        labels = torch.arange(num) % 3
        noise = torch.randint(0, 4, (num, 1, 6, 6), generator=draw)
        return Split((noise + 5 * labels[:, None, None, None]).to(torch.uint8), labels, torch.arange(num))

    images = Images(
        dataset="small",
        splits={"train": split(24), "val": split(num_val), "test": split(15)},
        classes=("a", "b", "c"),
        max_value=16,
        mean=(0.4,),
        std=(0.3,),
        spec="{}",
        origin="Drawn.",
    )
    save_images(path, images)
    return path


def train(folder: Path, images: Path, seeds: str, **changes) -> Path:
    block = folder / "trainings" / "small" / seeds
    block.mkdir(parents=True)
    run = NetTraining.model_validate({**RUN, **changes})
    train_net.main(
        [
            *("--spec", canonical(run), "--seeds", seeds, "--device", "cpu", "--images", str(images)),
            *("--metrics", str(block / "metrics.csv"), "--trajectory", str(block / "trajectory")),
            *("--manifest", str(block / "manifest.json")),
        ]
    )
    return block


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    return write_images(tmp_path_factory.mktemp("data") / "small.safetensors")


@pytest.fixture(scope="module")
def sources(images, tmp_path_factory) -> Path:
    return train(tmp_path_factory.mktemp("sources"), images, "source1-2")


@pytest.fixture(scope="module")
def targets(images, tmp_path_factory) -> Path:
    return train(tmp_path_factory.mktemp("targets"), images, "target1-2")


@pytest.fixture
def own(tmp_path, monkeypatch) -> dict[str, str]:
    """A net of one's own with three states, and images; the arguments that name them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "shapes", raising=False)
    Path("shapes.py").write_text(SHAPES)
    net = build("shapes:make")
    draw = rng.generator(0, "test carry", "own")
    for name in ("start", "end", "target"):
        save_file(
            {n: torch.rand(t.shape, generator=draw).to(t.dtype) for n, t in net.state_dict().items()},
            f"{name}.safetensors",
        )
    labels = torch.arange(30) % 3
    save_file({"images": torch.randn(30, 1, 4, 4, generator=draw), "labels": labels}, "images.safetensors")
    return {
        "--source-start": "start.safetensors",
        "--source-end": "end.safetensors",
        "--net": "shapes:make",
        "--target-init": "target.safetensors",
        "--images": "images.safetensors",
        "--out": "moved.safetensors",
        "--steps": "2",
    }


def words(arguments: dict[str, str], **changes: str | None) -> list[str]:
    changed = {**arguments, **{f"--{name.replace('_', '-')}": value for name, value in changes.items()}}
    return [
        "transfer",
        *(word for name, value in changed.items() if value is not None for word in (name, value) if word),
    ]


def typed(arguments: dict[str, str], capsys, **changes: str | None) -> str:
    main(words(arguments, **changes))
    return capsys.readouterr().out


def refused(arguments: dict[str, str], capsys, **changes: str | None) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit, match="1"):
        main(words(arguments, **changes))
    written = capsys.readouterr().err
    assert written.startswith("error: ")
    assert not Path(arguments["--out"]).exists()
    return written


def of_study(sources, targets, tmp_path, **more: str) -> dict[str, str]:
    named = {"--source-run": str(sources), "--target-init": str(targets), "--pair": "1", "--steps": "4"}
    return {**named, "--out": str(tmp_path / "moved.safetensors"), "--batch-size": "8", **more}


def test_a_pair_of_a_study_is_transferred_as_the_function_does_it(sources, targets, images, tmp_path, capsys):
    typed(of_study(sources, targets, tmp_path, **{"--select": "last"}), capsys)
    data, kind = load_images(images), (NetTraining.model_validate(RUN).net, (1, 6, 6), 3)
    source, target = (
        open_trajectory(sources / "trajectory", 101),
        open_trajectory(targets / "trajectory", 102),
    )
    net = build_net(*kind, affine=True)
    net.load_state_dict(target.point(0))
    batches = MemoryBatches(
        *(data.train.images, data.train.labels, Normaliser(16.0, data.mean, data.std, torch.zeros(()))),
        seeds=[rng.stream_key(102, "matching")],
        batch_size=8,
        augmentation="none",
    )
    own = [(x[0], y[0]) for epoch in (0, 1) for x, y in batches.epoch(epoch)]
    found = transfer(
        [source.point(0), source.point(3)], net, own, Options(steps=4, seed=102), spec=spec_of(*kind)
    )
    written, notes = load_tensors(tmp_path / "moved.safetensors")
    assert all(torch.equal(written[name], tensor) for name, tensor in found.parameters.items())
    assert written.keys() == found.parameters.keys()
    assert notes["made_by"] == "carryover transfer"
    assert notes["step"] == "4"
    assert notes["source"] == f"{sources}, seed 101"
    assert notes["target"] == f"{targets}, seed 102"
    assert notes["target_digest"] == digest_of(target.point(0))
    assert notes["source_digest"] == digest_of(source.point(3))
    assert notes["images_sha256"] == sha256_of(images)


def test_the_report_has_the_accuracies_of_source_start_naive_and_transferred(
    sources, targets, images, tmp_path, capsys
):
    file = tmp_path / "report.json"
    printed = typed(of_study(sources, targets, tmp_path), capsys, report=str(file))
    report = json.loads(file.read_text())
    assert list(report["accuracy"]) == ["source end", "target before", "naive", "transferred"]
    for block, seed, step, what in ((sources, 101, 9, "source end"), (targets, 102, 0, "target before")):
        rows = load_table(block / "metrics.csv").query(
            f"pair == {seed // 100} and step == {step} and metric == 'accuracy'"
        )
        recorded = rows[rows["split"].isin(["val", "test"])].set_index("split")["value"].to_dict()
        assert report["accuracy"][what] == recorded
    data = load_images(images)
    net = build_net(NetTraining.model_validate(RUN).net, (1, 6, 6), 3, affine=True)
    net.load_state_dict(load_file(tmp_path / "moved.safetensors"))
    normaliser = Normaliser(16.0, data.mean, data.std, torch.zeros(()))
    ((x, y),) = evaluation_batches(data.test.images, data.test.labels, normaliser)
    accuracy = (net(x).argmax(1) == y).double().mean().item()
    assert report["accuracy"]["transferred"]["test"] == accuracy
    for what, own in report["accuracy"].items():
        assert f"{what:13}  {own['val']:.4f}  {own['test']:.4f}" in printed
    assert len(report["steps"]) == 4
    assert sorted(report["permutation"]["fc1"]) == list(range(8))
    assert printed.splitlines()[-1].startswith(f"{tmp_path / 'moved.safetensors'}: ")


def test_the_step_is_chosen_on_validation_images_if_there_are_any(sources, targets, images, tmp_path, capsys):
    file = tmp_path / "report.json"
    printed = typed(of_study(sources, targets, tmp_path), capsys, report=str(file))
    report = json.loads(file.read_text())
    scores = [step["score"] for step in report["steps"]]
    assert report["chosen"] == 1 + scores.index(max(scores))
    assert report["accuracy"]["transferred"]["val"] == max(scores)
    assert f"step {report['chosen']}, best of all steps on validation images" in printed
    without = write_images(tmp_path / "no-val.safetensors", num_val=0)
    arguments = of_study(sources, targets, tmp_path, **{"--images": str(without)})
    assert "step 4, the last" in typed(arguments, capsys)
    (tmp_path / "moved.safetensors").unlink()
    assert "--select val: the images have no validation split" in refused(arguments, capsys, select="val")


def test_recorded_points_are_followed_if_asked_for(sources, targets, tmp_path, capsys):
    arguments = of_study(sources, targets, tmp_path)
    assert "3 steps, 6 gradient evaluations" in typed(arguments, capsys, steps=None, actual="")


def test_nets_are_chosen_by_pair_or_by_seed(sources, targets, tmp_path, capsys):
    arguments = of_study(sources, targets, tmp_path)
    for changes, source, target in (
        ({"pair": "2"}, 201, 202),
        ({"pair": None, "seed": "201"}, 201, 202),
        ({"pair": None, "seed": "201", "target_seed": "102"}, 201, 102),
    ):
        typed(arguments, capsys, **changes)
        notes = load_tensors(tmp_path / "moved.safetensors")[1]
        assert (notes["source"], notes["target"]) == (
            f"{sources}, seed {source}",
            f"{targets}, seed {target}",
        )
    (tmp_path / "moved.safetensors").unlink()
    assert re.search(
        r"has the seeds 101 \(pair 1\), 201 \(pair 2\): choose one with --seed or --pair",
        refused(arguments, capsys, pair=None),
    )
    assert "choose one with --target-seed or --pair" in refused(arguments, capsys, target_seed="101")


def test_batch_norm_nets_of_a_study_are_transferred_with_rebuilt_statistics(images, tmp_path, capsys):
    block = train(tmp_path, images, "source1", net=BN, epochs=1)
    arguments = {
        "--source-run": str(block),
        "--target-init": str(block),
        "--out": str(tmp_path / "moved.safetensors"),
    }
    typed(arguments, capsys, method="naive", steps="1", batch_size="24", select="last")
    written = load_tensors(tmp_path / "moved.safetensors")[0]
    net = build_net(NetTraining.model_validate({**RUN, "net": BN}).net, (1, 6, 6), 3, affine=True)
    net.load_state_dict(written)
    assert {int(own) for name, own in written.items() if name.endswith("num_batches_tracked")} == {20}


def test_a_net_of_ones_own_is_transferred_from_files(own, capsys):
    printed = typed(own, capsys)
    assert "2 steps, 4 gradient evaluations" in printed
    assert "accuracy" not in printed  # no split to measure on
    moved, notes = load_tensors(Path("moved.safetensors"))
    net = build("shapes:make")
    net.load_state_dict(load_file("moved.safetensors"))
    assert int(moved["1.num_batches_tracked"]) == 20
    assert notes["source"] == "start.safetensors to end.safetensors"
    assert str(Path.cwd()) not in sys.path


def test_splits_beside_ones_own_images_are_measured(own, capsys):
    tensors = load_file("images.safetensors")
    more = {f"{split}.{n}": own[:9].clone() for split in ("val", "test") for n, own in tensors.items()}
    save_file({**tensors, **more}, "images.safetensors")
    printed = typed(own, capsys)
    assert re.search(r"^accuracy +val +test$", printed, re.MULTILINE)


def test_what_was_written_can_be_carried_to_and_a_changed_byte_is_seen(own, capsys):
    typed(own, capsys)
    Path("moved.safetensors").rename("first.safetensors")
    typed(own, capsys, target_init="first.safetensors")
    Path("moved.safetensors").unlink()
    written = Path("first.safetensors").read_bytes()
    Path("first.safetensors").write_bytes(written[:-1] + bytes([written[-1] ^ 1]))
    assert "first.safetensors is damaged" in refused(own, capsys, target_init="first.safetensors")


def test_equal_arguments_give_equal_bytes(own, capsys):
    typed(own, capsys)
    first = Path("moved.safetensors").read_bytes()
    typed(own, capsys)
    assert Path("moved.safetensors").read_bytes() == first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source_end": None}, "the source is --source-run FOLDER, or a net of your own"),
        ({"images": None}, "the source is --source-run FOLDER, or a net of your own"),
        ({"steps": None, "actual": ""}, "two files are a line"),
        ({"steps": "0"}, "--steps must be at least 1: got 0"),
        ({"batch_size": "-1"}, "--batch-size must be at least 1"),
        ({"source_start": "start.pt"}, "read from .safetensors files only, since nothing is ever unpickled"),
        ({"source_start": "gone.safetensors"}, "gone.safetensors is missing"),
        ({"source_start": "shapes.safetensors"}, "shapes.safetensors is no safetensors file, or damaged"),
        ({"source_end": "start.safetensors"}, "the first and the last point of the source are equal"),
        ({"target_init": "images.safetensors"}, "images.safetensors does not fit the net, a Sequential"),
        ({"target_init": "bare.safetensors"}, "lacks '1.running_mean', '1.running_var'"),
        (
            {"images": "target.safetensors"},
            "target.safetensors is no data set: it needs the tensors 'images'",
        ),
        (
            {"images": "raw.safetensors"},
            "'images' are what the net takes, normalised numbers: got torch.uint8",
        ),
        ({"images": "short.safetensors"}, "'labels' must have one whole number for each"),
        ({"net": "shapes"}, "write PACKAGE.MODULE:FUNCTION"),
        ({"net": "shape:make"}, "No module named 'shape'"),
        ({"net": "shapes:mke"}, "must have a function 'mke' that returns a torch.nn.Module"),
        ({"net": "shapes:nothing"}, "must have a function 'nothing' that returns a torch.nn.Module"),
        ({"source_run": "."}, "--source-run knows its net: leave out --net"),
    ],
)
def test_what_does_not_go_together_is_one_error_with_its_remedy(own, capsys, changes, message):
    tensors, target = load_file("images.safetensors"), load_file("target.safetensors")
    save_file({**tensors, "images": tensors["images"].to(torch.uint8)}, "raw.safetensors")
    save_file({**tensors, "labels": tensors["labels"][:4]}, "short.safetensors")
    save_file({n: t for n, t in target.items() if "running" not in n}, "bare.safetensors")
    Path("shapes.safetensors").write_text("no tensors")
    assert message in refused(own, capsys, **changes)


def test_the_file_to_write_is_a_safetensors_file(own, capsys):
    with pytest.raises(SystemExit, match="1"):
        main(words(own, out="moved.pt"))
    assert "--out: the file to write must end in .safetensors: got moved.pt" in capsys.readouterr().err
    assert not Path("moved.pt").exists()


def test_runs_that_are_missing_changed_or_of_something_else_are_named(
    sources, targets, images, tmp_path, capsys
):
    arguments = of_study(sources, targets, tmp_path)
    assert re.search(
        r"nowhere/manifest.json is missing.*snakemake",
        refused(arguments, capsys, source_run=str(tmp_path / "nowhere")),
    )
    changed = train(tmp_path / "changed", images, "source1")
    point = changed / "trajectory" / "point-00003.safetensors"
    point.write_bytes(point.read_bytes()[:-1] + b"?")
    assert "point-00003.safetensors was changed after" in refused(arguments, capsys, source_run=str(changed))
    moved = write_images(tmp_path / "moved-data.safetensors")
    lost = train(tmp_path / "lost", moved, "source1")
    write_images(moved, num_val=6)
    assert "is not the file that" in refused(arguments, capsys, source_run=str(lost))
    moved.unlink()
    assert "say where it is with --images" in refused(arguments, capsys, source_run=str(lost))
    other = train(tmp_path / "other", images, "target1", net={**MLP, "hidden": [6]})
    assert re.search(
        r"seed 102 does not fit the net.*\n.*'fc1.weight' has the shape",
        refused(arguments, capsys, target_init=str(other)),
    )


def test_the_arguments_are_those_of_the_methods():
    assert "oracle" not in carry.METHODS
    assert {"naive", "gmt", "fgmt"} <= {*carry.METHODS}
    assert carry.GRIDS == ("uniform", "cosine")
