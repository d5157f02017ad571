from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matching_pairs import SPECS, spec_and_sizes

from carryover.nets.settings import ConvSettings, MlpSettings, ResNetSettings
from carryover.nets.specs import spec_of
from carryover.permute.colouring import colour_classes, neighbours

NETS = {
    "mlp": (MlpSettings(kind="mlp", hidden=(8,)), 1),
    "deep mlp": (MlpSettings(kind="mlp", hidden=(8, 8, 8), bias=True), 2),
    "conv8": (ConvSettings(kind="conv", depth=8, width=1 / 16), 2),
    "resnet18": (ResNetSettings(kind="resnet", depth=18, stem="cifar"), 3),
    "resnet50": (ResNetSettings(kind="resnet", depth=50, stem="cifar"), 3),
}
"""Nets, and the number of classes that chains and projections need."""


@pytest.mark.parametrize("net", NETS)
def test_chains_need_two_classes_and_projections_three(net):
    settings, num_classes = NETS[net]
    spec = spec_of(settings, (3, 32, 32), 10)
    assert len(colour_classes(neighbours(spec, spec.groups))) == num_classes


@pytest.mark.parametrize("name", SPECS)
def test_groups_of_a_class_share_no_tensor_and_every_group_has_one_class(name):
    spec, sizes = spec_and_sizes(name)
    classes = colour_classes(neighbours(spec, sizes))
    assert sorted(group for members in classes for group in members) == sorted(sizes)
    for members in classes:
        for one, other in combinations(members, 2):
            tensors = [{tie.tensor for tie in spec.groups[group]} for group in (one, other)]
            assert not tensors[0] & tensors[1]


def test_neighbours_are_the_groups_that_share_a_tensor():
    spec, sizes = spec_and_sizes("residual")
    assert neighbours(spec, sizes) == {"s": {"i", "j", "u"}, "i": {"s"}, "j": {"s", "u"}, "u": {"j", "s"}}
    assert neighbours(spec, ["s", "j"]) == {"s": {"j"}, "j": {"s"}}


@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda edge: edge[0] != edge[1])))
def test_no_class_has_neighbours_and_there_are_at_most_as_many_as_the_most_neighbours_and_one(edges):
    graph = {str(node): set() for node in range(8)}
    for one, other in edges:
        graph[str(one)].add(str(other))
        graph[str(other)].add(str(one))
    classes = colour_classes(graph)
    assert sorted(group for members in classes for group in members) == sorted(graph)
    assert all(graph[group].isdisjoint(members) for members in classes for group in members)
    assert len(classes) <= 1 + max(len(found) for found in graph.values())
