import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matching_pairs import SPECS, pairs_of, shapes_of, sides, spec_and_sizes
from reference.learning_transfer import cost_matrix

from carryover.core.rng import generator
from carryover.permute import pairs as module
from carryover.permute.matching import match
from carryover.permute.pairs import Pairs
from carryover.permute.permutation import draw, identity
from carryover.permute.settings import MatchingSettings
from carryover.permute.spill import Spill

EVERY_SPEC = pytest.mark.parametrize("name", SPECS)
DEEP = [name for name in SPECS if name != "one hidden layer"]


def relative_error(found, exact):
    return ((found.double() - exact).norm() / exact.norm()).item()


def swapped(permutation, group, draws):
    """Exchange two units of a group."""
    order = permutation[group].clone()
    first, second = torch.randperm(len(order), generator=draws)[:2]
    order[first], order[second] = permutation[group][second], permutation[group][first]
    return {**permutation, group: order}


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(list(SPECS)), st.integers(0, 10**6))
def test_whatever_was_asked_before_a_cost_matrix_is_the_direct_one(name, seed):
    """Pairs are appended, few or all units change, costs are asked for: always what plain products give."""
    draws = generator(seed, "events")
    spec, sizes = spec_and_sizes(name)
    pairs, known, to_come = Pairs(spec, sizes, torch.float64), [], list(sides(name, 4, seed=seed))
    permutation = identity(sizes)
    for event in torch.randint(0, 5, (30,), generator=draws).tolist():
        if event == 0 and to_come:
            known.append(to_come.pop())
            pairs.append(*known[-1])
        elif event == 1:
            permutation = draw(sizes, draws)
        else:
            group = list(sizes)[int(torch.randint(0, len(sizes), (), generator=draws))]
            permutation = swapped(permutation, group, draws)
        asked = list(sizes)[int(torch.randint(0, len(sizes), (), generator=draws))]
        if known:
            direct = cost_matrix(spec, asked, permutation, known)
            assert relative_error(pairs.cost(asked, permutation), direct) < 1e-12


def error_after_corrections(name):
    """Exchange two units again and again; how wrong is the last cost matrix, against one that is computed anew?"""
    pairs = pairs_of(name, dtype=torch.float32)
    tied = next(tied for axes in pairs.spec.axes.values() if len(tied := [a.group for a in axes if a]) > 1)
    group, neighbour = tied[:2]
    draws, permutation = generator(0, "swaps"), identity(pairs.sizes)
    for _ in range(500):
        cost = pairs.cost(group, permutation)
        permutation = swapped(permutation, neighbour, draws)
    cost = pairs.cost(group, permutation)
    anew, exact = (pairs_of(name, dtype=d).cost(group, permutation) for d in (torch.float32, torch.float64))
    return relative_error(cost, exact) / relative_error(anew, exact)


@pytest.mark.parametrize("name", DEEP)
def test_many_corrections_do_not_drift_in_fp32_for_they_come_to_an_end(name, monkeypatch):
    assert error_after_corrections(name) < 5
    monkeypatch.setattr(module, "MAX_CORRECTIONS", 10**9)
    assert error_after_corrections(name) > 7


def multiplied(pairs, group, permutation, monkeypatch):
    """Ask for a cost matrix and list the reduction lengths of the products that it takes."""
    lengths = []
    plain = torch.Tensor.addmm_
    monkeypatch.setattr(
        torch.Tensor,
        "addmm_",
        lambda own, a, b, **more: (lengths.append(a.shape[1]), plain(own, a, b, **more))[1],
    )
    pairs.cost(group, permutation)
    monkeypatch.undo()
    return lengths


def test_only_what_has_changed_is_multiplied(monkeypatch):
    name = "convolutions that are flattened"
    pairs = pairs_of(name, count=3)
    start = identity(pairs.sizes)
    conv2, fc = 4 * 9, 5 * 4
    assert sorted(multiplied(pairs, "b", start, monkeypatch)) == sorted([conv2, fc] * 3)
    assert multiplied(pairs, "b", start, monkeypatch) == []
    one_swap = {**start, "a": torch.tensor([1, 0, 2, 3])}
    assert multiplied(pairs, "b", one_swap, monkeypatch) == [2 * 9] * 3
    pairs.append(*next(sides(name, 1, seed=7)))
    assert sorted(multiplied(pairs, "b", one_swap, monkeypatch)) == sorted([conv2, fc])
    every_unit = {**start, "a": torch.tensor([2, 3, 1, 0])}
    assert multiplied(pairs, "b", every_unit, monkeypatch) == [conv2] * 4


