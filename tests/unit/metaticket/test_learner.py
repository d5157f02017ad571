"""Sections 1.3, 1.4 and 2: what is learned, and start and rates of the inner loop as functions of it."""

import pytest
import torch
from metaticket_problems import LEARNING, learner_of, network_of, run_of
from torch.utils._python_dispatch import TorchDispatchMode

from carryover.core.rng import generator
from carryover.metaticket.learner import Learner, inner_rates, learned_names
from carryover.metaticket.methods import METHODS
from carryover.metaticket.roles import roles_of
from carryover.sparse.masks import at_least

NAMES = [
    "fc1.weight", "fc1.bias", "norm1.weight", "norm1.bias",
    "fc2.weight", "fc2.bias", "norm2.weight", "norm2.bias",
    "classifier.weight", "classifier.bias",
]  # fmt: skip
BODY, HEAD = ["fc1.weight", "fc2.weight"], ["classifier.weight", "classifier.bias"]
ADAPTED = {
    "maml": NAMES,
    "anil": HEAD,
    "boil": NAMES[:-2],
    "meta-lth": NAMES,
    "metaticket": NAMES,
    "metaticket-boil": NAMES[:-2],
    "random": NAMES,
}
LEARNED = {method: NAMES if METHODS[method].learns else [] for method in METHODS}


def small(**parts):
    """A learner of one masked weight [w], one free one [u] and a head that no step moves [h]."""
    own = {
        "weights": {"w": torch.tensor([3.0, -5.0, 7.0]), "u": torch.tensor([2.0]), "h": torch.tensor([4.0])},
        "roles": {"w": "body", "u": "norm", "h": "head"},
        "rates": {"w": 0.5, "u": 0.25},
        "learned": (),
        "scores": {"w": torch.tensor([0.1, 0.9, 0.5])},
        "thresholds": {"w": torch.tensor(0.5)},
    }
    return Learner(**{**own, **parts})


@pytest.mark.parametrize("method", METHODS)
def test_each_method_adapts_and_learns_the_roles_of_its_row(method):
    run = run_of(method)
    roles = roles_of(network_of(run).net)
    assert list(roles) == NAMES
    assert inner_rates(run, roles) == dict.fromkeys(ADAPTED[method], 0.3)
    assert list(learned_names(run, roles, {})) == LEARNED[method]


def test_a_role_may_have_a_rate_of_its_own_and_rate_0_leaves_it_out():
    run = run_of("maml", inner_lrs={"head": 0.7, "norm": 0})
    rates = inner_rates(run, roles_of(network_of(run).net))
    assert {name: rates.get(name) for name in NAMES[:4]} == {
        "fc1.weight": 0.3, "fc1.bias": 0.3, "norm1.weight": None, "norm1.bias": None,
    }  # fmt: skip
    assert {rates[name] for name in HEAD} == {0.7}


def test_a_rate_for_a_role_that_the_method_does_not_adapt_changes_nothing():
    run = run_of("boil", inner_lrs={"head": 0.7})
    assert list(inner_rates(run, roles_of(network_of(run).net))) == NAMES[:-2]


def test_a_meta_ticket_learns_auxiliary_values_of_all_that_is_not_masked_when_they_have_a_rate():
    for masked in ({"fc1.weight", "fc2.weight"}, {"fc2.weight"}):
        run = run_of("metaticket", auxiliary_lr=0.1)
        names = learned_names(run, roles_of(network_of(run).net), dict.fromkeys(masked))
        assert names == tuple(name for name in NAMES if name not in masked)
    run = run_of("random", auxiliary_lr=0.1)
    assert learned_names(run, roles_of(network_of(run).net), {}) == ()


@pytest.mark.parametrize("method", LEARNING)
def test_variables_are_scores_and_learned_weights_the_tensors_themselves(method):
    learner = learner_of(run_of(method), network_of(run_of(method)))
    variables = learner.variables
    expected = {f"scores/{name}" for name in learner.scores} | {f"weights/{name}" for name in LEARNED[method]}
    assert set(variables) == expected
    for name, tensor in variables.items():
        part, _, own = name.partition("/")
        assert getattr(learner, part)[own] is tensor


def test_masks_keep_scores_from_the_threshold_on_and_pass_their_gradient_through():
    learner = small()
    learner.scores["w"].requires_grad_()
    mask = learner.masks()["w"]
    assert mask.tolist() == [0, 1, 1]
    (mask * torch.tensor([2.0, 3.0, 5.0])).sum().backward()
    assert learner.scores["w"].grad.tolist() == [2, 3, 5]


