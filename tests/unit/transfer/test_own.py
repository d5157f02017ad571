import copy
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from carryover.core import rng
from carryover.core.block import cross_entropy
from carryover.permute.permutation import draw, identity, permute
from carryover.permute.settings import MatchingSettings
from carryover.permute.spec import Axis, PermutationSpec
from carryover.permute.trace import trace_spec
from carryover.transfer.grids import GRIDS
from carryover.transfer.methods import METHODS
from carryover.transfer.network import Network
from carryover.transfer.own import Options, transfer
from carryover.transfer.problem import TransferProblem
from carryover.transfer.trajectories import Linear
from carryover.transfer.vectors import difference, inner, moved, norm

SIDE, CLASSES = 4, 3
EXACT = MatchingSettings(accumulate="fp64", tolerance=0)


def draws(*name):
    return rng.generator(0, "test own", *name)


def drawn(net, seed):
    """Give every tensor of a net values of its own, the statistics of batch-norm too."""
    for name, own in net.state_dict().items():
        if own.is_floating_point():
            own.copy_(torch.rand(own.shape, generator=draws(seed, name), dtype=own.dtype) - 0.4)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var += 0.5
    return net


def mlp(seed, *hidden, dtype=torch.float64):
    sizes = [SIDE * SIDE, *(hidden or (6,))]
    layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    return drawn(nn.Sequential(nn.Flatten(), *layers, nn.Linear(sizes[-1], CLASSES)).to(dtype), seed)


def conv(seed):
    return drawn(
        nn.Sequential(
            *(
                nn.Conv2d(1, 5, 3, padding=1, bias=False),
                nn.BatchNorm2d(5),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(1),
            ),
            *(nn.Flatten(), nn.Linear(5, CLASSES)),
        ),
        seed,
    )


def state(net):
    return copy.deepcopy(net.state_dict())


def later(net, seed=7, size=0.3):
    """Give a state further along, as after a training."""
    return {
        n: t + size * torch.rand(t.shape, generator=draws("later", seed, n), dtype=t.dtype)
        if t.is_floating_point()
        else t + 1
        for n, t in state(net).items()
    }


def batches(num=4, size=12, dtype=torch.float64):
    return [
        (
            torch.randn(size, 1, SIDE, SIDE, generator=draws("images", k), dtype=dtype),
            torch.randint(0, CLASSES, (size,), generator=draws("labels", k)),
        )
        for k in range(num)
    ]


def test_a_planted_permutation_is_found_and_the_target_ends_as_the_permuted_source():
    source = mlp(0)
    start, end = state(source), later(source)
    spec = trace_spec(source, batches()[0][0])
    planted = draw(spec.sizes(start), draws("planted"))
    target = copy.deepcopy(source)
    target.load_state_dict(permute(spec, planted, start))
    found = transfer([start, end], target, batches(), Options(steps=3, matching=EXACT))
    for name, tensor in permute(spec, planted, end).items():
        torch.testing.assert_close(found.parameters[name], tensor)
    assert found.steps[-1].quality.matched == pytest.approx(1)


def test_naive_adds_the_displacement_of_the_source():
    source, target = mlp(0), mlp(1)
    start, end = state(source), later(source)
    found = transfer([start, end], target, batches(), Options(method="naive", steps=1))
    for name, tensor in found.parameters.items():
        assert torch.equal(tensor, target.state_dict()[name] + (end[name] - start[name]))
    assert all(torch.equal(order, torch.arange(len(order))) for order in found.permutation.values())


