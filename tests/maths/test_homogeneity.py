"""Oracle 12: without batch-norm and biases, ReLU nets scale with each of their layers."""

import pytest
import torch

from carryover.core.rng import generator
from carryover.iterand.settings import PopupRun
from carryover.iterand.tickets import draw_tickets
from carryover.nets.build import build_net
from carryover.nets.settings import ConvSettings, MlpSettings

DOUBLE = torch.zeros((), dtype=torch.float64)
NETS = [MlpSettings(kind="mlp", hidden=(12, 9)), ConvSettings(kind="conv", depth=4, width=1 / 16)]


@pytest.mark.parametrize("settings", NETS)
@pytest.mark.parametrize("factor", [0.3, 1.5811388300841898])
def test_scaling_the_weights_of_one_layer_scales_the_logits(settings, factor):
    run = PopupRun(dataset="none", net=settings, epochs=1, method="popup", score_lr=1.0, sparsity=0.6)
    tickets = draw_tickets(build_net(settings, (1, 8, 8), 10, affine=False), (0, 1), run, DOUBLE)
    images = torch.randn(2, 5, 1, 8, 8, generator=generator(0, "images"), dtype=torch.float64)
    logits = tickets.predictor()(images)
    assert logits.abs().max() > 0.01
    for weight in tickets.weights.values():
        before = weight.clone()
        weight.mul_(factor)
        scaled = tickets.predictor()(images)
        weight.copy_(before)
        assert torch.allclose(scaled, factor * logits, rtol=1e-12, atol=1e-14)
        assert torch.equal(scaled.argmax(-1), logits.argmax(-1))
