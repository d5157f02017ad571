import pytest
import torch
from transfer_stages import BN, Laboratory, attempts, metrics, nets, results, values

from carryover.io.manifest import read_manifest
from carryover.io.workdir import WorkDir
from carryover.stages import train_net, train_transferred

METHODS = ("naive", "gmt", "fgmt")
EPOCH_STEPS = 4


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A transfer of two pairs."""
    made = Laboratory(tmp_path_factory.mktemp("laboratory"))
    made.train()
    made.transfer(methods=METHODS)
    return made


@pytest.fixture(scope="module")
def block(lab):
    """Two epochs from each method's selected net, for both pairs."""
    return lab.continued()


def test_a_continuation_leaves_a_curve_for_each_method_and_pair_and_their_last_nets(lab, block):
    manifest = read_manifest(block / "manifest.json")
    assert (manifest.stage, manifest.record["kind"]) == ("train_transferred", "continuation")
    assert set(manifest.outputs) == {"metrics.csv", "nets.safetensors"}
    assert list(manifest.inputs) == [str(lab.images), *lab.manifests("transfers", "main", "pairs1-2")]
    table = metrics(block)
    assert list(table.columns) == ["run", "pair", "method", "split", "step", "metric", "value"]
    assert {tuple(row) for row in table[["pair", "method"]].to_numpy()} == {
        (pair, method) for pair in (1, 2) for method in METHODS
    }
    for split, steps in {"train": [4, 8], "val": [0, 4, 8], "test": [0, 4, 8]}.items():
        for metric in ("accuracy", "loss"):
            assert list(values(block, "gmt", metric, split, pair=2)) == steps
    whole = nets(block, "2/gmt/")
    assert {name: tensor.shape for name, tensor in whole.items()} == {
        name: tensor.shape for name, tensor in nets(lab.transfer(methods=METHODS), "2/gmt/last/").items()
    }


@pytest.mark.parametrize("at", ["selected", "last"])
def test_training_starts_exactly_at_the_transferred_nets(lab, at):
    block, transfer = lab.continued(run=at, at=at), lab.block("transfers", "main", "pairs1-2")
    differing = 0
    for pair in (1, 2):
        for method in METHODS:
            ((best, _),) = values(transfer, method, "best", "none", pair).items()
            step = best if at == "selected" else 3
            differing += best < 3
            for split in ("val", "test"):
                ours = values(block, method, "accuracy", split, pair)[0]
                assert ours == values(transfer, method, "accuracy", split, pair)[step]
                loss = values(transfer, method, "loss", split, pair)[step]
                assert values(block, method, "loss", split, pair)[0] == pytest.approx(loss, rel=1e-6)
    assert differing, "some method is best before its end, or the test shows nothing"


def test_with_batch_norm_training_starts_at_the_rebuilt_statistics(tmp_path):
    lab = Laboratory(tmp_path, net=BN)
    lab.train(epochs=1, record="ends")
    transfer = lab.transfer("pairs1", steps=1, methods=["naive"])
    block = lab.continued("pairs1", epochs=1, methods=["naive"])
    for split in ("val", "test"):
        expected = values(transfer, "naive", "loss", split)[1]
        assert values(block, "naive", "loss", split)[0] == pytest.approx(expected, rel=1e-5)
    counted = nets(transfer, "1/naive/last/")["stem.norm.num_batches_tracked"] + EPOCH_STEPS
    assert nets(block, "1/naive/")["stem.norm.num_batches_tracked"] == counted


def watch(monkeypatch, stage, seen, name):
    """Note the batches of two epochs that a stage trains on."""
    inner = stage.train

    def watched(nets, batches, *rest):
        seen[name] = [(images, labels) for epoch in range(2) for images, labels in batches.epoch(epoch)]
        inner(nets, batches, *rest)

    monkeypatch.setattr(stage, "train", watched)


def test_every_method_sees_the_batches_of_the_targets_own_training(lab, tmp_path, monkeypatch):
    seen = {}
    watch(monkeypatch, train_transferred, seen, "continued")
    lab.continued(run="watched", stack="always")
    watch(monkeypatch, train_net, seen, "target")
    again = Laboratory(tmp_path)
    again.train()
    for (images, labels), (own_images, own_labels) in zip(seen["continued"], seen["target"], strict=False):
        for number in range(len(METHODS) * 2):  # methods one after the other, each with both pairs
            assert torch.equal(images[number], own_images[number % 2])
            assert torch.equal(labels[number], own_labels[number % 2])
    assert not torch.equal(seen["target"][0][1][0], seen["target"][0][1][1])


def test_with_an_order_seed_every_pair_sees_the_batches_of_that_seed(lab, monkeypatch):
    seen = {}
    for name, order in (("one", 102), ("another", 7)):
        watch(monkeypatch, train_transferred, seen, name)
        lab.continued(run=name, stack="always", order_seed=order)
        monkeypatch.undo()
    watch(monkeypatch, train_transferred, seen, "own")
    lab.continued(run="own", stack="always")
    for (_, one), (_, another), (_, own) in zip(
        *(seen[name] for name in ("one", "another", "own")), strict=True
    ):
        assert all(torch.equal(labels, one[0]) for labels in one)
        assert torch.equal(one[0], own[0])  # 102 is the seed of the first pair's target
        assert not torch.equal(one[0], another[0])


@pytest.mark.parametrize("stack", ["always", "never"])
def test_methods_and_pairs_in_one_block_train_as_each_alone(lab, block, stack):
    together = lab.continued(run=stack, stack=stack)
    for pair in (1, 2):
        for method in METHODS:
            alone = lab.continued(f"pairs{pair}", "alone", methods=[method])
            for name, tensor in nets(alone, f"{pair}/{method}/").items():
                assert torch.allclose(nets(together, f"{pair}/{method}/")[name], tensor, atol=1e-6)
            for split in ("train", "val", "test"):
                ours, theirs = (values(b, method, "loss", split, pair) for b in (together, alone))
                assert ours == pytest.approx(theirs, rel=1e-4)


def test_the_same_command_twice_gives_the_same_bytes(lab, block):
    expected = results(block)
    assert results(lab.continued()) == expected


@pytest.mark.parametrize("stack", ["always", "never"])
def test_a_training_that_is_interrupted_after_every_step_leaves_the_same_bytes(lab, monkeypatch, stack):
    def train():
        return lab.continued("pairs1-2", f"stopped-{stack}", extra=("--save-every", "0"), stack=stack)

    monkeypatch.setattr(WorkDir, "why_stop", lambda self, save_takes: "no time at all")
    count = attempts(train)
    num_groups = 1 if stack == "always" else 2 * len(METHODS)
    assert count == 1 + num_groups * 2 * EPOCH_STEPS
    interrupted = results(lab.block("continuations", f"stopped-{stack}", "pairs1-2"))
    monkeypatch.undo()
    assert results(train()) == interrupted


def test_what_the_transfer_does_not_hold_is_named(lab):
    with pytest.raises(ValueError, match=r"no result holds pair 3: .*transfers/main/pairs1-2/manifest\.json"):
        lab.continued("pairs2-3")
    with pytest.raises(
        ValueError, match=r"no nets of 1/oracle/selected .*have 1/fgmt, 1/gmt, 1/naive, 2/fgmt"
    ):
        lab.continued("pairs1", methods=["oracle"])


def test_nets_that_were_changed_after_the_transfer_are_refused(lab):
    path = lab.block("transfers", "main", "pairs1-2") / "nets.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"nets\.safetensors was changed after .*: delete the folder"):
        lab.continued(run="refused")
    path.write_bytes(content)
