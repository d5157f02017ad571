"""Assumption (P): increments of two trainings on the same batches, and the permutation that makes them alike."""

from dataclasses import dataclass
from itertools import permutations

import pytest
import torch
from torch import nn

from carryover.core import rng
from carryover.nets.build import build_net
from carryover.nets.settings import MlpSettings
from carryover.permute.permutation import draw as draw_permutation
from carryover.permute.permutation import permute
from carryover.permute.spec import Axis, PermutationSpec
from carryover.train.weights import stack_nets
from carryover.transfer.increments import Increment, cosine_of, cosines_of, increments
from carryover.transfer.settings import CosineRun, NetTraining
from carryover.transfer.vectors import inner

HIDDEN = 5
NET = MlpSettings(kind="mlp", hidden=(HIDDEN,))
RUN = NetTraining(
    dataset="drawn", net=NET, epochs=3, batch_size=20, lr=0.1, weight_decay=0.01, schedule="cosine"
)
SPEC = PermutationSpec(
    {
        "fc1.weight": (Axis("h"), None),
        "fc1.bias": (Axis("h"),),
        "fc2.weight": (None, Axis("h")),
        "fc2.bias": (None,),
    }
)


@dataclass
class Drawn:
    """Batches of one net, the same whenever an epoch is asked for; the last one is smaller."""

    num_steps: int = 4

    def epoch(self, epoch, start=0):
        draw = rng.generator(epoch, "batches")
        for step in range(self.num_steps):
            size = 20 if step + 1 < self.num_steps else 7
            images = torch.randn(1, size, 1, 2, 3, generator=draw, dtype=torch.float64)
            labels = (images.flatten(2).argmax(-1) % 3).long()
            if step >= start:
                yield images, labels


def net():
    return build_net(NET, (1, 2, 3), 3, affine=True).double()


def start(seed):
    draw = rng.generator(seed, "start")
    return {n: torch.randn(p.shape, generator=draw, dtype=p.dtype) for n, p in net().named_parameters()}


def run_of(**settings):
    return CosineRun.model_validate({"training": "drawn", "steps": 8, "every": 2, **settings})


def nets_of(source, target):
    return stack_nets(net(), [source, target], "fp32", torch.zeros(1, dtype=torch.float64))


def moves_of(source, target, cosines):
    return list(increments(nets_of(source, target), Drawn(), RUN, cosines))


def drawn_moves(count, seed=0):
    return [Increment(t + 1, start(seed + 2 * t), start(seed + 2 * t + 1)) for t in range(count)]


