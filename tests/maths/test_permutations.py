"""Learning transfer, section 1.1 and oracles 1, 2 and 14: what permuting units does to a net, and to its tensors."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from permuted_nets import NETS, NUM_CLASSES, batch, drawn, gradient, logits, made
from pydantic import TypeAdapter

from carryover.core import rng
from carryover.nets.build import NETS as NETS_BY_KIND
from carryover.nets.init import head_of
from carryover.nets.settings import NetSettings
from carryover.nets.specs import spec_of
from carryover.permute.permutation import compose, draw, identity, inverse, permute
from carryover.permute.spec import Axis, Permutation, PermutationSpec

EVERY_NET = pytest.mark.parametrize("name", NETS)

SPEC = PermutationSpec({"a": (Axis("x"), Axis("y", 2)), "b": (None, Axis("x", 3), None), "c": ()})
SIZES = {"x": 4, "y": 3}
TENSORS = {
    "a": torch.arange(24, dtype=torch.float64).view(4, 6),
    "b": torch.arange(48, dtype=torch.float64).view(2, 12, 2),
    "c": torch.tensor(7),
}
PERMUTATIONS = st.fixed_dictionaries(
    {group: st.permutations(range(size)).map(torch.tensor) for group, size in SIZES.items()}
)


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def spec_for(name):
    settings, shape = NETS[name]
    return spec_of(settings, shape, NUM_CLASSES)


def a_permutation(spec, tensors):
    return draw(spec.sizes(tensors), rng.generator(1, "permutation"))


# oracle 1


@EVERY_NET
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_permuting_parameters_and_buffers_keeps_the_function_in_evaluation(name, dtype, tolerance):
    net, spec = made(name), spec_for(name)
    parameters, buffers = drawn(net, dtype)
    images, _ = batch(name, dtype)
    permutation = a_permutation(spec, {**parameters, **buffers})
    moved = permute(spec, permutation, parameters)
    assert not equal(moved, parameters)
    before = logits(net, parameters, buffers, images)
    after = logits(net, moved, permute(spec, permutation, buffers), images)
    # random gains make logits of any size, so the tolerance is relative to the largest
    assert (after - before).abs().max() < tolerance * max(1.0, before.abs().max().item())
    assert before.std(0).max() > 0


@EVERY_NET
def test_the_gradient_of_a_permuted_net_is_the_permuted_gradient(name):
    net, spec = made(name), spec_for(name)
    parameters, _ = drawn(net)
    images, labels = batch(name)
    permutation = a_permutation(spec, parameters)
    found = gradient(net, permute(spec, permutation, parameters), images, labels)
    expected = permute(spec, permutation, gradient(net, parameters, images, labels))
    for own in expected:
        torch.testing.assert_close(found[own], expected[own], rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_in_evaluation_batch_norm_needs_its_statistics_permuted_too(name):
    net, spec = made(name), spec_for(name)
    parameters, buffers = drawn(net)
    images, _ = batch(name)
    moved = permute(spec, a_permutation(spec, {**parameters, **buffers}), parameters)
    before = logits(net, parameters, buffers, images)
    assert (logits(net, moved, buffers, images) - before).abs().max() > 1e-3 * before.abs().max()


# oracle 2


@given(PERMUTATIONS)
def test_the_action_moves_entry_p_i_to_i_along_every_tied_axis(permutation: Permutation):
    x, y = permutation["x"], permutation["y"]
    moved = permute(SPEC, permutation, TENSORS)
    for i, j, entry in product(range(4), range(3), range(2)):
        assert moved["a"][i, 2 * j + entry] == TENSORS["a"][x[i], 2 * y[j] + entry]
    for first, i, entry, last in product(range(2), range(4), range(3), range(2)):
        assert moved["b"][first, 3 * i + entry, last] == TENSORS["b"][first, 3 * x[i] + entry, last]
    assert moved["c"] == 7


@given(PERMUTATIONS)
def test_the_inverse_undoes_exactly(permutation: Permutation):
    there = permute(SPEC, permutation, TENSORS)
    assert equal(permute(SPEC, inverse(permutation), there), TENSORS)
    assert equal(permute(SPEC, permutation, permute(SPEC, inverse(permutation), TENSORS)), TENSORS)
    assert equal(compose(permutation, inverse(permutation)), identity(SIZES))


@given(PERMUTATIONS, PERMUTATIONS)
def test_composing_acts_first_by_the_first(first: Permutation, then: Permutation):
    at_once = permute(SPEC, compose(first, then), TENSORS)
    assert equal(at_once, permute(SPEC, then, permute(SPEC, first, TENSORS)))


@given(PERMUTATIONS, PERMUTATIONS, PERMUTATIONS)
def test_composition_is_a_group(a: Permutation, b: Permutation, c: Permutation):
    assert equal(compose(compose(a, b), c), compose(a, compose(b, c)))
    assert equal(compose(a, identity(SIZES)), a)
    assert equal(compose(identity(SIZES), a), a)
    assert equal(inverse(compose(a, b)), compose(inverse(b), inverse(a)))


@given(PERMUTATIONS)
def test_the_action_is_linear(permutation: Permutation):
    other = {name: tensor.double().cos() for name, tensor in TENSORS.items()}
    mixed = {name: 2 * TENSORS[name] - 3 * other[name] for name in other}
    there, other_there = (permute(SPEC, permutation, tensors) for tensors in (TENSORS, other))
    expected = {name: 2 * there[name] - 3 * other_there[name] for name in other}
    assert equal(permute(SPEC, permutation, mixed), expected)


@EVERY_NET
def test_the_action_keeps_the_values_of_every_tensor_and_so_its_norm(name):
    parameters, buffers = drawn(made(name))
    spec, tensors = spec_for(name), {**parameters, **buffers}
    moved = permute(spec, a_permutation(spec, tensors), tensors)
    for own, tensor in tensors.items():
        assert torch.equal(moved[own].flatten().sort().values, tensor.flatten().sort().values), own


# oracle 14


@EVERY_NET
def test_classes_and_input_channels_stay_in_every_spec(name):
    net, spec = made(name), spec_for(name)
    head = head_of(net)
    first = next(iter(spec.axes))
    assert spec.axes[f"{head}.weight"][0] is None
    assert spec.axes.get(f"{head}.bias", (None,)) == (None,)
    assert spec.axes[f"{head}.weight"][1] is not None
    assert spec.axes[first][1] is None


@EVERY_NET
def test_every_class_keeps_its_weights_and_they_follow_the_units_below(name):
    parameters, _ = drawn(net := made(name))
    spec = spec_for(name)
    permutation = a_permutation(spec, parameters)
    moved = permute(spec, permutation, parameters)
    weight = f"{head_of(net)}.weight"
    order = permutation[spec.axes[weight][1].group]
    for label in range(NUM_CLASSES):
        assert torch.equal(moved[weight][label], parameters[weight][label][order])


# section 1.8


def sizes_of(shape=(3, 32, 32), **written):
    settings = TypeAdapter(NetSettings).validate_python(written)
    with torch.device("meta"):
        net = NETS_BY_KIND[settings.kind](settings, shape, 10, affine=True)
    return spec_of(settings, shape, 10).sizes(dict(net.named_parameters()))


def test_the_papers_mlp_has_one_group():
    assert sizes_of((1, 28, 28), kind="mlp", hidden=[4096]) == {"fc1": 4096}


def test_the_papers_conv8_has_ten_groups():
    sizes = sizes_of(kind="conv", depth=8, last_pool=4)
    assert list(sizes.values()) == [64, 64, 128, 128, 256, 256, 512, 512, 256, 256]
    assert [*sizes] == [*(f"conv{n}" for n in range(1, 9)), "fc1", "fc2"]


@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_the_papers_resnet18_has_twelve_groups_four_of_them_streams(stem):
    sizes = sizes_of(kind="resnet", depth=18, stem=stem)
    streams = {"stem": 64, "stages.stage2": 128, "stages.stage3": 256, "stages.stage4": 512}
    inner = {
        f"stages.stage{stage}.block{block}.conv1": 32 * 2**stage for stage in range(1, 5) for block in (1, 2)
    }
    assert sizes == {**streams, **inner}


@pytest.mark.parametrize(("depth", "num_blocks"), [(50, 16), (101, 33)])
def test_a_bottleneck_has_two_inner_groups_for_each_block(depth, num_blocks):
    sizes = sizes_of(kind="resnet", depth=depth, stem="imagenet")
    streams = {group: size for group, size in sizes.items() if "block" not in group}
    assert streams == {"stem": 64, **{f"stages.stage{n}": 128 * 2**n for n in range(1, 5)}}
    assert len(sizes) == len(streams) + 2 * num_blocks
