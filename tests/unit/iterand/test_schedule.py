from carryover.core.optim import cosine, warmup_cosine
from carryover.iterand.schedule import learning_rate


def test_the_learning_rate_follows_the_settings_of_the_run(lab):
    usual = learning_rate(lab.run(epochs=10), 0.3)
    assert [usual(epoch) for epoch in range(10)] == [cosine(0.3, epoch, 10) for epoch in range(10)]
    run = lab.run(epochs=10, schedule="warmup-cosine", warmup_epochs=2, floor_epochs=3, floor_lr=0.01)
    warm = learning_rate(run, 0.3)
    assert [warm(epoch) for epoch in range(10)] == [warmup_cosine(0.3, e, 2, 5, 0.01) for e in range(10)]
    assert learning_rate(lab.run(schedule="constant"), 0.3)(3) == 0.3


def test_the_scores_of_a_ticket_and_the_weights_of_a_dense_net_use_their_own_rate(lab):
    assert lab.train(lab.run("popup", score_lr=0.5)).rows(0) != lab.train(
        lab.run("popup", score_lr=1.0)
    ).rows(0)
    assert lab.train(lab.run("dense", lr=0.05)).rows(0) != lab.train(lab.run("dense", lr=0.1)).rows(0)