def test_one_hidden_layer_stores_its_cost_matrix_and_no_gradient():
    pairs = pairs_of("one hidden layer", count=5)
    assert pairs.num_bytes == 8 * 6 * 6
    assert len(pairs) == 5


def test_stored_bytes_are_those_of_tensors_that_several_groups_permute_and_of_cost_matrices():
    pairs = pairs_of("residual", count=5)
    gradients = sum(
        torch.Size(shapes_of("residual")[tensor]).numel() for tensor in ("in1", "out1", "in2", "out2")
    )
    sums = 5**2 + 7**2  # stem and norm are added up, and the head
    assert pairs.num_bytes == 8 * (2 * 5 * (gradients + 7 * 5) + sums)
    for group in pairs.sizes:
        pairs.cost(group, identity(pairs.sizes))
    ties = [6, 5, 5, 6, 4, 5, 7, 4, 7, 5]  # of in1, out1, in2, out2 and the shortcut
    assert pairs.num_bytes == 8 * (2 * 5 * (gradients + 7 * 5) + sums + sum(size**2 for size in ties))
    pairs.clear()
    assert (len(pairs), pairs.num_bytes) == (0, 0)


@EVERY_SPEC
def test_gradients_in_bf16_are_multiplied_and_added_up_in_fp32(name):
    spec, sizes = spec_and_sizes(name)
    halves, same_values = Pairs(spec, sizes, torch.float32), Pairs(spec, sizes, torch.float64)
    for target, source in sides(name, 4, torch.bfloat16):
        halves.append(target, source)
        same_values.append(*({n: t.double() for n, t in side.items()} for side in (target, source)))
    for seed in range(3):
        permutation = draw(sizes, generator(seed, "permutation"))
        for group in sizes:
            cost = halves.cost(group, permutation)
            assert cost.dtype == torch.float32
            assert relative_error(cost, same_values.cost(group, permutation)) < 1e-6
        assert halves.objective(permutation) == pytest.approx(same_values.objective(permutation), abs=1e-4)


@EVERY_SPEC
def test_gradients_in_fp32_can_be_added_up_in_fp64(name):
    spec, sizes = spec_and_sizes(name)
    pairs, exact = Pairs(spec, sizes, torch.float64), Pairs(spec, sizes, torch.float64)
    for target, source in sides(name, 2, torch.float32):
        pairs.append(target, source)
        exact.append(*({n: t.double() for n, t in side.items()} for side in (target, source)))
    permutation = draw(sizes, generator(0, "permutation"))
    for group in sizes:
        assert torch.equal(pairs.cost(group, permutation), exact.cost(group, permutation))


@EVERY_SPEC
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_gradients_in_a_file_give_the_same_bits_as_in_memory(name, dtype, tmp_path):
    spec, sizes = spec_and_sizes(name)
    found = []
    for file in (None, tmp_path / "gradients"):
        pairs = Pairs(spec, sizes, torch.float32, file)
        for _ in range(2):  # the second time after clear
            pairs.clear()
            for target, source in sides(name, 3, dtype):
                pairs.append(target, source)
        found.append(
            (match(pairs, identity(sizes), generator(0, "order"), MatchingSettings()), pairs.num_bytes)
        )
    (in_memory, num_bytes), (in_file, file_bytes) = found
    assert in_memory.history == in_file.history
    assert all(
        torch.equal(order, in_file.permutation[group]) for group, order in in_memory.permutation.items()
    )
    assert num_bytes == file_bytes
    assert ((tmp_path / "gradients").stat().st_size == 0) == (name == "one hidden layer")