@pytest.mark.parametrize("method", ["naive", "random", "weights", "signs", "gmt", "fgmt"])
@pytest.mark.parametrize("grid", ["uniform", "cosine"])
def test_the_result_is_that_of_the_method_on_the_line_between_the_ends(method, grid):
    source, target, given = mlp(0, 6, 5), mlp(1, 6, 5), batches()
    start, end = state(source), later(source)
    options = Options(method=method, steps=3, grid=grid, num_batches=2, matching=EXACT, seed=5)
    found = transfer([start, end], target, given, options)
    problem = TransferProblem(
        network=Network(source, {}),
        spec=trace_spec(source, given[0][0]),
        source=Linear(start, end, GRIDS[grid](3)),
        target=state(target),
        batches=lambda t: [given[2 * t % 4], given[(2 * t + 1) % 4]],
        matching=EXACT,
        seed=5,
    )
    *_, expected = METHODS[method](problem)
    assert found.chosen == expected.step == 3
    for group, order in expected.permutations[-1].items():
        assert torch.equal(found.permutation[group], order)
    for name, tensor in expected.parameters.items():
        assert torch.equal(found.parameters[name], tensor)
    last = found.steps[-1]
    assert (last.num_gradients, last.cache_bytes) == (expected.num_gradients, expected.cache_bytes)
    assert (last.quality.objective if last.quality else None) == (
        expected.objective if method in ("gmt", "fgmt") else None
    )


@pytest.mark.parametrize(("method", "expected"), [("fgmt", [2, 4, 6]), ("gmt", [2, 5, 9])])
def test_gradient_evaluations_are_counted(method, expected):
    source = mlp(0)
    found = transfer([source, later(source)], mlp(1), batches(), Options(method=method, steps=3))
    assert [step.num_gradients for step in found.steps] == expected


def test_objective_bound_and_cosine_are_those_of_the_matched_gradients():
    source, target, given = mlp(0, 6, 5), mlp(1, 6, 5), batches()
    start, end = state(source), later(source)
    found = transfer([start, end], target, given, Options(steps=2, matching=EXACT))
    one = transfer(
        [start, moved(start, difference(end, start), 0.5)], target, given, Options(steps=1, matching=EXACT)
    )

    def gradient(parameters, batch):
        leaves = {name: own.clone().requires_grad_() for name, own in parameters.items()}
        logits = torch.func.functional_call(source, leaves, (batch[0],))
        loss = cross_entropy(logits[None], batch[1][None]).sum()
        return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))

    half = moved(start, difference(end, start), 0.5)
    pairs = [
        (gradient(state(target), given[0]), gradient(start, given[0])),
        (gradient(one.parameters, given[1]), gradient(half, given[1])),
    ]
    quality = found.steps[1].quality
    aligned = [(g2, permute(found.spec, found.permutation, g1)) for g2, g1 in pairs]
    assert quality.objective == pytest.approx(sum(inner(*pair) for pair in aligned))
    assert quality.bound == pytest.approx(sum(norm(g2) * norm(g1) for g2, g1 in pairs))
    (g2, permuted), (_, g1) = aligned[1], pairs[1]
    assert quality.cosine == pytest.approx(inner(g2, permuted) / norm(g2) / norm(g1))
    assert quality.unmoved == pytest.approx(sum(inner(*pair) for pair in pairs))
    assert found.steps[0].quality.matched == pytest.approx(found.steps[0].quality.cosine)
    assert quality.converged
    assert quality.num_sweeps >= 1


@pytest.mark.parametrize("method", ["gmt", "fgmt"])
def test_the_objective_of_normalised_pairs_has_a_bound_too(method):
    matching = MatchingSettings(normalise=True)
    source = mlp(0, 6, 5)
    found = transfer(
        [source, later(source)], mlp(1, 6, 5), batches(), Options(method=method, steps=3, matching=matching)
    )
    tensors_in_pairs = [6, 12, 18]
    assert [step.quality.bound for step in found.steps] == pytest.approx(tensors_in_pairs)
    assert all(0 < step.quality.matched <= 1 for step in found.steps)
    assert found.steps[0].quality.unmoved < found.steps[0].quality.objective  # the search began there


