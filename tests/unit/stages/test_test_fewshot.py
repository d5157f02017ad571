"""The stage that tests: the same numbers as the functions give, in every way that a study may ask for."""

import pytest
import torch
from fewshot_runs import stored, test, train, write_marks

from carryover.core.block import placed
from carryover.data.episodes import open_episodes
from carryover.io.checkpoint import load_tensors
from carryover.io.tables import load_table
from carryover.metaticket.batching import Batching, after_steps
from carryover.metaticket.methods import METHODS
from carryover.stages._fewshot import load_stored, open_training

test.__test__ = False  # a function that the tests call
LIKE = torch.zeros(())


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_marks(tmp_path_factory.mktemp("data") / "marks.safetensors")


@pytest.fixture(scope="module")
def blocks(images, tmp_path_factory):
    """Trained blocks by method."""
    folder = tmp_path_factory.mktemp("runs")
    made = {m: train(folder, images, m, "s1-2", method=m) for m in METHODS if m != "meta-lth"}
    lth = train(folder, images, "meta-lth", "s1-2", method="meta-lth", start="maml", before=made["maml"])
    return {**made, "meta-lth": lth}


def scores_of(block):
    return load_tensors(block / "tasks.safetensors")[0]


def test_the_scores_of_all_tasks_are_those_of_the_function(images, blocks, tmp_path):
    block = test(tmp_path, images, "all", blocks["metaticket"])
    trained = open_training(blocks["metaticket"] / "manifest.json")
    episodes, tasks = open_episodes(images, "test", LIKE), load_stored(stored(images, "test"))
    made = episodes.tasks(placed(tasks.drawn, LIKE), 2)
    found, table = scores_of(block), load_table(block / "metrics.csv")
    assert set(found) == {f"{seed}/trained/{norm}" for seed in (1, 2) for norm in ("transductive", "support")}
    for seed in (1, 2):
        network, learner = trained.net(seed).opened(3, LIKE)
        losses, scores = after_steps(network, *learner.parametrise(), made, [0, 1, 3], Batching())
        assert torch.equal(found[f"{seed}/trained/transductive"], scores)
        own = table[(table["seed"] == seed) & (table["norm"] == "transductive")]
        assert own[own["metric"] == "accuracy"]["value"].tolist() == pytest.approx(
            scores.double().mean(1).tolist()
        )
        assert own[own["metric"] == "loss"]["value"].tolist() == pytest.approx(
            losses.double().mean(1).tolist()
        )
        assert own[own["metric"] == "loss"]["step"].tolist() == [0, 1, 3]


@pytest.mark.parametrize("method", list(METHODS))
def test_without_inner_steps_every_method_is_at_chance(images, blocks, tmp_path, method):
    """T1 through files: labels go to classes at random, so 200 tasks of three ways are right one time in three."""
    block = test(tmp_path, images, "zero", blocks[method], steps=[0], tasks=200)
    for name, scores in scores_of(block).items():
        error = scores.double().std() / scores.numel() ** 0.5
        assert abs(scores.double().mean() - 1 / 3) < 4 * error, name


def test_body_and_classifier_are_adapted_alone_and_together_they_are_all(images, blocks, tmp_path):
    block = test(
        tmp_path, images, "roles", blocks["maml"], adapted=["trained", "body", "head"], norms=["trained"]
    )
    found = {name.split("/")[1]: own for name, own in scores_of(block).items() if name.startswith("1/")}
    assert set(found) == {"trained", "body", "head"}
    head = test(tmp_path, images, "anil", blocks["anil"], adapted=["trained", "head"], norms=["trained"])
    own = scores_of(head)
    assert torch.equal(own["1/trained/transductive"], own["1/head/transductive"]), (
        "ANIL adapts the classifier alone"
    )
    boil = scores_of(
        test(tmp_path, images, "boil", blocks["boil"], adapted=["trained", "body"], norms=["trained"])
    )
    assert torch.equal(boil["1/trained/transductive"], boil["1/body/transductive"]), "BOIL adapts all else"


def test_another_rate_is_for_every_role(images, blocks, tmp_path):
    usual, same, other = (
        scores_of(test(tmp_path, images, f"rate{rate}", blocks["maml"], inner_lr=rate, tasks=20))
        for rate in (None, 0.4, 0.01)
    )
    assert all(torch.equal(usual[name], same[name]) for name in usual)
    assert any(not torch.equal(usual[name], other[name]) for name in usual)


def test_a_random_classifier_has_other_ways_and_a_learned_one_refuses(images, blocks, tmp_path):
    block = test(tmp_path, images, "two", blocks["metaticket"], ways=2, shots=3, query_shots=3)
    assert scores_of(block)["1/trained/support"].shape == (3, 3)
    with pytest.raises(ValueError, match="maml has learned a classifier of 3 ways"):
        test(tmp_path, images, "more", blocks["maml"], ways=2)


def test_added_units_start_where_the_net_is_and_then_learn(images, blocks, tmp_path):
    plain = scores_of(test(tmp_path, images, "plain", blocks["anil"], tasks=20))
    wide = scores_of(test(tmp_path, images, "wide", blocks["anil"], widen={"units": 4}, tasks=20))
    for name in plain:
        assert torch.equal(plain[name][0], wide[name][0]), "no step, no difference"
        assert not torch.equal(plain[name][2], wide[name][2])


def test_the_ceiling_is_fitted_once_for_all_seeds(images, blocks, tmp_path):
    block = test(tmp_path, images, "top", blocks["random"], steps=[0], norms=["trained"], ceiling=True)
    found = scores_of(block)
    assert torch.equal(found["1/ceiling/none"], found["2/ceiling/none"])
    assert found["1/ceiling/none"].shape == (1, 3)
    table = load_table(block / "metrics.csv")
    own = table[table["adapted"] == "ceiling"]
    assert own["value"].tolist() == pytest.approx([float(found["1/ceiling/none"].mean())] * 2)


def test_images_of_another_size_are_refused_before_anything_is_measured(images, blocks, tmp_path):
    colour = write_marks(tmp_path / "colour.safetensors", channels=3)
    with pytest.raises(ValueError, match=r"its examples are 3x6x6, and the nets of maml take 1x6x6"):
        test(tmp_path, colour, "colour", blocks["maml"], dataset="colour")
    assert not list((tmp_path / "tests" / "colour").rglob("*.csv"))


def test_the_same_test_gives_the_same_bytes(images, blocks, tmp_path):
    one, two = (test(tmp_path / name, images, "same", blocks["boil"]) for name in ("one", "two"))
    for name in ("metrics.csv", "tasks.safetensors"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
