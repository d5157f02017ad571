"""What a GPU must share with a CPU: everything that is drawn or ranked. Products may round otherwise."""

import pytest
import torch

from carryover.core.rng import generator
from carryover.iterand.compact import compact
from carryover.iterand.search import redraw
from carryover.sparse.masks import MaskRule, masks_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize(
    "rule", [MaskRule(0.6), MaskRule(0.6, "absolute", "global"), MaskRule(0.6, keep_rule="authors")]
)
def test_masks_are_those_of_the_cpu_ties_too(rule):
    draw = generator(0, "scores")
    scores = {
        n: torch.randint(-9, 9, (3, *s), generator=draw).float() for n, s in (("a", (40, 9)), ("b", (17,)))
    }
    ours = masks_of({n: s.cuda() for n, s in scores.items()}, rule)
    for name, mask in masks_of(scores, rule).items():
        assert torch.equal(ours[name].cpu(), mask)


def test_weights_scores_and_redraws_are_those_of_the_cpu(lab):
    run = lab.run(randomize_prob=0.5)
    found = []
    for device in ("cpu", "cuda"):
        tickets = lab.draw(run, (0, 1), torch.zeros((), device=device))
        redrawn = {n: torch.zeros_like(w, dtype=torch.int32) for n, w in tickets.weights.items()}
        for event in (1, 2):
            redraw(tickets, run, event, redrawn)
        found.append({seed: stored["check"] for seed, stored in compact(tickets, redrawn).items()})
    assert all(torch.equal(found[0][seed], found[1][seed]) for seed in (0, 1))


@pytest.mark.parametrize("method", ["dense", "popup", "iterand"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_method_trains_on_a_gpu(lab, method, precision):
    run = lab.run(method, precision=precision, net={"kind": "conv", "depth": 2, "width": 1 / 32})
    like = torch.zeros((), device="cuda")
    batches = lab.batches(run, (0, 1), like)
    batches.images, batches.labels = batches.images.cuda(), batches.labels.cuda()
    lab.images, lab.labels = lab.images.cuda(), lab.labels.cuda()
    trained = lab.train(run, like=like, batches=batches)
    expected = type(lab)().train(run)
    assert trained.rows(0)[0][-1] == pytest.approx(expected.rows(0)[0][-1], rel=0.1)
