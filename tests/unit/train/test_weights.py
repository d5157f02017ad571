import pytest
import torch
from torch.nn import functional as F

from carryover.core.evaluate import Evaluation
from carryover.core.journal import Journal
from carryover.core.optim import cosine
from carryover.core.resume import NoResume
from carryover.core.rng import generator
from carryover.data.batches import MemoryBatches, Normaliser, evaluation_batches
from carryover.nets.build import build_net
from carryover.nets.init import draw_default
from carryover.train.settings import WeightTraining
from carryover.train.weights import stack_nets, train

IMAGES = torch.randint(0, 17, (26, 1, 6, 6), generator=generator(0, "images"), dtype=torch.uint8)
LABELS = torch.arange(26) % 3
MLP = {"kind": "mlp", "hidden": [9, 8], "bias": True}
BN = {"kind": "resnet", "depth": 18, "width": 1 / 64, "stem": "cifar"}
DOUBLE = torch.zeros((), dtype=torch.float64)


class Bar:
    def update(self, step, **postfix):
        pass


def training(**settings):
    usual = {"dataset": "none", "net": MLP, "epochs": 3, "batch_size": 6, "weight_decay": 0.01, "lr": 0.1}
    return WeightTraining.model_validate({**usual, **settings})


def net_of(run):
    return build_net(run.net, (1, 6, 6), 3, affine=True)


def drawn(run, seeds, like=DOUBLE):
    net = net_of(run)
    return stack_nets(
        net, [{**draw_default(net, s), **dict(net.named_buffers())} for s in seeds], "fp32", like
    )


def batches(run, seeds, like=DOUBLE):
    normaliser = Normaliser(16.0, [0.3], [0.5], like)
    return MemoryBatches(
        IMAGES, LABELS, normaliser, seeds=seeds, batch_size=run.batch_size, augmentation="none"
    )


def journal_of(run, seeds, like=DOUBLE, **more):
    val = evaluation_batches(IMAGES[:9], LABELS[:9], Normaliser(16.0, [0.3], [0.5], like), 7)
    evaluation = Evaluation({"val": val}, len(seeds), run.epochs, 1, ["val"], **more)
    return Journal(seeds, evaluation, NoResume(), Bar())


@pytest.mark.parametrize("net", [MLP, BN])
def test_training_is_that_of_torchs_own_optimizer_and_its_running_accuracy_too(net):
    run = training(net=net, batch_size=13 if net == BN else 6)
    nets, plain = drawn(run, (4,)), net_of(run).double()
    plain.load_state_dict({n: t[0].clone() for n, t in {**nets.parameters, **nets.buffers}.items()})
    journal = journal_of(run, (4,), training=True)
    train(nets, batches(run, (4,)), run, journal)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    accuracies, losses = [], []
    for epoch in range(run.epochs):
        optimizer.param_groups[0]["lr"] = cosine(0.1, epoch, run.epochs)
        right, loss_sum = 0, 0.0
        for images, labels in batches(run, (4,)).epoch(epoch):
            optimizer.zero_grad()
            logits = plain(images[0])
            loss = F.cross_entropy(logits, labels[0])
            loss.backward()
            optimizer.step()
            right += (logits.argmax(1) == labels[0]).sum().item()
            loss_sum += loss.item() * len(labels[0])
        accuracies.append(right / 26)
        losses.append(loss_sum / 26)
    found = {**nets.parameters, **nets.buffers}
    for name, tensor in plain.state_dict().items():
        assert torch.allclose(found[name][0], tensor, rtol=1e-9, atol=1e-9)
    recorded = [r for r in journal.rows if r["split"] == "train"]
    assert [r["value"] for r in recorded if r["metric"] == "accuracy"] == accuracies
    assert [r["value"] for r in recorded if r["metric"] == "loss"] == pytest.approx(losses)


def test_the_curve_begins_with_the_nets_before_the_first_step():
    run = training(epochs=1)
    nets = drawn(run, (4, 5))
    logits = nets.predictor()(
        Normaliser(16.0, [0.3], [0.5], DOUBLE).normalise(IMAGES[:9].double() / 16).expand(2, -1, -1, -1, -1)
    )
    accuracies = (logits.argmax(-1) == LABELS[:9]).double().mean(-1).tolist()
    journal = journal_of(run, (4, 5), start=True)
    train(nets, batches(run, (4, 5)), run, journal)
    first = [r for r in journal.rows if r["step"] == 0 and r["metric"] == "accuracy"]
    assert [(r["seed"], r["split"], r["value"]) for r in first] == [
        (4, "val", accuracies[0]), (5, "val", accuracies[1])
    ]  # fmt: skip


def test_without_being_asked_training_records_neither_start_nor_running_accuracy():
    run = training(epochs=1)
    journal = journal_of(run, (4,))
    train(drawn(run, (4,)), batches(run, (4,)), run, journal)
    assert [(r["split"], r["metric"]) for r in journal.rows] == [
        ("train", "loss"), ("val", "accuracy"), ("val", "loss")
    ]  # fmt: skip


def test_a_block_is_made_of_single_nets_and_leaves_them_alone():
    run = training(net=BN)
    net = net_of(run)
    states = [{**draw_default(net, seed), **dict(net.named_buffers())} for seed in (1, 2)]
    before = [{name: tensor.clone() for name, tensor in state.items()} for state in states]
    nets = stack_nets(net, states, "fp32", torch.zeros(()))
    assert list(nets.parameters) == [name for name, _ in net.named_parameters()]
    assert list(nets.buffers) == [name for name, _ in net.named_buffers()]
    for index, state in enumerate(states):
        assert all(torch.equal({**nets.parameters, **nets.buffers}[n][index], t) for n, t in state.items())
    train(nets, batches(run, (1, 2), torch.zeros(())), run, journal_of(run, (1, 2), torch.zeros(())))
    for state, old in zip(states, before, strict=True):
        assert all(torch.equal(state[name], old[name]) for name in old)


def test_a_net_without_all_of_its_tensors_is_a_mistake():
    net = net_of(training(net=BN))
    with pytest.raises(AssertionError, match="all tensors of its net"):
        stack_nets(net, [draw_default(net, 0)], "fp32", torch.zeros(()))
