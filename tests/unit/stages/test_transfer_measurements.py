"""Stages that measure pairs of nets: cosines, synced training, landscapes, ensembles, the table of a study."""

import pytest
import torch
from transfer_stages import MLP, TRAINING, Laboratory, metrics, nets, results, values

from carryover.core.config import canonical
from carryover.io.manifest import read_manifest
from carryover.io.tables import load_table
from carryover.stages import transfer_table, transfer_theory
from carryover.transfer.pairs import seed_of
from carryover.transfer.theory_settings import TransferTheorySettings

METHODS = ("naive", "oracle", "gmt")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Two pairs: trained, transferred, and trained on."""
    made = Laboratory(tmp_path_factory.mktemp("laboratory"))
    made.train()
    made.transfer(methods=METHODS)
    made.continued(methods=METHODS)
    return made


def recipe(**changes):
    return {**TRAINING, "net": MLP, **changes}


def vector(tensors):
    return torch.cat([tensors[name].flatten().double() for name in sorted(tensors)])


def side_by_side(folder, pair, **changes):
    """Train source and target on the batches of the source, and give their points."""
    lab = Laboratory(folder)
    lab.train(str(pair), order_seed=seed_of("source", pair), **changes)
    return [lab.recorded(role, pair, pairs=str(pair)) for role in ("source", "target")]


# cosines


@pytest.mark.parametrize("mode", ["whole", "prefix"])
def test_cosines_are_those_of_increments_of_two_trainings_on_the_same_batches(lab, tmp_path, mode):
    spec = {"training": "base", "steps": 11, "every": 3, "mode": mode, "recipe": recipe()}
    block = lab.run("cosines", mode, "pairs1-2", spec)
    assert set(metrics(block)["method"]) == {"permuted", "identity"}
    for pair in (1, 2):
        ours = values(block, "identity", "cosine", "none", pair)
        points = side_by_side(tmp_path / str(pair), pair, record="steps", record_every=3)
        expected = {}
        for number in (1, 2, 3):  # the last two steps fill no increment
            moves = [vector(own.point(number)) - vector(own.point(number - 1)) for own in points]
            expected[3 * number] = torch.cosine_similarity(*moves, dim=0).item()
        assert ours == pytest.approx(expected, abs=1e-5)
        permuted = values(block, "permuted", "cosine", "none", pair)
        assert list(permuted) == [3, 6, 9]
        assert sum(permuted.values()) > sum(ours.values())
        assert all(-1 <= value <= 1 for value in permuted.values())


def test_cosines_may_begin_at_the_ends_of_a_training(lab, tmp_path):
    changed = recipe(start="base", lr=0.01)
    spec = {"training": "tuned", "steps": 4, "every": 4, "recipe": changed}
    block = lab.run("cosines", "tuned", "pairs1", spec, *lab.ends())
    fresh = lab.run("cosines", "fresh", "pairs1", spec)
    assert values(block, "identity", "cosine", "none") != values(fresh, "identity", "cosine", "none")
    assert list(read_manifest(block / "manifest.json").inputs) == [
        str(lab.images), *lab.manifests("trainings", "base", "source1-2", "target1-2")
    ]  # fmt: skip


# synced


@pytest.mark.parametrize("method", ["fgmt", "gmt", "random"])
def test_source_and_target_train_side_by_side_and_a_composed_net_follows(lab, tmp_path, method):
    spec = {
        "training": "base",
        "method": method,
        "epochs": 3,
        "matchings_per_epoch": 2,
        "recipe": recipe(lr=0.05),
    }
    block = lab.run("synced", method, "pairs1", {**spec, "max_matchings": 3})
    side_by_side(tmp_path, 1, epochs=3, lr=0.05)
    for role in ("source", "target"):
        trained = tmp_path / "trainings" / "base" / f"{role}1"
        for split in ("val", "test"):
            ours = values(block, role, "loss", split)
            theirs = values(trained, role, "loss", split)
            assert list(ours) == [1, 2, 3]
            assert ours[3] == pytest.approx(theirs[12], rel=1e-4)
    assert list(values(block, method)) == [1, 2, 3]
    # four steps an epoch, a matching before each third one, three at most
    expected = {1: 0.0, 2: 0.0, 3: 0.0} if method == "random" else {1: 2.0, 2: 3.0, 3: 3.0}
    assert values(block, method, "num_matchings", "none") == expected


# landscapes


def landscape(lab, run="main", split="val", **changes):
    spec = {
        "transfer": "main",
        "methods": METHODS,
        "num_points": 5,
        "continuation": "main",
        "continued": "gmt",
    }
    continued = lab.manifests("continuations", "main", "pairs1-2")
    parts = ("--transfer", *lab.manifests("transfers", "main", "pairs1-2"), "--continuation", *continued)
    return lab.run("landscapes", run, "pairs1", {**spec, **changes}, *lab.ends(), *parts)


@pytest.fixture(scope="module")
def block(lab):
    return landscape(lab)


def test_lines_lead_from_a_methods_end_to_the_source_and_to_the_trained_target(lab, block):
    transfer = lab.block("transfers", "main", "pairs1-2")
    target = lab.block("trainings", "base", "target1-2")
    for metric, rel in (("loss", 1e-5), ("accuracy", 1e-12)):
        source = values(transfer, "source", metric)[3]
        trained = values(target, "target", metric)[16]
        for method in METHODS:
            first = values(transfer, method, metric)[3]
            to_source, to_target = (values(block, method, f"{end}_{metric}") for end in ("source", "target"))
            assert list(to_source) == list(to_target) == [0, 25, 50, 75, 100]
            assert to_source[0] == to_target[0] == pytest.approx(first, rel=rel)
            assert to_source[100] == pytest.approx(source, rel=rel)  # a permuted net is the same function
            assert to_target[100] == pytest.approx(trained, rel=rel)
            between = values(block, method, f"between_{metric}")
            assert (between[0], between[100]) == (to_source[100], to_target[100])


def test_a_barrier_is_the_height_of_the_loss_above_the_chord(block):
    heights = []
    for method in METHODS:
        for name in ("source", "target", "between"):
            losses = list(values(block, method, f"{name}_loss").values())
            chord = [losses[0] + (losses[-1] - losses[0]) * n / 4 for n in range(5)]
            expected = max(0.0, *(loss - below for loss, below in zip(losses, chord, strict=True)))
            ((_, height),) = values(block, method, f"barrier_{name}", "none").items()
            assert height == pytest.approx(expected, abs=1e-9)
            heights.append(height)
    assert max(heights) > 0.01


def test_a_line_from_a_net_to_itself_is_flat_and_has_no_barrier(tmp_path):
    """The source is its own target: all that naive joins is one net."""
    lab = Laboratory(tmp_path)
    lab.train("1", lr=0.1)
    ends = [
        *("--source", *lab.manifests("trainings", "base", "source1")),
        *("--target", *lab.manifests("trainings", "base", "target1")),
    ]
    twin(lab)
    lab.run("transfers", "main", "pairs1", {"training": "base", "steps": 1, "methods": ["naive"]}, *ends)
    spec = {"transfer": "main", "methods": ["naive"], "num_points": 3, "map": False}
    block = lab.run(
        "landscapes",
        "main",
        "pairs1",
        spec,
        *ends,
        "--transfer",
        *lab.manifests("transfers", "main", "pairs1"),
    )
    for name in ("source", "target", "between"):
        losses = values(block, "naive", f"{name}_loss")
        assert losses[50] == pytest.approx(losses[0], rel=1e-5)
        assert values(block, "naive", f"barrier_{name}", "none")[0] == pytest.approx(0, abs=1e-6)


def twin(lab):
    """Give the target the trajectory of the source."""
    from carryover.io.checkpoint import load_tensors, save_tensors
    from carryover.io.manifest import write_manifest

    source, target = (lab.block("trainings", "base", f"{role}1") for role in ("source", "target"))
    for path in (source / "trajectory").iterdir():
        tensors, notes = load_tensors(path)
        renamed = {name.replace("101/", "102/"): own for name, own in tensors.items()}
        kept = {key: value for key, value in notes.items() if key not in ("format", "digest")}
        save_tensors(target / "trajectory" / path.name, renamed, kept)
    known = read_manifest(target / "manifest.json", only=[])
    write_manifest(
        target / "manifest.json",
        stage=known.stage,
        spec=known.spec,
        code=known.code,
        seeds=known.seeds,
        inputs=[],
        outputs=[target / name for name in known.outputs],
        record=known.record,
    )


def test_the_nets_that_span_a_plane_are_measured_where_they_lie(lab, block):
    transfer, continued = (
        lab.block("transfers", "main", "pairs1-2"),
        lab.block("continuations", "main", "pairs1-2"),
    )
    trained = lab.block("trainings", "base", "target1-2")
    expected = {
        "marker-target": values(trained, "target")[16],
        "marker-transferred": values(continued, "gmt")[8],
        "marker-source": values(transfer, "source")[3],
        "map-target": values(trained, "target")[16],
        "map-oracle": values(transfer, "oracle")[3],
        "map-gmt": values(transfer, "gmt")[3],
    }
    for marker, accuracy in expected.items():
        assert values(block, marker, "accuracy") == {0: accuracy}
    for kind, first, second in (("marker", "transferred", "source"), ("map", "oracle", "gmt")):
        assert values(block, f"{kind}-target", "u")[0] == values(block, f"{kind}-target", "v")[0] == 0
        assert values(block, f"{kind}-{first}", "v")[0] == pytest.approx(0, abs=1e-4)
        assert values(block, f"{kind}-{second}", "v")[0] > 0
    end = lab.recorded("target", 1)
    along = vector(nets(continued, "1/gmt/")) - vector(end.point(end.num_steps))
    assert values(block, "marker-transferred", "u")[0] == pytest.approx(along.norm().item(), rel=1e-5)


@pytest.mark.parametrize("kind", ["plane", "map"])
def test_a_plane_is_a_grid_of_cells_around_its_nets(lab, block, kind):
    cells = {metric: values(block, kind, metric) for metric in ("u", "v", "accuracy", "loss")}
    assert list(cells["u"]) == list(range(len(cells["u"])))
    assert cells["u"].keys() == cells["v"].keys() == cells["accuracy"].keys() == cells["loss"].keys()
    (origin,) = (n for n in cells["u"] if abs(cells["u"][n]) < 1e-9 and abs(cells["v"][n]) < 1e-9)
    trained = values(lab.block("trainings", "base", "target1-2"), "target", "loss")[16]
    assert cells["loss"][origin] == pytest.approx(trained, rel=1e-5)


def test_a_landscape_without_continuation_and_map_has_lines_alone(lab):
    lines = landscape(lab, "lines", continuation=None, map=False)
    assert set(metrics(lines)["method"]) == set(METHODS)


def test_a_landscape_is_seen_on_test_images_where_there_are_no_others(tmp_path):
    lab = Laboratory(tmp_path, num_val=0)
    lab.train()
    lab.transfer(methods=METHODS)
    lab.continued(methods=METHODS)
    found = metrics(landscape(lab, continuation=None, spacing=4.0))
    assert set(found["split"]) == {"test", "none"}


def test_the_same_landscape_twice_has_the_same_bytes(lab):
    first = results(landscape(lab, "twice", spacing=4.0))
    assert results(landscape(lab, "twice", spacing=4.0)) == first


# ensembles


def ensemble(lab, *blocks):
    spec = {"continuation": "main", "methods": METHODS}
    parts = ("--continuation", *lab.manifests("continuations", "main", *blocks))
    target = ("--target", *lab.manifests("trainings", "base", "target1-2"))
    return lab.run("ensembles", "main", "all", spec, *parts, *target)


def test_an_ensemble_of_one_is_that_net(lab):
    continued = lab.continued("pairs1", methods=METHODS)
    block = ensemble(lab, "pairs1")
    ends = dict.fromkeys(METHODS, (continued, 8, 2))
    ends["standard"] = (lab.block("trainings", "base", "target1-2"), 16, 4)
    assert set(metrics(block)["method"]) == set(ends)
    for method, (before, step, epochs) in ends.items():
        name = "target" if method == "standard" else method
        accuracy = values(before, name, split="test")[step]
        assert value(block, method, "accuracy") == value(block, method, "member_accuracy") == accuracy
        loss = values(before, name, "loss", "test")[step]
        assert value(block, method, "nll") == pytest.approx(loss, rel=1e-5)
        assert value(block, method, "disagreement") == 0
        assert value(block, method, "num_members", "none") == 1
        assert value(block, method, "epochs", "none") == epochs


def value(block, method, metric, split="test"):
    """Ensembles have no pair and one row of each metric."""
    ((_, found),) = values(block, method, metric, split, pair=0).items()
    return found


def test_the_members_of_an_ensemble_are_the_nets_of_all_pairs(lab):
    block = ensemble(lab, "pairs1-2")
    continued = lab.block("continuations", "main", "pairs1-2")
    for method in METHODS:
        members = [values(continued, method, split="test", pair=pair)[8] for pair in (1, 2)]
        assert value(block, method, "member_accuracy") == pytest.approx(sum(members) / 2)
        losses = [values(continued, method, "loss", "test", pair)[8] for pair in (1, 2)]
        assert value(block, method, "nll") <= sum(losses) / 2 + 1e-9
        assert value(block, method, "num_members", "none") == 2
    assert value(block, "standard", "disagreement") > 0


def test_a_changed_last_point_of_a_target_is_no_member(lab):
    path = lab.block("trainings", "base", "target1-2") / "trajectory" / "point-00004.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"point-00004\.safetensors was changed"):
        ensemble(lab, "pairs1-2")
    path.write_bytes(content)


# tables


def test_the_table_of_a_study_has_all_that_lasts_but_the_cells_of_planes(lab, block, tmp_path):
    manifests = [
        *lab.manifests("landscapes", "main", "pairs1"),
        *lab.manifests("transfers", "main", "pairs1-2"),
        *lab.manifests("trainings", "base", "source1-2"),
    ]
    transfer_table.main(["--results", *manifests, "--table", str(tmp_path / "table.csv")])
    table = load_table(tmp_path / "table.csv")
    assert list(table.columns) == ["kind", "run", "pair", "method", "split", "metric", "step", "value"]
    assert set(table["kind"]) == {"landscape", "transfer", "training"}
    assert "seconds" not in set(table["metric"])
    assert not {"plane", "map"} & set(table["method"])
    key = list(table.columns)[:-1]
    assert not table.duplicated(key).any()
    assert table.equals(table.sort_values(key, kind="stable").reset_index(drop=True))
    num_cells = metrics(block)["method"].isin(["plane", "map"]).sum()
    others = len(metrics(lab.block("transfers", "main", "pairs1-2")))
    others += len(metrics(lab.block("trainings", "base", "source1-2")))
    assert len(table) == len(metrics(block)) - num_cells + others


def test_the_theorem_is_simulated_into_a_table_that_its_manifest_vouches_for(tmp_path):
    spec = canonical(TransferTheorySettings(seeds=2, samples=100, inputs=(2,), widths=(4, 8)))
    table, manifest = tmp_path / "theory.csv", tmp_path / "manifest.json"
    found = []
    for _ in range(2):
        transfer_theory.main(["--spec", spec, "--table", str(table), "--manifest", str(manifest)])
        found.append(table.read_bytes())
    assert found[0] == found[1]
    assert set(read_manifest(manifest).outputs) == {"theory.csv"}
