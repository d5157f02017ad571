import math

import pytest
import torch
from torch.func import functional_call

from carryover.core import rng
from carryover.data.tasks import Tasks
from carryover.metaticket.analysis import analyse
from carryover.metaticket.batching import Batching
from carryover.metaticket.network import Network
from carryover.metaticket.settings import FewshotTraining
from carryover.nets.episode import build_episode_net
from carryover.stages.train_fewshot import draw_learner

FP64 = torch.zeros((), dtype=torch.float64)
NETS = {
    "episode-mlp": ({"kind": "episode-mlp", "hidden": [9, 7]}, (1, 4, 4)),
    "conv4": ({"kind": "conv4", "channels": 4}, (1, 16, 16)),
    "resnet12": ({"kind": "resnet12", "channels": [3, 3, 4, 4]}, (1, 16, 16)),
    "wrn28": ({"kind": "wrn28", "width": 1}, (1, 8, 8)),
    "regressor": ({"kind": "regressor", "hidden": 6}, (1,)),
}
LAYERS = {"episode-mlp": 2, "conv4": 4, "resnet12": 4, "wrn28": 4, "regressor": 2}
WAYS, LR = 3, 0.2


def made(method, kind="episode-mlp", **changes):
    net, shape = NETS[kind]
    values = {"dataset": "d", "method": method, "ways": WAYS, "outer_steps": 1, "inner_lr": LR, **changes}
    run = FewshotTraining.model_validate({"net": net, **values})
    outputs = 1 if kind == "regressor" else WAYS
    built = build_episode_net(run.net, shape, outputs, norm=run.norm != "none")
    network = Network(built.requires_grad_(False), run.norm, kind == "regressor")
    return network, draw_learner(network, run, 5, None, FP64)


def tasks_for(kind="episode-mlp", num=3, shots=2):
    draw = rng.generator(0, "test analysis", kind, num)
    shape = NETS[kind][1]
    size = WAYS * shots
    x, y = (torch.randn(num, size, *shape, generator=draw, dtype=FP64.dtype) for _ in range(2))
    labels = torch.arange(WAYS).repeat_interleave(shots).expand(num, -1)
    if kind == "regressor":
        return Tasks(x, x.sin(), y, y.sin())
    return Tasks(x, labels, y, labels)


def found(method, kind="episode-mlp", num_steps=2, shots=2, batching=None, **changes):
    network, learner = made(method, kind, **changes)
    learner.weights = dict(sorted(learner.weights.items()))  # as a file has them
    findings = analyse(network, learner, [tasks_for(kind, shots=shots)], num_steps, batching or Batching())
    values = {(each.layer, each.metric): each.value for each in findings}
    assert len(values) == len(findings)
    assert all(map(math.isfinite, values.values()))
    return values


def test_the_features_of_anil_do_not_change_and_its_classifier_does():
    values = found("anil")
    assert values["1", "cka"] == values["2", "cka"] == 1
    for layer in ("1", "2"):
        for where in ("within", "between"):
            assert values[layer, f"{where}_before"] == values[layer, f"{where}_after"]
    changes = {name: value for (name, metric), value in values.items() if metric == "change"}
    assert changes.pop("classifier.weight") > 0
    assert changes == dict.fromkeys(["fc1.weight", "norm1.weight", "fc2.weight", "norm2.weight"], 0.0)


def test_boil_changes_features_and_not_its_classifier():
    values = found("boil")
    assert max(values["1", "cka"], values["2", "cka"]) < 1
    assert values["fc2.weight", "change"] > 0
    assert values["classifier.weight", "change"] == 0


def test_more_steps_change_more():
    one, five = found("maml", num_steps=1), found("maml", num_steps=5)
    assert five["2", "cka"] < one["2", "cka"] < 1
    assert five["fc1.weight", "change"] > one["fc1.weight", "change"]
    assert five["fc1.weight", "gradient"] == one["fc1.weight", "gradient"]


def test_gradient_and_change_are_those_of_a_step_on_unmasked_weights():
    network, learner = made("metaticket", initial_sparsity=0.4)
    values = found("metaticket", num_steps=1, initial_sparsity=0.4)
    masks, tasks = learner.masks(), tasks_for()
    sizes = {name: [] for name in learner.weights}
    changes = {name: [] for name in learner.weights}
    for number in range(len(tasks.support_x)):
        own = {name: w.clone().requires_grad_() for name, w in learner.weights.items()}
        masked = {name: w * masks[name] if name in masks else w for name, w in own.items()}
        logits = functional_call(network.net, masked, (tasks.support_x[number],))
        torch.nn.functional.cross_entropy(logits, tasks.support_y[number]).backward()
        for name, weight in own.items():
            kept = masks.get(name, torch.ones_like(weight))
            sizes[name].append(weight.grad.abs().mean() / kept.mean())
            changes[name].append((LR * weight.grad * kept).norm() / (weight * kept).norm())
    for name in learner.weights:
        assert values[name, "gradient"] == pytest.approx(sum(sizes[name]).item() / 3, abs=1e-12), name
        if ("fc" in name or "classifier" in name) and name.endswith("bias"):
            assert (name, "change") not in values
    for name in ("fc1.weight", "fc2.weight", "norm2.weight", "classifier.weight"):
        assert values[name, "change"] == pytest.approx(sum(changes[name]).item() / 3, abs=1e-12), name
    for name, mask in masks.items():
        assert values[name, "sparsity"] == pytest.approx(1 - mask.mean().item(), abs=1e-15)
    assert {name for name, metric in values if metric == "sparsity"} == {"fc1.weight", "fc2.weight"}


@pytest.mark.parametrize("kind", NETS)
def test_every_net_has_its_layers_and_parameters(kind):
    values = found("maml", kind)
    assert [layer for layer, metric in values if metric == "cka"] == [str(n + 1) for n in range(LAYERS[kind])]
    assert all(0 < value <= 1 for (_, metric), value in values.items() if metric == "cka")
    classes = {metric for _, metric in values if metric.startswith(("within", "between"))}
    assert len(classes) == (0 if kind == "regressor" else 4)
    net = made("maml", kind)[0].net
    assert [name for name, metric in values if metric == "gradient"] == [
        name for name, _ in net.named_parameters()
    ]


def test_one_example_of_a_class_has_no_similarity_within_classes():
    metrics = {metric for _, metric in found("maml", shots=1)}
    assert {"between_before", "between_after"} <= metrics
    assert not {"within_before", "within_after"} & metrics


def test_activations_are_normalised_as_predictions_are():
    values = {norm: found("maml", norm=norm)["2", "cka"] for norm in ("transductive", "support", "none")}
    assert len(set(values.values())) == 3


@pytest.mark.parametrize("kind", ["episode-mlp", "conv4"])
@pytest.mark.parametrize("batching", [Batching("loop", 2), Batching("vmap"), Batching("vmap", 2)], ids=str)
def test_how_tasks_are_batched_changes_nothing(kind, batching):
    reference, values = found("metaticket", kind), found("metaticket", kind, batching=batching)
    assert values == pytest.approx(reference, abs=1e-10)


def test_roles_are_those_of_the_parameters_and_hidden_layers_are_the_body():
    network, learner = made("maml")
    for each in analyse(network, learner, [tasks_for()], 1, Batching()):
        assert each.role == learner.roles.get(each.layer, "body")