def flat(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


@pytest.fixture(scope="module")
def trained():
    return moves_of(start(1), start(2), run_of())


def test_increments_are_those_of_two_separate_trainings_on_the_same_batches(trained):
    assert [move.step for move in trained] == [2, 4, 6, 8]
    for role, seed in (("source", 1), ("target", 2)):
        alone = net()
        alone.load_state_dict(start(seed))
        for parameter in alone.parameters():
            parameter.requires_grad_(True)
        sgd = torch.optim.SGD(alone.parameters(), lr=RUN.lr, momentum=0.9, weight_decay=0.01)
        points = [flat(start(seed))]
        for epoch in range(2):
            sgd.param_groups[0]["lr"] = (RUN.lr, RUN.lr * 0.75)[epoch]  # cosine over three epochs
            for images, labels in Drawn().epoch(epoch):
                sgd.zero_grad()
                nn.functional.cross_entropy(alone(images[0]), labels[0]).backward()
                sgd.step()
                points.append(flat(dict(alone.named_parameters())).detach().clone())
        for number, move in enumerate(trained):
            torch.testing.assert_close(flat(getattr(move, role)), points[2 * number + 2] - points[2 * number])


def test_steps_that_do_not_fill_an_increment_are_not_made(trained):
    nets = nets_of(start(1), start(2))
    moves = list(increments(nets, Drawn(), RUN, run_of(steps=7)))
    assert [move.step for move in moves] == [2, 4, 6]
    for move, longer in zip(moves, trained, strict=False):
        assert torch.equal(flat(move.target), flat(longer.target))
    ends = flat({name: tensor[1] for name, tensor in nets.parameters.items()}).detach()
    torch.testing.assert_close(ends, flat(start(2)) + sum(flat(move.target) for move in moves))


def test_nets_from_one_start_move_alike():
    moves = moves_of(start(1), start(1), run_of())
    for cosine in cosines_of(moves, SPEC, run_of(), seed=0):
        assert cosine.identity == pytest.approx(1)
        assert cosine.permuted == pytest.approx(1)


@pytest.mark.parametrize("mode", ["whole", "prefix"])
def test_a_planted_permutation_makes_all_increments_equal(mode):
    planted = draw_permutation({"h": HIDDEN}, rng.generator(3, "planted"))
    moves = moves_of(start(1), permute(SPEC, planted, start(1)), run_of())
    for move in moves:
        torch.testing.assert_close(flat(permute(SPEC, planted, move.source)), flat(move.target))
    found = list(cosines_of(moves, SPEC, run_of(mode=mode), seed=0))
    assert [cosine.step for cosine in found] == [2, 4, 6, 8]
    assert all(cosine.permuted == pytest.approx(1) for cosine in found)
    assert all(cosine.identity < 0.8 for cosine in found)


def test_a_cosine_is_that_of_all_parameters_as_one_vector(trained):
    permutation = draw_permutation({"h": HIDDEN}, rng.generator(0, "any"))
    for move in trained:
        found, target = cosine_of(move, SPEC, permutation), flat(move.target)
        permuted = flat(permute(SPEC, permutation, move.source))
        assert found.permuted == pytest.approx(torch.cosine_similarity(permuted, target, dim=0).item())
        assert found.identity == pytest.approx(
            torch.cosine_similarity(flat(move.source), target, dim=0).item()
        )


def test_one_permutation_maximises_the_sum_over_all_increments():
    moves = drawn_moves(3)
    tried = {
        order: sum(inner(permute(SPEC, {"h": torch.tensor(order)}, m.source), m.target) for m in moves)
        for order in permutations(range(HIDDEN))
    }
    best = {"h": torch.tensor(max(tried, key=lambda order: tried[order]))}
    found = list(cosines_of(moves, SPEC, run_of(), seed=0))
    assert found == [cosine_of(move, SPEC, best) for move in moves]


def test_each_prefix_has_the_permutation_that_it_would_have_as_a_whole():
    moves = drawn_moves(5, seed=100)
    prefixes = list(cosines_of(moves, SPEC, run_of(mode="prefix"), seed=0))
    for length in range(1, 6):
        whole = list(cosines_of(moves[:length], SPEC, run_of(), seed=0))
        assert whole[-1] == prefixes[length - 1]
    whole = list(cosines_of(moves, SPEC, run_of(), seed=0))
    assert prefixes[0].permuted > whole[0].permuted


def test_prefixes_are_measured_as_their_increments_come():
    asked = []

    def coming():
        for move in drawn_moves(3):
            asked.append(move.step)
            yield move

    found = cosines_of(coming(), SPEC, run_of(mode="prefix"), seed=0)
    next(found)
    assert asked == [1]


def test_normalised_increments_count_alike_however_long_they_are():
    long, *short = drawn_moves(6, seed=100)
    long = Increment(1, {name: 100 * tensor for name, tensor in long.source.items()}, long.target)
    moves = [long, *short]
    settings = run_of(matching={"normalise": True, "accumulate": "fp64"})
    tried = {}
    for order in permutations(range(HIDDEN)):
        permuted = [permute(SPEC, {"h": torch.tensor(order)}, move.source) for move in moves]
        tried[order] = sum(
            torch.cosine_similarity(own[name].flatten(), move.target[name].flatten(), dim=0).item()
            for own, move in zip(permuted, moves, strict=True)
            for name in own
        )
    best = {"h": torch.tensor(max(tried, key=lambda order: tried[order]))}
    found = list(cosines_of(moves, SPEC, settings, seed=0))
    assert found == [cosine_of(move, SPEC, best) for move in moves]
    assert found != list(cosines_of(moves, SPEC, run_of(), seed=0))


def test_a_training_that_is_too_short_is_an_error_that_names_the_steps():
    with pytest.raises(ValueError, match=r"steps: .*drawn has 12.*got 13"):
        moves_of(start(1), start(2), run_of(steps=13))
    with pytest.raises(ValueError, match=r"steps: one increment is 9 .*got 8"):
        moves_of(start(1), start(2), run_of(every=9))


def test_a_training_that_diverges_is_an_error_that_names_the_learning_rate():
    far = {name: tensor * 1e200 for name, tensor in start(1).items()}
    with pytest.raises(ValueError, match=r"diverge within 2 steps at lr = 0\.1; lower it"):
        moves_of(far, start(2), run_of())
