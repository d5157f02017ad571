import torch
from torch.nn import functional as F

from carryover.core.optim import cosine
from carryover.sparse.masks import keep_top

DOUBLE = torch.zeros((), dtype=torch.float64)


def test_edge_popup_is_the_algorithm_of_section_1_5_written_out(lab):
    """Mask, forward, G * theta + wd * s, momentum: no engine, no autograd trick, one net, one layer pair."""
    run = lab.run("popup", net={"kind": "mlp", "hidden": [9]}, weight_decay=0.01)
    trained = lab.train(run, (4,), like=DOUBLE)
    drawn = lab.draw(run, (4,), DOUBLE)
    names = list(drawn.weights)
    theta = {n: drawn.weights[n][0] for n in names}
    scores = {n: drawn.scores[n][0].clone() for n in names}
    momenta = {n: torch.zeros_like(scores[n]) for n in names}
    batches = lab.batches(run, (4,), DOUBLE)
    losses = []
    for epoch in range(run.epochs):
        lr = cosine(run.score_lr, epoch, run.epochs)
        total = 0.0
        for images, labels in batches.epoch(epoch):
            weights = {n: (theta[n] * keep_top(scores[n], 0.5)).requires_grad_(True) for n in names}
            hidden = F.relu(images[0].flatten(1) @ weights["fc1.weight"].T)
            loss = F.cross_entropy(hidden @ weights["fc2.weight"].T, labels[0])
            total += loss.item() * len(labels[0])
            gradients = torch.autograd.grad(loss, list(weights.values()))
            for name, gradient in zip(names, gradients, strict=True):
                momenta[name] = 0.9 * momenta[name] + gradient * theta[name] + 0.01 * scores[name]
                scores[name] = scores[name] - lr * momenta[name]
        losses.append(total / 26)
    for name in names:
        assert torch.allclose(trained.block.scores[name][0], scores[name], rtol=1e-9, atol=1e-12)
        assert torch.equal(trained.block.weights[name][0], theta[name])
    recorded = [value for split, metric, _, value in trained.rows(4) if (split, metric) == ("train", "loss")]
    assert torch.allclose(torch.tensor(recorded), torch.tensor(losses), rtol=1e-9)
