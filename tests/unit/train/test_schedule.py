from carryover.core.optim import cosine, warmup_cosine
from carryover.train.schedule import learning_rate
from carryover.train.settings import Training


def training(**settings):
    usual = {"dataset": "none", "net": {"kind": "mlp", "hidden": [2]}, "epochs": 10}
    return Training.model_validate({**usual, **settings})


def test_the_learning_rate_follows_the_settings_of_the_run():
    usual = learning_rate(training(), 0.3)
    assert [usual(epoch) for epoch in range(10)] == [cosine(0.3, epoch, 10) for epoch in range(10)]
    run = training(schedule="warmup-cosine", warmup_epochs=2, floor_epochs=3, floor_lr=0.01)
    warm = learning_rate(run, 0.3)
    assert [warm(epoch) for epoch in range(10)] == [warmup_cosine(0.3, e, 2, 5, 0.01) for e in range(10)]
    assert learning_rate(training(schedule="constant"), 0.3)(3) == 0.3
