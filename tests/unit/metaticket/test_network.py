from math import log

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from carryover.core.block import Tensors
from carryover.data.tasks import Tasks
from carryover.metaticket.network import Network
from carryover.metaticket.settings import FewshotTraining, Norm
from carryover.metaticket.starts import draw_start
from carryover.nets.episode import build_episode_net
from carryover.nets.episode_norm import EpisodeNorm

NETS: dict[str, tuple[dict[str, object], tuple[int, ...]]] = {
    "episode-mlp": ({"hidden": (6, 5)}, (1, 4, 4)),
    "conv4": ({"channels": 3}, (1, 16, 16)),
    "resnet12": ({"channels": (2, 3, 3, 2)}, (3, 16, 16)),
    "wrn28": ({"width": 1}, (3, 6, 6)),
}
EVERY_NET = pytest.mark.parametrize("kind", NETS)


def network_of(kind: str, norm: Norm) -> tuple[Network, Tensors]:
    own, shape = NETS[kind]
    run = FewshotTraining.model_validate(
        {"dataset": "d", "net": {"kind": kind, **own}, "method": "maml", "outer_steps": 0, "norm": norm}
    )
    net = build_episode_net(run.net, shape, 5, norm=norm != "none").requires_grad_(False).double()
    parameters = {name: tensor.double() for name, tensor in draw_start(net, run, 1).items()}
    return Network(net, norm), parameters


def task_of(kind: str, queries: int = 10) -> Tasks:
    draw, shape = torch.Generator().manual_seed(2), NETS[kind][1]
    images = torch.rand(10 + queries, *shape, generator=draw, dtype=torch.float64)
    labels = torch.arange(10 + queries) % 5
    return Tasks(images[:10], labels[:10], images[10:], labels[10:])


def keep(task: Tasks, which: list[int]) -> Tasks:
    return task._replace(query_x=task.query_x[which], query_y=task.query_y[which])


@EVERY_NET
def test_a_transductive_prediction_depends_on_what_else_is_asked(kind: str):
    network, parameters = network_of(kind, "transductive")
    task = task_of(kind)
    every = network.query_outputs(parameters, task)
    fewer = network.query_outputs(parameters, keep(task, [0, 1, 2, 3]))
    assert (every[:4] - fewer).abs().max() > 1e-3


@EVERY_NET
@pytest.mark.parametrize("norm", ["support", "none"])
def test_a_prediction_from_the_supports_statistics_is_the_same_whatever_else_is_asked(kind: str, norm: Norm):
    network, parameters = network_of(kind, norm)
    task = task_of(kind)
    every = network.query_outputs(parameters, task)
    for which in ([0, 1, 2, 3], [3], [9, 4, 0]):
        fewer = network.query_outputs(parameters, keep(task, which))
        torch.testing.assert_close(fewer, every[which], rtol=0, atol=1e-12)


@EVERY_NET
def test_by_the_supports_statistics_the_support_is_seen_as_the_inner_loop_sees_it(kind: str):
    network, parameters = network_of(kind, "support")
    task = task_of(kind)
    inner = functional_call(network.net, parameters, (task.support_x,))
    asked = network.query_outputs(parameters, task._replace(query_x=task.support_x))
    torch.testing.assert_close(asked, inner, rtol=0, atol=1e-12)
    assert (network.query_outputs(parameters, task) - inner).abs().max() > 1e-3


@EVERY_NET
def test_a_transductive_query_is_normalised_by_itself_alone(kind: str):
    network, parameters = network_of(kind, "transductive")
    task = task_of(kind)
    other = task._replace(support_x=1 - task.support_x)
    assert torch.equal(network.query_outputs(parameters, task), network.query_outputs(parameters, other))
    alone = functional_call(network.net, parameters, (task.query_x,))
    assert torch.equal(network.query_outputs(parameters, task), alone)


def test_a_prediction_leaves_the_norms_as_they_were():
    network, parameters = network_of("conv4", "support")
    network.query_outputs(parameters, task_of("conv4"))
    norms = [module for module in network.net.modules() if isinstance(module, EpisodeNorm)]
    assert len(norms) == 4
    assert all(norm.num_reference is None and norm.fused for norm in norms)


def test_the_loss_of_classes_is_the_mean_cross_entropy_in_nats_and_the_score_a_fraction():
    network, _ = network_of("episode-mlp", "transductive")
    outputs, targets = (
        torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 3.0]]),
        torch.tensor([0, 1, 0, 0]),
    )
    each: list[float] = [log(2), log(2), log(1 + 2.718281828459045**-1), log(1 + 2.718281828459045**3)]
    assert network.loss(outputs, targets).item() == pytest.approx(sum(each) / 4, rel=1e-6)
    assert network.score(outputs, targets).item() == 0.5
    assert network.score(outputs[2:], targets[2:]).dtype == outputs.dtype


def test_loss_and_score_of_a_regression_are_the_mean_squared_error():
    network = Network(torch.nn.Identity(), "none", regression=True)
    outputs, targets = torch.tensor([[1.0], [3.0]], requires_grad=True), torch.tensor([[0.0], [1.0]])
    assert network.loss(outputs, targets).item() == 2.5
    assert network.score(outputs, targets).item() == 2.5
    assert not network.score(outputs, targets).requires_grad


def test_the_support_loss_is_that_of_the_supports_outputs():
    network, parameters = network_of("episode-mlp", "transductive")
    task = task_of("episode-mlp")
    outputs: Tensor = functional_call(network.net, parameters, (task.support_x,))
    expected = -outputs.log_softmax(-1)[torch.arange(10), task.support_y].mean()
    torch.testing.assert_close(network.support_loss(parameters, task), expected)
