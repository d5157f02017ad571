"""What every training promises, whatever its method: resumable, repeatable, the same in every block."""

import pytest
import torch

from carryover.core.resume import OutOfTime
from carryover.iterand.settings import METHODS

CONV = {"kind": "conv", "depth": 2, "width": 1 / 32}
BN = {"kind": "resnet", "depth": 18, "width": 1 / 64, "stem": "cifar"}
MLP = {"kind": "mlp", "hidden": [9, 8]}
DOUBLE = torch.zeros((), dtype=torch.float64)

every_method = pytest.mark.parametrize("method", METHODS)


def assert_same(left, right, seeds=(0, 1)):
    """Bit for bit: every tensor that training changes, and every row."""
    for seed in seeds:
        assert left.rows(seed) == right.rows(seed)
        ours, theirs = left.tensors(seed), right.tensors(seed)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@every_method
@pytest.mark.parametrize("net", [MLP, BN])
def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(lab, interrupted, method, net):
    watched = {} if method == "dense" else {"diagnose_every": 3}
    run = lab.run(method, net=net, **watched)
    resume = interrupted(1, 3, 4, 10, 13, 20)
    attempts = 0
    resumed = None
    while resumed is None:
        attempts += 1
        try:
            resumed = lab.train(run, resume=resume)
        except OutOfTime:
            resumed = None
    assert attempts == 7
    assert_same(resumed, lab.train(run))


@every_method
def test_the_same_seed_twice_gives_the_same_numbers(lab, method):
    run = lab.run(method, net=CONV)
    torch.manual_seed(1)
    left = lab.train(run)
    torch.manual_seed(2)  # nobody asks the global stream
    assert_same(left, lab.train(run))


@every_method
@pytest.mark.parametrize("net", [MLP, CONV, BN])
def test_stacked_seeds_train_as_they_do_one_by_one(lab, method, net):
    # statistics over a handful of numbers would magnify rounding: batch-norm gets half the images at once
    settings = {"batch_size": 13} if net == BN else {}
    run = lab.run(method, net=net, epochs=3, **settings)
    stacked = lab.train(run, (0, 1, 2), like=DOUBLE)
    for seed in (0, 1, 2):
        alone = lab.train(run, (seed,), like=DOUBLE)
        ours, theirs = stacked.tensors(seed), alone.tensors(seed)
        for name, tensor in ours.items():
            assert torch.allclose(tensor, theirs[name], rtol=0, atol=1e-9)
        for (*what, value), (*other, expected) in zip(stacked.rows(seed), alone.rows(seed), strict=True):
            assert what == other
            assert value == pytest.approx(expected, rel=0, abs=1e-9)


@every_method
def test_a_net_without_convolutions_trains_to_the_same_bits_in_every_block(lab, method):
    run = lab.run(method, net={"kind": "mlp", "hidden": [32, 32]}, batch_size=9)
    alone = lab.train(run, (3,))
    for seeds in ((0, 1, 2, 3, 4), (3, 7)):
        assert_same(lab.train(run, seeds), alone, (3,))


@every_method
def test_a_stacked_convolutional_net_is_that_of_its_own_block_up_to_rounding(lab, method):
    run = lab.run(method, net=CONV, epochs=2)
    block, alone = lab.train(run, (0, 3)), lab.train(run, (3,))
    for name, tensor in block.tensors(3).items():
        assert torch.allclose(tensor, alone.tensors(3)[name], rtol=1e-4, atol=1e-5)


class Poisoned:
    """Batches whose images are worth `value` for the second net at step 7 of the training."""

    def __init__(self, batches, value):
        self.batches, self.value, self.num_steps = batches, value, batches.num_steps

    def epoch(self, epoch, start=0):
        for position, (images, labels) in enumerate(self.batches.epoch(epoch, start), start):
            if epoch * self.num_steps + position == 7:
                images[1] = self.value
            yield images, labels


@every_method
@pytest.mark.parametrize(
    ("net", "value"), [(MLP, float("nan")), (MLP, float("inf")), (MLP, 1e30), (BN, float("nan"))]
)
def test_a_net_that_diverges_is_stopped_and_leaves_the_others_bit_identical(lab, method, value, net):
    # at a high rate, batch-norm over so few numbers diverges by itself on some machines
    run = lab.run(method, net=net, **({"lr": 0.01} if (method, net) == ("dense", BN) else {}))
    healthy = lab.train(run, (0, 1, 2))
    trained = lab.train(run, (0, 1, 2), batches=Poisoned(lab.batches(run, (0, 1, 2)), value))
    assert_same(trained, healthy, (0, 2))
    before = [row for row in healthy.rows(1) if row[2] <= 5]
    assert trained.rows(1) == [*before, ("train", "diverged", 10, 1.0)]
    assert trained.journal.alive == [True, False, True]
    assert all(tensor.isfinite().all() for tensor in trained.tensors(1).values())


def test_a_stopped_net_stays_stopped_when_the_training_is_resumed(lab, interrupted):
    run = lab.run()
    resume = interrupted(12)
    poisoned = Poisoned(lab.batches(run, (0, 1)), float("nan"))
    with pytest.raises(OutOfTime):
        lab.train(run, resume=resume, batches=poisoned)
    assert_same(lab.train(run, resume=resume, batches=poisoned), lab.train(run, batches=poisoned))


def test_a_learning_rate_that_is_far_too_high_is_recorded_not_raised(lab):
    trained = lab.train(lab.run("dense", lr=1e6))
    assert [row[1] for row in trained.rows(0)] == ["diverged"]


@every_method
def test_bf16_trains_fp32_tensors(lab, method):
    trained = lab.train(lab.run(method, precision="bf16", net=CONV), (0,))
    exact = lab.train(lab.run(method, net=CONV), (0,))
    assert all(t.dtype != torch.bfloat16 for t in trained.tensors(0).values())
    first, expected = trained.rows(0)[0], exact.rows(0)[0]
    assert first[-1] == pytest.approx(expected[-1], rel=0.05)
    assert first != expected