def test_fixed_masks_are_taken_as_they_are():
    fixed = torch.tensor([1.0, 0.0, 1.0])
    learner = small(scores={}, thresholds={}, fixed_masks={"w": fixed})
    assert learner.masks()["w"] is fixed
    start, rates = learner.parametrise()
    assert start["w"].tolist() == [3, 0, 7]
    assert rates["w"].tolist() == [0.5, 0, 0.5]


def test_a_masked_weight_starts_at_what_is_kept_and_moves_where_it_is_kept():
    start, rates = small().parametrise()
    assert start["w"].tolist() == [0, -5, 7]
    assert rates["w"].tolist() == [0, 0.5, 0.5]
    assert rates["u"] == 0.25
    assert list(start) == ["w", "u", "h"]
    assert set(rates) == {"w", "u"}


def test_a_masked_weight_that_is_not_adapted_has_no_rate():
    start, rates = small(rates={"u": 0.25}).parametrise()
    assert start["w"].tolist() == [0, -5, 7]
    assert rates == {"u": 0.25}


def test_unmasked_weights_are_the_start_themselves():
    learner = small()
    start, _ = learner.parametrise()
    assert start["u"] is learner.weights["u"]
    assert start["h"] is learner.weights["h"]


@pytest.mark.parametrize(("second", "factor"), [(True, 2.0), (False, 1.0)])
def test_a_score_gets_the_weight_times_the_gradient_of_the_start_and_the_rate_once_for_each_factor(
    second, factor
):
    """d(m w)/dm = w and d(alpha m^2)/dm = 2 alpha m; of first order, one factor of m^2 is a constant."""
    learner = small()
    learner.scores["w"].requires_grad_()
    start, rates = learner.parametrise(second=second)
    of_start, of_rates = torch.tensor([1.0, 10.0, 100.0]), torch.tensor([1000.0, 2000.0, 3000.0])
    gradients = learner.outer(start, rates, {"w": of_start}, {"w": of_rates})
    mask = torch.tensor([0.0, 1.0, 1.0])
    expected = learner.weights["w"] * of_start + factor * 0.5 * mask * of_rates
    assert list(gradients) == ["scores/w"]
    assert torch.equal(gradients["scores/w"], expected)


def test_a_learned_weight_gets_the_gradient_of_the_start_through_its_mask():
    fixed = {"w": torch.tensor([1.0, 0.0, 1.0])}
    learner = small(scores={}, thresholds={}, fixed_masks=fixed, learned=("w", "h"))
    for tensor in learner.variables.values():
        tensor.requires_grad_()
    start, rates = learner.parametrise()
    assert not rates["w"].requires_grad
    gradients = learner.outer(
        start, rates, {"w": torch.tensor([5.0, 6.0, 7.0]), "h": torch.tensor([8.0])}, {}
    )
    assert {name: gradient.tolist() for name, gradient in gradients.items()} == {
        "weights/w": [5, 0, 7],
        "weights/h": [8],
    }


def test_gradients_are_in_the_order_of_the_variables():
    learner = small(learned=("h", "u"))
    for tensor in learner.variables.values():
        tensor.requires_grad_()
    start, rates = learner.parametrise()
    given = {name: torch.full_like(tensor, 9.0) for name, tensor in start.items()}
    gradients = learner.outer(start, rates, given, {"w": torch.zeros(3)})
    assert list(gradients) == list(learner.variables) == ["scores/w", "weights/h", "weights/u"]


def test_sparsity_is_the_pruned_fraction_of_each_weight():
    learner = small(fixed_masks={"v": torch.tensor([1.0, 0.0, 0.0, 0.0])})
    assert {name: sparsity.item() for name, sparsity in learner.sparsities().items()} == pytest.approx(
        {"v": 0.75, "w": 1 / 3}
    )


@pytest.mark.parametrize("number", [1, 7, 10_000, 3_000_001])
def test_a_mask_of_ones_has_sparsity_0_exactly(number):
    learner = small(scores={"w": torch.ones(number)}, thresholds={"w": torch.tensor(1.0)})
    assert learner.sparsities()["w"].item() == 0


class Allocations(TorchDispatchMode):
    """Counts what is computed on tensors as large as a weight."""

    def __init__(self, size):
        super().__init__()
        self.size, self.names = size, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.numel() == self.size:
            self.names.append(function.name().removeprefix("aten::"))
        return result


def test_a_start_takes_few_passes_over_each_masked_weight():
    """The threshold and its cast, the masked weight, and the rate by two products."""
    scores = torch.rand(1234, generator=generator(0, "scores")).requires_grad_()
    learner = small(scores={"w": scores}, weights={"w": torch.ones(1234)}, rates={"w": 0.5})
    with Allocations(1234) as made:
        learner.parametrise()
    computed = [name for name in made.names if name not in ("alias", "detach", "view_as")]
    assert len(computed) <= 5, computed
    assert at_least(scores, 0.5).sum() > 0
