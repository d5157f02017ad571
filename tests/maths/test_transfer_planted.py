"""Oracles 3 and 14: targets that are permuted sources, where the right permutation is known."""

import pytest
import torch
from transfer_problems import EXACT, NETS, images_of, near, problem, same, start_of, trained

from carryover.core.rng import generator
from carryover.nets.init import head_of
from carryover.permute.matching import match
from carryover.permute.permutation import draw, permute
from carryover.transfer.methods import METHODS
from carryover.transfer.search import Search
from carryover.transfer.vectors import difference


def planted(net, **changes):
    """A problem whose target starts as the permuted source, with the permutation."""
    usual = problem(net)
    permutation = draw(usual.spec.sizes(usual.target), generator(3, "planted"))
    return problem(net, target=permute(usual.spec, permutation, start_of(net, 1)), **changes), permutation


def at_start(own):
    """A search with the pair of gradients at the two starts."""
    search = Search(own)
    search.pairs.append(*search.gradients(0))
    return search


def test_one_hidden_layer_recovers_the_planted_permutation_at_the_first_step():
    own, permutation = planted("shallow")
    gradient = own.network.gradient(start_of("shallow", 1), own.batches(0))
    assert (gradient["fc1.weight"].norm(dim=1) > 0).all(), "a dead unit could be exchanged for another"
    first = next(METHODS["fgmt"](own))
    assert same(first.permutations[0], permutation)


@pytest.mark.parametrize("method", ["gmt", "fgmt"])
def test_from_then_on_the_transferred_trajectory_is_the_permuted_source(method):
    own, permutation = planted("shallow")
    images, labels = images_of(200, "test")
    for found in METHODS[method](own):
        point = own.source.point(found.step)
        assert near(found.parameters, permute(own.spec, permutation, point))
        assert torch.allclose(own.network.logits(found.parameters, images), own.network.logits(point, images))
    accuracy = (own.network.logits(found.parameters, images).argmax(-1) == labels).double().mean()
    assert accuracy == (own.network.logits(own.source.point(3), images).argmax(-1) == labels).double().mean()
    assert accuracy > 0.9


@pytest.mark.parametrize("net", NETS)
def test_no_permutation_has_a_higher_objective_than_the_planted_one(net):
    own, permutation = planted(net)
    search = at_start(own)
    best = search.pairs.objective(permutation)
    assert search.solve(1).objective <= best * (1 + 1e-9)
    gradient = own.network.gradient(start_of(net, 1), own.batches(0))
    assert best == pytest.approx(sum(float((part**2).sum()) for part in gradient.values()), rel=1e-9)


@pytest.mark.parametrize("net", NETS)
def test_a_search_that_starts_at_the_planted_permutation_stays_there(net):
    own, permutation = planted(net)
    found = match(at_start(own).pairs, permutation, generator(0, "order"), EXACT)
    assert same(found.permutation, permutation)


def test_restarts_recover_the_planted_permutation_of_two_hidden_layers():
    own, permutation = planted("deep", matching=EXACT.model_copy(update={"restarts": 20}))
    found = next(METHODS["fgmt"](own))
    assert found.objective == pytest.approx(at_start(own).pairs.objective(permutation), rel=1e-9)


@pytest.mark.parametrize("net", NETS)
def test_each_class_of_the_target_gets_the_update_of_the_same_class_of_the_source(net):
    own = problem(net)
    head = head_of(own.network.net)
    *_, last = METHODS["random"](own)
    got = difference(last.parameters, own.target)
    given = difference(trained(net, 1), start_of(net, 1))
    assert torch.allclose(got[f"{head}.bias"], given[f"{head}.bias"], atol=1e-12)
    rows, expected = got[f"{head}.weight"], given[f"{head}.weight"]
    assert torch.allclose(rows.sort(dim=1).values, expected.sort(dim=1).values, atol=1e-12)
    assert not torch.allclose(rows, expected)
