import pytest
import torch
from torch import nn
from torch.nn import functional as F

from carryover.core.optim import cosine

BN = {"kind": "resnet", "depth": 18, "width": 1 / 64, "stem": "cifar"}
CONV = {"kind": "conv", "depth": 2, "width": 1 / 32}
DOUBLE = torch.zeros((), dtype=torch.float64)


@pytest.mark.parametrize("net", [BN, CONV])
def test_weight_training_is_that_of_torchs_own_optimizer(lab, net):
    run = lab.run("dense", net=net, batch_size=13, weight_decay=0.01)
    trained = lab.train(run, (4,), like=DOUBLE)
    plain, drawn = lab.net(run).double(), lab.draw(run, (4,), DOUBLE)
    plain.requires_grad_(True).load_state_dict(
        {n: t[0] for n, t in {**drawn.parameters, **drawn.buffers}.items()}
    )
    optimizer = torch.optim.SGD(plain.parameters(), lr=run.lr, momentum=0.9, weight_decay=0.01)
    batches = lab.batches(run, (4,), DOUBLE)
    for epoch in range(run.epochs):
        optimizer.param_groups[0]["lr"] = cosine(run.lr, epoch, run.epochs)
        for images, labels in batches.epoch(epoch):
            optimizer.zero_grad()
            F.cross_entropy(plain(images[0]), labels[0]).backward()
            optimizer.step()
    ours, theirs = trained.tensors(4), plain.state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.allclose(tensor, theirs[name], rtol=1e-9, atol=1e-9)


def test_weights_biases_and_batch_norm_are_all_trained_and_counted(lab):
    run = lab.run("dense", net=BN)
    trained = lab.train(run)
    start = lab.draw(run, (0, 1))
    for name, parameter in trained.block.parameters.items():
        assert not torch.equal(parameter, start.parameters[name])
    counts = {metric: value for _, metric, _, value in trained.rows(0) if metric.startswith("num_")}
    layers = [m for m in lab.net(run).modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert counts["num_weights"] == sum(layer.weight.numel() for layer in layers)
    assert counts["num_trained"] == sum(p.numel() for p in lab.net(run).parameters())


def test_batch_norm_starts_at_one_and_zero_and_biases_at_zero(lab):
    nets = lab.draw(lab.run("dense", net=BN), (0,))
    assert (nets.parameters["stem.norm.weight"] == 1).all()
    assert not nets.parameters["stem.norm.bias"].any()
    assert not nets.parameters["head.bias"].any()


def test_the_scores_of_a_ticket_and_the_weights_of_a_dense_net_use_their_own_rate(lab):
    slow, fast = (lab.train(lab.run("popup", score_lr=lr)).rows(0) for lr in (0.5, 1.0))
    assert slow != fast
    slow, fast = (lab.train(lab.run("dense", lr=lr)).rows(0) for lr in (0.05, 0.1))
    assert slow != fast