def test_what_is_kept_in_a_file_reads_as_it_was_and_is_freed_by_clearing(tmp_path):
    spill = Spill(tmp_path / "file")
    first = {
        "a": torch.arange(5).bfloat16(),
        "b": torch.tensor(2.5, dtype=torch.float64),
        "c": torch.zeros(0, 3),
    }
    second = {"a": torch.randn(3, 4, generator=generator(0, "x")).T}
    kept = [spill.keep(first), spill.keep({}), spill.keep(second)]
    for before, after in zip([first, {}, second], kept, strict=True):
        assert before.keys() == after.keys()
        for name, tensor in before.items():
            assert after[name].dtype == tensor.dtype
            assert torch.equal(after[name], tensor)
    kept[0]["a"][0] = 7
    assert spill.keep(second)["a"].equal(second["a"])
    spill.clear()
    assert (tmp_path / "file").stat().st_size == 0
    assert kept[2]["a"].equal(second["a"])


@EVERY_SPEC
def test_normalised_pairs_have_the_sum_of_cosines_as_objective(name):
    spec, sizes = spec_and_sizes(name)
    pairs = Pairs(spec, sizes, torch.float64, normalise=True)
    expected = 0.0
    for target, source in sides(name, 3):
        pairs.append(target, {tensor: 10 * own for tensor, own in source.items()}, weight=0.5)
        expected += sum(
            0.5 * torch.cosine_similarity(target[t].flatten(), source[t].flatten(), dim=0).item()
            for t in target
        )
    assert pairs.objective(identity(sizes)) == pytest.approx(expected, rel=1e-12)


def test_normalised_tensors_without_gradient_count_as_nothing():
    spec, sizes = spec_and_sizes("one hidden layer")
    pairs = Pairs(spec, sizes, torch.float64, normalise=True)
    zeros = {
        tensor: torch.zeros(shape, dtype=torch.float64)
        for tensor, shape in shapes_of("one hidden layer").items()
    }
    pairs.append(zeros, zeros)
    assert pairs.objective(identity(sizes)) == 0.0


def test_tensors_that_a_pair_leaves_out_count_as_nothing():
    """Gradients have no batch-norm statistics, though the spec lists them."""
    pairs = Pairs(*spec_and_sizes("residual"), torch.float64)
    ((target, source),) = sides("residual", 1)
    for side in (target, source):
        del side["in1"], side["out1"]
    pairs.append(target, source)
    assert not pairs.cost("i", identity(pairs.sizes)).any()
    assert pairs.cost("s", identity(pairs.sizes)).any()


def test_without_pairs_the_objective_is_zero_and_a_search_stays_at_its_start():
    pairs = Pairs(*spec_and_sizes("residual"), torch.float32)
    start = draw(pairs.sizes, generator(0, "start"))
    found = match(pairs, start, generator(0, "order"), MatchingSettings())
    assert (found.objective, found.history, found.converged) == (0.0, [0.0], True)
    assert all(torch.equal(found.permutation[group], order) for group, order in start.items())


def test_a_gradient_that_has_overflowed_is_refused_with_the_name_of_its_group():
    pairs = Pairs(*spec_and_sizes("one hidden layer"), torch.float32)
    ((target, source),) = sides("one hidden layer", 1, torch.float32)
    target["fc1"][0, 0] = torch.inf
    pairs.append(target, source)
    with pytest.raises(ValueError, match=r"cost matrix of group 'a' is not finite.*diverged"):
        match(pairs, identity(pairs.sizes), generator(0, "order"), MatchingSettings())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@EVERY_SPEC
def test_cost_matrices_stay_on_the_device_of_the_gradients_and_are_those_of_the_cpu(name, tmp_path):
    spec, sizes = spec_and_sizes(name)
    for file in (None, tmp_path / "gradients"):
        pairs, on_cpu = Pairs(spec, sizes, torch.float64, file), pairs_of(name)
        for target, source in sides(name, 3):
            pairs.append(*({n: t.cuda() for n, t in side.items()} for side in (target, source)))
        assert all(pairs.cost(group, identity(sizes)).is_cuda for group in sizes)
        found, expected = (
            match(each, identity(sizes), generator(0, "order"), MatchingSettings())
            for each in (pairs, on_cpu)
        )
        assert all(
            torch.equal(found.permutation[group], order) for group, order in expected.permutation.items()
        )
        assert found.objective == pytest.approx(expected.objective, rel=1e-12)