def test_moved_and_changed_units_are_counted():
    source = mlp(0, 6, 5)
    found = transfer([source, later(source)], mlp(1, 6, 5), batches(), Options(steps=1))
    still = identity({group: len(order) for group, order in found.permutation.items()})
    moved_units = sum(int((order != still[group]).sum()) for group, order in found.permutation.items())
    assert moved_units > 0
    assert (found.steps[0].num_moved, found.steps[0].num_changed) == (moved_units, moved_units)
    drawn_once = transfer([source, later(source)], mlp(1, 6, 5), batches(), Options(method="random", steps=2))
    assert drawn_once.steps[1].num_changed == 0
    assert drawn_once.steps[1].num_moved == drawn_once.steps[0].num_moved > 0


def test_the_state_dict_loads_and_has_batch_norm_statistics_of_the_mini_batches():
    source, target, given = conv(0), conv(1), batches(3, dtype=torch.float32)
    found = transfer([source, later(source)], target, given, Options(steps=2))
    net = conv(2)
    net.load_state_dict(found.parameters)
    features = [nn.functional.conv2d(x, found.parameters["0.weight"], padding=1) for x, _ in given]
    mean = torch.stack([own.mean((0, 2, 3)) for own in features]).mean(0)
    var = torch.stack([own.var((0, 2, 3)) for own in features]).mean(0)
    torch.testing.assert_close(found.parameters["1.running_mean"], mean)
    torch.testing.assert_close(found.parameters["1.running_var"], var)
    assert list(found.parameters) == list(target.state_dict())


def test_nothing_that_is_given_is_changed_or_shared():
    source, target, given = conv(0), conv(1).train(), batches(3, dtype=torch.float32)
    end = later(source)
    before = copy.deepcopy((source.state_dict(), end, target.state_dict(), given))
    found = transfer([source, end], target, given, Options(steps=2))
    for own in found.parameters.values():
        own.zero_()
    after = (source.state_dict(), end, target.state_dict(), given)
    for old, new in zip(before[:3], after[:3], strict=True):
        assert all(torch.equal(old[name], new[name]) for name in old)
    assert all(
        torch.equal(a, b)
        for old, new in zip(before[3], given, strict=True)
        for a, b in zip(old, new, strict=True)
    )
    assert target.training
    assert all(own.requires_grad and own.grad is None for own in target.parameters())


def test_a_target_may_be_a_state_dict_without_buffers():
    source, target, given = conv(0), conv(1), batches(3, dtype=torch.float32)
    whole = transfer([source, later(source)], target, given, Options(steps=2))
    bare = {
        name: own for name, own in target.state_dict().items() if "running" not in name and "num_" not in name
    }
    found = transfer([source, later(source)], bare, given, Options(steps=2), net=conv(3))
    assert all(torch.equal(found.parameters[name], own) for name, own in whole.parameters.items())


def test_points_are_followed_and_with_steps_only_their_ends_count():
    source, target, given = mlp(0), mlp(1), batches()
    points = [state(source), later(source, 1), later(source, 2), later(source, 3)]
    actual = transfer(points, target, given)
    assert len(actual.steps) == 3
    line = transfer(points, target, given, Options(steps=3))
    ends = transfer([points[0], points[-1]], target, given, Options(steps=3))
    assert all(torch.equal(line.parameters[name], own) for name, own in ends.parameters.items())
    assert len(transfer([points[0], points[-1]], target, given).steps) == 10


def test_any_trajectory_is_a_source():
    source, target, given = mlp(0), mlp(1), batches()
    start, end = state(source), later(source)
    line = transfer([start, end], target, given, Options(steps=3))
    given_line = transfer(Linear(start, end, GRIDS["uniform"](3)), target, given)
    assert all(torch.equal(line.parameters[name], own) for name, own in given_line.parameters.items())


def test_the_step_of_the_highest_score_is_the_result():
    source, target, given = mlp(0), mlp(1), batches()
    ends = [state(source), later(source)]
    scores, watched = iter([0.2, 0.9, 0.9, 0.1]), []
    options = Options(steps=4, score=lambda net: next(scores), watch=watched.append)
    found = transfer(ends, target, given, options)
    assert found.chosen == 2
    assert [step.score for step in found.steps] == [0.2, 0.9, 0.9, 0.1]
    assert watched == list(found.steps)
    half = transfer(Linear(*ends, [0.0, 0.25, 0.5]), target, given)
    assert all(torch.equal(found.parameters[name], own) for name, own in half.parameters.items())


