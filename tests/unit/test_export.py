import re
from math import ceil, log2
from pathlib import Path

import pytest
import torch

from carryover.core.config import canonical
from carryover.data.batches import Normaliser
from carryover.data.images import Images, Split, load_images, save_images
from carryover.export import StoredNet, export, load_net, read_block
from carryover.io.checkpoint import load_tensors, save_tensors
from carryover.io.manifest import write_manifest
from carryover.io.tables import load_table
from carryover.iterand.settings import METHODS
from carryover.stages import iterand_dense, iterand_popup, iterand_search

MLP = {"kind": "mlp", "hidden": [40]}
CONV = {"kind": "conv", "depth": 2, "width": 1 / 32}
BN = {"kind": "resnet", "depth": 18, "width": 1 / 64, "stem": "cifar"}
STAGES = {"dense": iterand_dense, "popup": iterand_popup, "iterand": iterand_search}
SCORES = {"score_lr": 3.0, "sparsity": 0.6}
ITERAND = {**SCORES, "randomize_every": 2, "randomize_prob": 0.5}
RUNS = {
    "ku": ("iterand", {**ITERAND, "net": MLP}),
    "sc": ("iterand", {**ITERAND, "net": CONV, "weights": "sc"}),
    "bn": ("iterand", {**ITERAND, "net": BN, "scope": "global", "rank": "absolute"}),
    "popup": ("popup", {**SCORES, "net": {**MLP, "bias": True}}),
    "dense": ("dense", {"lr": 0.1, "net": BN}),
}
TICKETS = [name for name in RUNS if name != "dense"]


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    draw = torch.Generator().manual_seed(0)

    def split(size: int) -> Split:
        pixels = torch.randint(0, 17, (size, 1, 6, 6), generator=draw, dtype=torch.uint8)
        return Split(pixels, torch.arange(size) % 3, torch.arange(size))

    path = tmp_path_factory.mktemp("data") / "small.safetensors"
    save_images(
        path,
        Images(
            dataset="small",
            splits={"train": split(24), "val": split(0), "test": split(20)},
            classes=("a", "b", "c"),
            max_value=16,
            mean=(0.3,),
            std=(0.5,),
            spec="{}",
            origin="Random pixels.",
        ),
    )
    return path


@pytest.fixture(scope="module")
def blocks(images, tmp_path_factory) -> dict[str, Path]:
    """A trained block of seeds 0 and 1 of each run."""
    found = {}
    for name, (method, own) in RUNS.items():
        usual = {"dataset": "small", "epochs": 3, "batch_size": 8, "curve": "test", "method": method}
        folder = tmp_path_factory.mktemp("results") / f"small-{name}" / "s0-1"
        STAGES[method].main(
            [
                *("--spec", canonical(METHODS[method].model_validate({**usual, **own})), "--seeds", "s0-1"),
                *("--images", str(images), "--metrics", str(folder / "metrics.csv")),
                *("--nets", str(folder / "nets.safetensors"), "--manifest", str(folder / "manifest.json")),
            ]
        )
        found[name] = folder
    return found


