"""Section 6.3 and oracle 11: a ticket is a seed, a mask, and the event that drew each kept weight."""

import pytest
import torch
from torch.func import functional_call

from carryover.core.rng import generator
from carryover.iterand.compact import compact
from carryover.iterand.rebuild import rebuild

CONV = {"kind": "conv", "depth": 2, "width": 1 / 32}
BN = {"kind": "resnet", "depth": 18, "width": 1 / 64, "stem": "cifar"}
MLP = {"kind": "mlp", "hidden": [9, 8]}


def rebuilt(trained, seed, stored=None):
    tickets = trained.block
    shapes = {name: tuple(weight.shape[1:]) for name, weight in tickets.weights.items()}
    if stored is None:
        stored = compact(tickets, trained.redrawn)[seed]
    return rebuild(stored, shapes, tickets.fan_in, trained.run, seed)


@pytest.mark.parametrize("method", ["popup", "iterand"])
@pytest.mark.parametrize("weights", ["ku", "sc", "kn", "u"])
@pytest.mark.parametrize("net", [MLP, CONV, BN])
def test_a_ticket_is_rebuilt_bit_for_bit(lab, method, weights, net):
    trained = lab.train(lab.run(method, weights=weights, net=net, epochs=2, score_lr=5.0))
    tickets = trained.block
    expected = tickets.subnetworks()
    images = torch.randn(2, 5, *lab.image_shape, generator=generator(0, "x"))
    logits = tickets.predictor()(images)
    for index, seed in enumerate(trained.seeds):
        tensors = rebuilt(trained, seed)
        for name, weight in expected.items():
            assert torch.equal(tensors[name], weight[index])
        plain = lab.net(trained.run).eval()
        biases = {n: torch.zeros_like(p) for n, p in plain.named_parameters() if n not in tensors}
        assert set(biases) == {n for n in tickets.others if n.endswith("bias")}
        with torch.no_grad():
            whole = functional_call(plain, {**tensors, **biases}, (images[index],))
            single = functional_call(plain, {**tensors, **biases}, (images[index, :1],))
        assert torch.allclose(whole, logits[index], rtol=1e-5, atol=1e-6)
        assert torch.allclose(single, whole[:1], rtol=1e-5, atol=1e-6)


def test_redrawn_weights_are_among_the_kept_ones(lab):
    """The round trip above would mean little without them."""
    trained = lab.train(lab.run(epochs=2, score_lr=5.0))
    stored = compact(trained.block, trained.redrawn)
    assert all(stored[seed]["event/fc1.weight"].any() for seed in (0, 1))
    assert len(stored[0]["event/fc1.weight"].unique()) > 2


def test_a_mask_takes_one_bit_and_an_event_one_byte_until_there_are_256(lab):
    trained = lab.train(lab.run(randomize_every=1))
    stored = compact(trained.block, trained.redrawn)[0]
    assert stored["mask/fc1.weight"].dtype == torch.uint8
    assert len(stored["mask/fc1.weight"]) == -(-36 * 9 // 8)
    assert stored["event/fc1.weight"].dtype == torch.uint8
    assert len(stored["event/fc1.weight"]) == 36 * 9 // 2
    for largest, dtype in ((255, torch.uint8), (256, torch.int16), (32768, torch.int32)):
        events = {name: torch.full_like(index, largest) for name, index in trained.redrawn.items()}
        narrow = compact(trained.block, events)[0]["event/fc1.weight"]
        assert narrow.dtype == dtype
        assert set(narrow.tolist()) == {largest}


def test_edge_popup_and_untouched_layers_store_no_events(lab):
    popup = lab.train(lab.run("popup"))
    assert set(compact(popup.block)[0]) == {"mask/fc1.weight", "mask/fc2.weight", "mask/fc3.weight", "check"}
    without = lab.train(lab.run(randomize_prob=0.0))
    assert set(compact(without.block, without.redrawn)[0]) == set(compact(popup.block)[0])


def test_batch_norm_statistics_are_stored_and_biases_are_not(lab):
    trained = lab.train(lab.run(net=BN, epochs=1))
    stored = compact(trained.block, trained.redrawn)[1]
    assert torch.equal(
        stored["other/stem.norm.running_var"], trained.block.others["stem.norm.running_var"][1]
    )
    assert not any(name.endswith("bias") for name in stored)


def test_a_ticket_of_another_net_is_refused(lab):
    trained = lab.train(lab.run(epochs=1))
    stored = compact(trained.block, trained.redrawn)[0]
    missing = {name: tensor for name, tensor in stored.items() if name != "mask/fc2.weight"}
    with pytest.raises(ValueError, match="names other layers"):
        rebuilt(trained, 0, missing)
    wider = lab.train(lab.run(epochs=1, net={"kind": "mlp", "hidden": [16, 8]}))
    with pytest.raises(ValueError, match="belongs to another net"):
        rebuilt(wider, 0, stored)


def test_events_that_do_not_fit_the_mask_are_damage(lab):
    trained = lab.train(lab.run(epochs=2, score_lr=5.0))
    stored = compact(trained.block, trained.redrawn)[0]
    stored["event/fc1.weight"] = stored["event/fc1.weight"][1:]
    with pytest.raises(ValueError, match=r"keeps 162 weights of fc1.weight and tells 161 events"):
        rebuilt(trained, 0, stored)


def test_weights_that_are_not_those_that_were_trained_are_refused(lab):
    """As of another seed, a changed event, or a torch whose generators draw other numbers."""
    trained = lab.train(lab.run(epochs=2, score_lr=5.0))
    stored = compact(trained.block, trained.redrawn)
    with pytest.raises(ValueError, match="drawn from seed 1 are not those that were trained"):
        rebuilt(trained, 1, stored[0])
    events = stored[0]["event/fc1.weight"]
    events[0] = 1 if events[0] == 0 else 0
    with pytest.raises(ValueError, match=r"or torch .* draws other numbers"):
        rebuilt(trained, 0, stored[0])