def test_a_loader_of_torch_gives_batches_and_few_are_used_again():
    source, target, given = mlp(0), mlp(1), batches(2)
    data = TensorDataset(torch.cat([x for x, _ in given]), torch.cat([y for _, y in given]))
    found = transfer([source, later(source)], target, DataLoader(data, batch_size=12), Options(steps=4))
    same = transfer([source, later(source)], target, given * 2, Options(steps=4))
    assert all(torch.equal(found.parameters[name], own) for name, own in same.parameters.items())


def test_a_layer_under_two_names_is_one():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(SIDE * SIDE, 6).double()
            self.again, self.last = self.first, nn.Linear(6, CLASSES).double()

        def forward(self, x):
            return self.last(torch.relu(self.again(x.flatten(1))))

    source, target = drawn(Twice(), 0), drawn(Twice(), 1)
    found = transfer([source, later(source)], target, batches(), Options(steps=2))
    target.load_state_dict(found.parameters)
    assert torch.equal(found.parameters["again.weight"], found.parameters["first.weight"])


def test_the_report_says_how_well_it_went():
    source = mlp(0, 6, 5)
    found = transfer([source, later(source)], mlp(1, 6, 5), batches(), Options(steps=3))
    first, last = found.steps[0].quality, found.steps[-1].quality
    assert "3 steps, 6 gradient evaluations" in found.report
    share = last.unmoved / last.bound
    assert (
        f"objective {last.matched:.3f} of its bound; {share:.3f} with nothing permuted, {first.matched:.3f} at step 1"
        in (found.report)
    )
    assert f"of {found.num_units} units moved" in found.report
    assert "over 2 groups; every search converged" in found.report
    hurried = Options(steps=2, matching=MatchingSettings(max_sweeps=1, start="identity"))
    assert (
        "not converged at step 1"
        in transfer([source, later(source)], mlp(1, 6, 5), batches(), hurried).report
    )
    naive = transfer([source, later(source)], mlp(1, 6, 5), batches(), Options(method="naive"))
    assert naive.report.splitlines()[1:] == ["0 of 11 units moved; the last step changed 0"]


# what a person may get wrong


def refuse(match, source=None, target=None, given=None, options=None, **others):
    net = mlp(0)
    with pytest.raises(ValueError, match=f"(?s){match}"):
        transfer(
            [net, later(net)] if source is None else source,
            mlp(1) if target is None else target,
            batches() if given is None else given,
            options or Options(steps=2),
            **others,
        )


def test_another_architecture_is_told_tensor_by_tensor():
    refuse(
        r"point 0 of the source does not fit the net, a Sequential.*'1.weight' has the shape \(6, 16\)",
        target=mlp(1, 8),
    )
    refuse(
        r"the target does not fit the net.*'1.weight' has the shape",
        target=mlp(1, 8).state_dict(),
        net=mlp(1),
    )
    start = state(mlp(0))
    other = {**start, "1.wight": start["1.weight"]}
    del other["1.weight"]
    refuse(
        r"point 1 .*\n *'1.weight' is missing \(did you mean '1.wight'\?\)\n *'1.wight' is no tensor",
        [start, other],
    )
    many = {f"layer{number}": torch.zeros(1) for number in range(20)}
    refuse(r"and 12 more", [start, {**start, **many}])


def test_dtypes_and_numbers_must_be_those_of_a_net():
    start = state(mlp(0))
    single = {name: own.float() for name, own in start.items()}
    refuse(r"'1.weight' is torch.float32, and in the net torch.float64: convert", [single, single])
    broken = later(mlp(0))
    broken["3.bias"][1] = torch.nan
    refuse(r"point 1 .*'3.bias' is not finite everywhere", [start, broken])


