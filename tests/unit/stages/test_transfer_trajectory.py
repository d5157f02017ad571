import pytest
import torch
from scipy.optimize import linear_sum_assignment
from transfer_stages import BN, Laboratory, attempts, metrics, nets, record, results, values

from carryover.core.evaluate import evaluate
from carryover.data.batches import Normaliser, evaluation_batches
from carryover.io.manifest import read_manifest
from carryover.io.workdir import WorkDir
from carryover.stages import transfer_trajectory
from carryover.transfer.settings import EVERY_METHOD

SEARCHED = ("weights", "oracle", "gmt", "fgmt")
COSTS = {"num_gradients", "cache_bytes"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A training of two pairs."""
    made = Laboratory(tmp_path_factory.mktemp("laboratory"))
    made.train()
    return made


@pytest.fixture(scope="module")
def block(lab):
    """Every method, for both pairs."""
    return lab.transfer()


def measured(lab, parameters, split="val"):
    """Measure a net by hand."""
    network, images = lab.network(), lab.splits[split]
    batches = evaluation_batches(
        images.images, images.labels, Normaliser(16.0, (0.3,), (0.4,), torch.zeros(()))
    )
    found = evaluate(network.predictor(parameters), batches, 1)
    return found["accuracy"][0], found["loss"][0]


def check_measured(lab, block, method, step, parameters, split="val", pair=1):
    accuracy, loss = measured(lab, parameters, split)
    assert values(block, method, "accuracy", split, pair)[step] == accuracy
    assert values(block, method, "loss", split, pair)[step] == pytest.approx(loss, rel=1e-5)


def ends(lab, pair=1, **changes):
    """Read theta1^0, theta1^T and theta2^0."""
    source, target = lab.recorded("source", pair, **changes), lab.recorded("target", pair, **changes)
    return source.point(0), source.point(source.num_steps), target.point(0)


def added(target, end, start):
    return {name: target[name] + (end[name] - start[name]) for name in target}


def near(first, second):
    assert first.keys() == second.keys()
    return all(torch.allclose(own, second[name], atol=1e-6) for name, own in first.items())


def test_a_transfer_leaves_metrics_nets_and_a_manifest_that_vouches_for_both(lab, block):
    manifest = read_manifest(block / "manifest.json")
    assert (manifest.stage, manifest.seeds) == ("transfer_trajectory", "pairs1-2")
    assert (manifest.record["kind"], manifest.record["run"]) == ("transfer", "main")
    assert set(manifest.outputs) == {"metrics.csv", "nets.safetensors"}
    roles = lab.manifests("trainings", "base", "source1-2", "target1-2")
    assert list(manifest.inputs) == [str(lab.images), *roles]
    table = metrics(block)
    assert list(table.columns) == ["run", "pair", "method", "split", "step", "metric", "value"]
    assert set(table["run"]) == {"main"}
    assert set(table["pair"]) == {1, 2}
    assert set(table["method"]) == {*EVERY_METHOD, "source", "standard", "standard-gmt"}
    assert not table.duplicated(["pair", "method", "split", "step", "metric"]).any()


def test_every_step_is_measured_on_validation_images_and_costs_are_told(block):
    for method in EVERY_METHOD:
        for metric in ("accuracy", "loss"):
            assert list(values(block, method, metric)) == [1, 2, 3]
        for metric in COSTS:
            assert list(values(block, method, metric, "none")) == [1, 2, 3]
        searched = [1, 2, 3] if method in SEARCHED else []
        assert list(values(block, method, "objective", "none")) == searched
    for reference in ("source", "standard", "standard-gmt"):
        assert list(values(block, reference)) == [0, 1, 2, 3]


def test_gmt_and_fgmt_evaluate_as_many_gradients_as_the_controls_are_given(block):
    def counts(method):
        return list(values(block, method, "num_gradients", "none").items())

    assert counts("gmt") == [(t, t + t * (t + 1) / 2) for t in (1, 2, 3)] == counts("standard-gmt")[1:]
    assert counts("fgmt") == [(t, 2.0 * t) for t in (1, 2, 3)] == counts("standard")[1:]
    assert counts("standard")[0] == counts("standard-gmt")[0] == (0, 0.0)


@pytest.mark.parametrize("pair", [1, 2])
def test_naive_adds_the_whole_displacement_to_the_targets_start(lab, block, pair):
    start, end, target = ends(lab, pair)
    last = added(target, end, start)
    assert near(nets(block, f"{pair}/naive/last/"), last)
    for split in ("val", "test"):
        check_measured(lab, block, "naive", 3, last, split, pair)
    third = {name: target[name] + (end[name] - start[name]) / 3 for name in target}
    check_measured(lab, block, "naive", 1, third, pair=pair)


def test_source_and_controls_begin_at_the_starts_of_the_nets(lab, block):
    start, end, target = ends(lab)
    check_measured(lab, block, "source", 0, start)
    check_measured(lab, block, "source", 3, end)
    check_measured(lab, block, "source", 3, end, "test")
    for method in ("standard", "standard-gmt"):
        check_measured(lab, block, method, 0, target)
        assert list(values(block, method, split="test")) == [3]


def test_the_control_is_the_targets_own_training_at_its_first_learning_rate(tmp_path):
    lab = Laboratory(tmp_path)
    lab.train(schedule="constant", record="steps", weight_decay=0.01, epochs=3)
    block = lab.transfer("pairs1", methods=["naive"])
    own = lab.recorded("target", 1)  # has 12 points, one after each gradient
    for t in range(4):
        check_measured(lab, block, "standard", t, own.point(2 * t))
        check_measured(lab, block, "standard-gmt", t, own.point(t + t * (t + 1) // 2))


def test_the_best_step_has_the_highest_validation_accuracy_and_test_images_are_seen_there_and_at_the_last(
    block,
):
    early = 0
    for pair in (1, 2):
        for method in EVERY_METHOD:
            curve = values(block, method, pair=pair)
            ((best, one),) = values(block, method, "best", "none", pair).items()
            assert (best, one) == (max(curve, key=lambda t: (curve[t], -t)), 1.0)
            assert set(values(block, method, split="test", pair=pair)) == {best, 3}
            early += best < 3
            whole = nets(block, f"{pair}/{method}/selected/"), nets(block, f"{pair}/{method}/last/")
            assert near(*whole) == (best == 3)
    assert early, "some method is best before its end, or the test shows nothing"


def test_the_selected_net_is_the_one_that_was_measured(lab, block):
    for method in EVERY_METHOD:
        ((best, _),) = values(block, method, "best", "none").items()
        selected = nets(block, f"1/{method}/selected/")
        check_measured(lab, block, method, best, selected)
        check_measured(lab, block, method, best, selected, "test")


def test_the_last_net_is_composed_with_the_last_permutation_of_the_file(lab, block):
    start, end, target = ends(lab)
    moved = 0
    for method in set(EVERY_METHOD) - {"signs"}:
        order = nets(block, f"1/{method}/permutation/")
        assert {group: sorted(own.tolist()) for group, own in order.items()} == {
            group: list(range(size)) for group, size in zip(order, (10, 8), strict=True)
        }
        first, second = order.values()
        step = {name: end[name] - start[name] for name in end}
        step["fc1.weight"], step["fc1.bias"] = step["fc1.weight"][first], step["fc1.bias"][first]
        step["fc2.weight"], step["fc2.bias"] = step["fc2.weight"][second][:, first], step["fc2.bias"][second]
        step["fc3.weight"] = step["fc3.weight"][:, second]
        assert near(nets(block, f"1/{method}/last/"), {name: target[name] + step[name] for name in target})
        moved += first.tolist() != sorted(first.tolist())
    assert moved > 3


def test_select_last_takes_the_last_step(lab):
    block = lab.transfer("pairs1", "last", select="last")
    for method in EVERY_METHOD:
        assert values(block, method, "best", "none") == {3: 1.0}
        assert list(values(block, method, split="test")) == [3]


def test_steps_that_are_not_measured_are_not_selected(lab):
    block = lab.transfer("pairs1", "rarely", steps=5, evaluate_every=2, methods=["naive", "fgmt"])
    for method in ("naive", "fgmt"):
        assert list(values(block, method)) == [2, 4, 5]
        assert list(values(block, method, "num_gradients", "none")) == [1, 2, 3, 4, 5]
        assert set(values(block, method, "best", "none")) < {2, 4, 5}
    assert list(values(block, "standard")) == [0, 2, 4, 5]


def test_without_validation_images_test_images_are_measured_and_nothing_is_selected_by_them(tmp_path):
    lab = Laboratory(tmp_path, num_val=0)
    lab.train()
    block = lab.transfer("pairs1", methods=["naive", "gmt"])
    assert set(metrics(block)["split"]) == {"test", "none"}
    for method in ("naive", "gmt"):
        assert list(values(block, method, split="test")) == [1, 2, 3]
        assert values(block, method, "best", "none") == {3: 1.0}
    with pytest.raises(ValueError, match="no best point, since its training had no validation images"):
        lab.transfer("pairs1", "best", end="best")


def test_an_actual_trajectory_goes_through_the_recorded_points_that_are_taken(lab):
    block = lab.transfer("pairs1", "actual", trajectory="actual", every=3, methods=["naive"])
    own, target = lab.recorded("source", 1), lab.recorded("target", 1).point(0)
    assert list(values(block, "source")) == [0, 1, 2]
    for t, number in enumerate((0, 3, 4)):  # the last of four epochs is always taken
        check_measured(lab, block, "source", t, own.point(number))
        if t:
            check_measured(lab, block, "naive", t, added(target, own.point(number), own.point(0)))


def test_substeps_lie_on_lines_between_the_points_that_are_taken(lab):
    changes = {"trajectory": "actual", "every": 2, "substeps": 2, "methods": ["naive"]}
    block = lab.transfer("pairs1", "substeps", **changes)
    own = lab.recorded("source", 1)
    assert list(values(block, "source")) == [0, 1, 2, 3, 4]
    check_measured(lab, block, "source", 2, own.point(2))
    middle = {name: (tensor + own.point(4)[name]) / 2 for name, tensor in own.point(2).items()}
    check_measured(lab, block, "source", 3, middle)


def test_a_trajectory_may_end_at_the_best_net_of_the_source(tmp_path):
    lab = Laboratory(tmp_path)
    lab.train(lr=0.4, epochs=6, record="ends")
    own = lab.recorded("source", 1)
    assert own.best_step() < own.steps[-1], "the best net is not the last, or the test shows nothing"
    block = lab.transfer("pairs1", end="best", methods=["naive"])
    check_measured(lab, block, "source", 3, own.best())
    (start, _, target) = ends(lab)
    assert near(nets(block, "1/naive/last/"), added(target, own.best(), start))


def test_each_segment_has_a_permutation_of_its_own(lab):
    changes = {"trajectory": "actual", "methods": ["gmt", "fgmt", "random"]}
    whole = lab.transfer("pairs1", "whole", **changes)
    cut = lab.transfer("pairs1", "cut", segments=2, **changes)
    for method in ("gmt", "fgmt"):
        ours, theirs = (values(b, method, "loss") for b in (whole, cut))
        assert [t for t in ours if ours[t] != theirs[t]] == [3, 4]
    assert values(whole, "random", "loss") == values(cut, "random", "loss")
    with pytest.raises(ValueError, match=r"segments: each needs a step.* has 4: got 5"):
        lab.transfer("pairs1", "many", segments=5, **changes)


def test_gradients_in_a_file_change_no_byte_and_the_file_is_removed(lab, block):
    spilled = lab.transfer(run="spilled", spill=True)
    ours, theirs = results(block), results(spilled)
    assert ours["nets.safetensors"] != theirs["nets.safetensors"]  # they hold the settings
    assert nets_equal(block, spilled)
    costs = (
        metrics(block)["metric"] != "cache_bytes"
    )  # source gradients that pairs hold too count twice in a file
    assert metrics(block)["value"][costs].tolist() == metrics(spilled)["value"][costs].tolist()
    assert not list(lab.folder.rglob("gradients-*"))


def nets_equal(first, second, prefix=""):
    ours, theirs = nets(first, prefix), nets(second, prefix)
    return ours.keys() == theirs.keys() and all(torch.equal(own, theirs[name]) for name, own in ours.items())


def test_the_oracle_is_fitted_to_the_whole_displacement_or_to_that_of_the_first_gap(tmp_path):
    lab = Laboratory(tmp_path, net={"kind": "mlp", "hidden": [12], "bias": True})
    lab.train()
    source, target = lab.recorded("source", 1), lab.recorded("target", 1)
    orders = {}
    for oracle, end in (("total", 4), ("first", 2)):
        changes = {"trajectory": "actual", "every": 2, "substeps": 2, "oracle": oracle}
        block = lab.transfer("pairs1", oracle, methods=["oracle"], **changes)
        ours, theirs = (
            {name: own.point(end)[name] - tensor for name, tensor in own.point(0).items()}
            for own in (target, source)
        )
        cost = ours["fc1.weight"] @ theirs["fc1.weight"].T + ours["fc2.weight"].T @ theirs["fc2.weight"]
        cost += ours["fc1.bias"][:, None] * theirs["fc1.bias"]
        (orders[oracle],) = (own.tolist() for own in nets(block, "1/oracle/permutation/").values())
        assert orders[oracle] == linear_sum_assignment(cost, maximize=True)[1].tolist()
    assert orders["total"] != orders["first"]


def test_the_first_gap_of_a_short_target_is_its_whole_way(lab):
    changes = {"trajectory": "actual", "every": 9, "methods": ["oracle"]}
    total, first = (lab.transfer("pairs1", name, oracle=name, **changes) for name in ("total", "first"))
    assert nets_equal(total, first)


def test_batch_norm_statistics_are_rebuilt_for_every_net_that_is_measured_or_kept(tmp_path):
    lab = Laboratory(tmp_path, net=BN)
    lab.train("1-2", epochs=1, record="ends")
    block = lab.transfer("pairs1", steps=1, methods=["naive"])
    whole = nets(block, "1/naive/last/")
    network = lab.network()
    parameters = {name: whole[name] for name, _ in network.net.named_parameters()}
    buffers = {name: whole[name] for name in network.buffers}
    (start, end, target) = ends(lab)
    assert near(parameters, added(target, end, start))
    assert buffers["stem.norm.num_batches_tracked"].item() == 2  # as `statistics_batches` says
    images = lab.splits["val"]
    normaliser = Normaliser(16.0, (0.3,), (0.4,), torch.zeros(()))
    batches = evaluation_batches(images.images, images.labels, normaliser)
    found = evaluate(network.predictor(parameters, buffers), batches, 1)
    assert values(block, "naive", "loss")[1] == pytest.approx(found["loss"][0], rel=1e-5)
    stale = evaluate(network.predictor(parameters, lab.recorded("target", 1).buffers(0)), batches, 1)
    assert stale["loss"][0] != pytest.approx(found["loss"][0], rel=1e-3)


def test_statistics_of_no_batches_are_those_of_a_new_net(tmp_path):
    lab = Laboratory(tmp_path, net=BN)
    lab.train(epochs=1, record="ends")
    block = lab.transfer("pairs1", steps=1, methods=["naive"], statistics_batches=0)
    whole, fresh = nets(block, "1/naive/last/"), lab.network().buffers
    assert all(torch.equal(whole[name], own) for name, own in fresh.items())


def test_the_manifest_tells_how_long_each_method_took(block):
    seconds = record(block)["seconds"]
    assert set(seconds) == {f"{pair}/{method}" for pair in (1, 2) for method in EVERY_METHOD}
    assert all(0 <= value < 60 for value in seconds.values())
    assert seconds["1/gmt"] > 0


def test_the_same_command_twice_gives_the_same_bytes(lab, block):
    expected = results(block)
    assert results(lab.transfer()) == expected


def test_a_pair_comes_out_alike_in_every_block(lab, block):
    alone = lab.transfer("pairs2")
    assert nets_equal(block, alone, "2/")
    assert not nets(alone, "1/")
    table = metrics(block)
    ours, theirs = table[table["pair"] == 2], metrics(alone)
    assert ours.to_numpy().tolist() == theirs.to_numpy().tolist()


def test_methods_do_not_hang_together(lab, block):
    alone = lab.transfer(run="alone", methods=["fgmt"])
    for pair in (1, 2):
        assert nets_equal(block, alone, f"{pair}/fgmt/")
        assert values(block, "fgmt", pair=pair) == values(alone, "fgmt", pair=pair)


def test_pairs_that_are_nowhere_are_named(lab):
    with pytest.raises(ValueError, match=r"no result holds the source of pair 3: .*source1-2/manifest\.json"):
        lab.transfer("pairs2-3")
    with pytest.raises(ValueError, match="seeds: a block is written source1-3, target2 or pairs1-3"):
        lab.transfer("pairs0")


@pytest.fixture
def damaged(lab):
    """Changes a point of the training, which is put back after the test."""
    before = {}

    def damage(role, name, change):
        path = lab.block("trainings", "base", f"{role}1-2") / "trajectory" / name
        before.setdefault(path, path.read_bytes())
        path.write_bytes(change(path.read_bytes()))

    yield damage
    for path, content in before.items():
        path.write_bytes(content)


def flipped(content):
    return content[:-1] + bytes([content[-1] ^ 1])


def cut(content):
    return content[:-1]


@pytest.mark.parametrize(
    ("role", "point"), [("source", 0), ("source", 4), ("target", 0), ("target", 4)], ids=str
)
@pytest.mark.parametrize(("change", "told"), [(flipped, "was changed"), (cut, "is missing or cut")])
def test_a_point_that_is_not_as_it_was_recorded_is_refused_with_its_name_and_the_remedy(
    lab, damaged, role, point, change, told
):
    damaged(role, f"point-{point:05d}.safetensors", change)
    block = lab.block("trainings", "base", f"{role}1-2")
    named = (
        rf"{role}1-2/trajectory/point-0000{point}\.safetensors {told}.*: delete (the folder )?{block} and "
    )
    with pytest.raises(ValueError, match=named):
        lab.transfer("pairs1", "refused")
    assert not (lab.block("transfers", "refused", "pairs1") / "metrics.csv").exists()


def test_of_a_linear_trajectory_only_the_ends_are_read(lab, damaged):
    damaged("target", "point-00001.safetensors", flipped)
    actual = {"trajectory": "actual", "every": 1, "methods": ["naive"]}
    lab.transfer("pairs1", "ends", **actual)
    with pytest.raises(ValueError, match=r"target1-2/trajectory/point-00001\.safetensors was changed"):
        lab.transfer("pairs1", "ends", oracle="first", **actual)
    damaged("source", "point-00002.safetensors", flipped)
    lab.transfer("pairs1", "ends", methods=["naive"])
    lab.transfer("pairs1", "ends", methods=["naive"], trajectory="actual", every=3)
    with pytest.raises(ValueError, match=r"source1-2/trajectory/point-00002\.safetensors was changed"):
        lab.transfer("pairs1", "ends", **actual)


def test_a_changed_best_point_is_refused_where_it_is_read(lab, damaged):
    damaged("source", "best.safetensors", flipped)
    lab.transfer("pairs1", "best", methods=["naive"])
    with pytest.raises(ValueError, match=r"best\.safetensors was changed"):
        lab.transfer("pairs1", "best", methods=["naive"], end="best")


@pytest.fixture
def impatient(monkeypatch):
    """Time is over at every save."""
    monkeypatch.setattr(WorkDir, "why_stop", lambda self, save_takes: "no time at all")


@pytest.mark.parametrize(
    ("name", "changes"),
    [("plain", {}), ("segments", {"segments": 2, "steps": 4, "spill": True})],
    ids=["plain", "segments"],
)
def test_a_transfer_that_is_interrupted_after_every_step_leaves_the_same_bytes(
    lab, impatient, monkeypatch, name, changes
):
    methods = ("naive", "gmt", "fgmt")
    changes = {"methods": methods, **changes}
    block = lab.block("transfers", name, "pairs1")

    def attempt():
        assert not (block / "manifest.json").exists()
        assert not list(lab.folder.rglob("gradients-*"))
        return lab.transfer("pairs1", name, **changes)

    count = attempts(attempt)
    interrupted = results(block)
    num_steps = changes.get("steps", 3)
    num_gradients = num_steps + num_steps * (num_steps + 1) // 2
    # after each point of the source, each gradient of the control, each step of a method, and once after its end
    expected = (num_steps + 1) + (num_gradients + 1) + len(methods) * (num_steps + 1)
    assert record(block)["attempt"] == count == expected + 1
    assert not list((lab.folder / "work" / name).rglob("step-*")), "nothing is left of the attempts"
    monkeypatch.undo()
    assert results(lab.transfer("pairs1", name, **changes)) == interrupted


def test_what_an_earlier_attempt_has_finished_is_not_computed_again(lab, impatient, monkeypatch):
    """Only the newest method goes on; of those before, rows and nets are read."""
    asked = []
    for name, method in transfer_trajectory.METHODS.items():
        monkeypatch.setitem(
            transfer_trajectory.METHODS, name, lambda problem, n=name, m=method: asked.append(n) or m(problem)
        )
    attempts(lambda: lab.transfer("pairs1", "once", methods=["fgmt", "naive"], steps=1))
    assert asked == ["fgmt", "fgmt", "naive", "naive"]