@pytest.mark.parametrize("name", TICKETS)
def test_both_forms_load_to_the_same_plain_net_bit_for_bit(blocks, tmp_path, name):
    nets = []
    for form in ("dense", "compact"):
        export(blocks[name], 1, form, tmp_path / f"{form}.safetensors")
        nets.append(load_net(tmp_path / f"{form}.safetensors"))
    dense, compact = nets
    assert not dense.training
    assert dense.state_dict().keys() == compact.state_dict().keys()
    for key, tensor in dense.state_dict().items():
        assert torch.equal(tensor, compact.state_dict()[key])
    x = torch.randn(5, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    assert torch.equal(dense(x), compact(x))
    assert torch.allclose(dense(x[:1]), dense(x)[:1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("seed", [0, 1])
def test_an_exported_net_has_the_accuracy_that_its_training_recorded(blocks, images, tmp_path, name, seed):
    export(blocks[name], seed, "dense", tmp_path / "net.safetensors")
    net, data = load_net(tmp_path / "net.safetensors"), load_images(images)
    normaliser = Normaliser(float(data.max_value), data.mean, data.std, torch.zeros(()))
    logits = net(normaliser.normalise(normaliser.unit(data.test.images)))
    metrics = load_table(blocks[name] / "metrics.csv").query(
        f"seed == {seed} and split == 'test' and step == 9"
    )
    found = metrics.set_index("metric")["value"]
    assert (logits.argmax(1) == data.test.labels).double().mean().item() == found["accuracy"]
    loss = torch.nn.functional.cross_entropy(logits, data.test.labels).item()
    assert loss == pytest.approx(found["loss"], rel=1e-5)


def test_a_weight_trained_net_is_exported_with_its_batch_norm(blocks, tmp_path):
    report = export(blocks["dense"], 0, "dense", tmp_path / "net.safetensors")
    stored = load_tensors(blocks["dense"] / "nets.safetensors")[0]
    state = load_net(tmp_path / "net.safetensors").state_dict()
    assert all(torch.equal(tensor, stored[f"0/{name}"]) for name, tensor in state.items())
    assert "all kept" in report


def test_the_dense_form_is_a_plain_state_dict(blocks, tmp_path):
    export(blocks["ku"], 0, "dense", tmp_path / "net.safetensors")
    tensors, notes = load_tensors(tmp_path / "net.safetensors")
    assert {name: tuple(t.shape) for name, t in tensors.items()} == {
        "fc1.weight": (40, 36),
        "fc2.weight": (3, 40),
    }
    assert (tensors["fc1.weight"] == 0).sum() == 864  # 0.6 of 1440
    assert notes["form"] == "dense"


def test_the_compact_form_is_smaller_and_holds_no_weight(blocks, tmp_path):
    export(blocks["ku"], 0, "compact", tmp_path / "net.safetensors")
    tensors, _ = load_tensors(tmp_path / "net.safetensors")
    assert not any(tensor.is_floating_point() for tensor in tensors.values())
    assert set(tensors) == {
        "mask/fc1.weight",
        "mask/fc2.weight",
        "event/fc1.weight",
        "event/fc2.weight",
        "check",
    }
    assert sum(t.numel() * t.element_size() for t in tensors.values()) < 4 * 1560 / 4


def test_the_report_counts_what_can_be_counted(blocks, tmp_path):
    path = tmp_path / "net.safetensors"
    report = export(blocks["ku"], 0, "compact", path)
    rows = [re.fullmatch(r"(.*?) +([\d,]+) bytes +[\d.]+%", line) for line in report.splitlines()]
    sizes = {row[1]: int(row[2].replace(",", "")) for row in rows if row}
    kept = 1440 - 864 + 120 - 72
    entropy = -(0.4 * log2(0.4) + 0.6 * log2(0.6))
    assert sizes == {
        "dense weights, fp32": 4 * 1560,
        "mask, entropy bound": round(1560 * entropy / 8),
        "mask, one bit per weight": 195,
        "last of 4 redraws of each kept weight, 3 bits": kept * ceil(log2(5)) // 8,
        "last redraws, as stored in whole bytes": kept,
        "one seed and the masks of 4 redraws and the end": 8 + 5 * 195,
        "compact form: one seed, one mask, last redraws": 8 + 195 + kept + 32,  # and a digest
        "net.safetensors, as written": path.stat().st_size,
    }
    assert "1,560 weights, 624 kept, seed 0" in report
    assert "not the net faster" in report


def test_edge_popup_has_no_redraws_to_report(blocks, tmp_path):
    report = export(blocks["popup"], 0, "compact", tmp_path / "net.safetensors")
    assert "last redraws, as stored" not in report


def test_a_block_that_is_missing_unfinished_or_of_something_else_is_named(blocks, tmp_path):
    with pytest.raises(ValueError, match=r"nowhere/manifest\.json is missing.*snakemake"):
        export(tmp_path / "nowhere", 0, "dense", tmp_path / "net.safetensors")
    (tmp_path / "a.csv").write_text("a\n")
    write_manifest(
        tmp_path / "manifest.json",
        stage="iterand_theory",
        spec=None,
        code=None,
        seeds=None,
        inputs=[],
        outputs=[tmp_path / "a.csv"],
        record={},
    )
    with pytest.raises(ValueError, match="holds no nets"):
        export(tmp_path, 0, "dense", tmp_path / "net.safetensors")


def test_a_seed_that_is_not_there_is_answered_with_those_that_are(blocks, tmp_path):
    with pytest.raises(ValueError, match=r"--seed 7: .* has the seeds 0, 1"):
        export(blocks["ku"], 7, "dense", tmp_path / "net.safetensors")


def test_weight_training_has_no_compact_form(blocks, tmp_path):
    with pytest.raises(ValueError, match=r"is weight training.*use --to dense"):
        export(blocks["dense"], 0, "compact", tmp_path / "net.safetensors")


def test_the_file_to_write_is_a_safetensors_file(blocks, tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.safetensors"):
        export(blocks["ku"], 0, "dense", tmp_path / "net.pt")
    assert not list(tmp_path.iterdir())


def test_a_seed_that_diverged_is_not_exported(images, tmp_path):
    run = METHODS["dense"].model_validate(
        {"dataset": "small", "net": MLP, "epochs": 2, "method": "dense", "lr": 1e9, "curve": "none"}
    )
    folder = tmp_path / "small-dense" / "s0"
    files = [f"--{name}={folder / file}" for name, file in OUTPUTS.items()]
    iterand_dense.main(["--spec", canonical(run), "--seeds", "s0", "--images", str(images), *files])
    with pytest.raises(ValueError, match="--seed 0: this net diverged"):
        export(folder, 0, "dense", tmp_path / "net.safetensors")


OUTPUTS = {"metrics": "metrics.csv", "nets": "nets.safetensors", "manifest": "manifest.json"}


def test_a_changed_block_is_refused(blocks, tmp_path):
    folder = tmp_path / "s0-1"
    folder.mkdir()
    for file in OUTPUTS.values():
        (folder / file).write_bytes((blocks["ku"] / file).read_bytes())
    text = (folder / "metrics.csv").read_text()
    (folder / "metrics.csv").write_text(text.replace("accuracy", "occuracy"))
    with pytest.raises(ValueError, match=r"metrics\.csv was changed after"):
        export(folder, 0, "dense", tmp_path / "net.safetensors")


def test_a_file_that_export_did_not_write_is_refused(blocks):
    with pytest.raises(ValueError, match=r"nets\.safetensors is no exported net.*carryover export"):
        load_net(blocks["ku"] / "nets.safetensors")


def test_a_compact_net_of_another_seed_is_refused(blocks, tmp_path):
    stored, notes = read_block(blocks["ku"], 0)
    assert isinstance(stored, StoredNet)
    path = tmp_path / "net.safetensors"
    kept = {key: notes[key] for key in ("spec", "shape", "classes")}
    save_tensors(path, stored.tensors, {**kept, "form": "compact", "seed": "1"})
    with pytest.raises(
        ValueError, match=r"net\.safetensors does not describe .*drawn from seed 1 are not those"
    ):
        load_net(path)


def test_a_dense_net_of_other_shapes_is_refused(blocks, tmp_path):
    _, notes = read_block(blocks["ku"], 0)
    path = tmp_path / "net.safetensors"
    kept = {key: notes[key] for key in ("spec", "shape", "classes")}
    save_tensors(path, {"fc1.weight": torch.zeros(3, 3)}, {**kept, "form": "dense", "seed": "0"})
    with pytest.raises(ValueError, match=r"the tensors are not those of the net.*export it again"):
        load_net(path)