def test_a_source_that_has_not_moved_is_the_usual_mistake_with_state_dicts():
    net = mlp(0)
    refuse(r"are equal, .*copy.deepcopy\(net.state_dict\(\)\)", [net.state_dict(), net.state_dict()])


def test_a_source_has_two_points():
    refuse(r"source: a trajectory has two points or more.*got 1", [mlp(0)])


def test_a_state_dict_needs_its_net_and_a_module_is_one():
    refuse(r"net: a state dict does not say how", target=mlp(1).state_dict())
    refuse(r"net: the target is a module already", net=mlp(1))
    refuse(r"a ReLU without parameters", target=nn.ReLU())


def test_mini_batches_are_pairs_of_normalised_images_and_labels():
    (x, y), *_ = batches()
    refuse(r"batches: no mini-batch is there; an iterator that was used before", given=iter([]))
    refuse(r"mini-batch 0 is no pair of tensors", given=iter([x]))
    refuse(
        r"mini-batch 1: images are what the net takes.*torch.uint8", given=[(x, y), (x.to(torch.uint8), y)]
    )
    refuse(r"mini-batch 0: labels are one whole number.*\(5,\) for 12 images", given=[(x, y[:5])])
    refuse(r"mini-batch 0: labels are one whole number.*torch.float32", given=[(x, y.float())])
    refuse(r"images have the axes .*\(12, 16\)", given=[(x.flatten(1), y)])
    refuse(r"the net cannot take images of the shape \(8, 1, 4, 2\)", given=[(x[..., :2], y)])
    refuse(
        r"labels run from 0 to 7, and the net has the classes 0 to 2",
        given=[(x, y.clamp(max=0).index_fill(0, torch.tensor([3]), 7))],
    )


def test_a_net_that_cannot_be_traced_needs_a_spec_by_hand_and_a_wrong_one_is_refused():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(SIDE * SIDE, 6).double(), nn.Linear(6, CLASSES).double()

        def forward(self, x):
            hidden = torch.relu(self.first(x.flatten(1)))
            return self.last(hidden if hidden.sum() > -1 else -hidden)

    net, target = drawn(Branching(), 0), drawn(Branching(), 1)
    refuse(r"trace_spec .*verify_spec", [net, later(net)], target)
    hidden = Axis("hidden")
    right = {
        "first.weight": (hidden, None),
        "first.bias": (hidden,),
        "last.weight": (None, hidden),
        "last.bias": (None,),
    }
    found = transfer([net, later(net)], target, batches(), Options(steps=2), spec=PermutationSpec(right))
    assert set(found.permutation) == {"hidden"}
    wrong = {**right, "first.bias": (None,)}
    refuse(r"first.bias", [net, later(net)], target, spec=PermutationSpec(wrong))


def test_a_net_takes_images_alone_and_gives_logits():
    class Two(nn.Module):
        def __init__(self, logits):
            super().__init__()
            self.layer, self.logits = nn.Linear(SIDE * SIDE, CLASSES).double(), logits

        def forward(self, x, *more):
            return self.logits(self.layer(x.flatten(1)), *more)

    for logits, match in (
        (
            lambda y, z: y + z,
            r"the net cannot take images of the shape .*missing 1 required positional argument: 'z'",
        ),
        (lambda y: (y, y), r"the net must give one tensor of logits \(batch, classes\)"),
        (lambda y: y[:, None], r"the net must give one tensor of logits \(batch, classes\)"),
    ):
        net = drawn(Two(logits), 0)
        refuse(match, [net, later(net)], drawn(Two(logits), 1))


def test_the_oracle_and_unknown_options_are_refused():
    refuse("the oracle needs the target trained", options=Options(method="oracle"))
    with pytest.raises(ValueError, match="method"):
        Options(method="fgtm")
    with pytest.raises(ValueError, match="step"):
        Options(step=3)
