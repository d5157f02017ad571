"""Made-up studies: runs with chosen mean accuracies, as the table of a study has them."""

from zlib import crc32

import numpy as np
import pytest
from pandas import DataFrame

NAMES = {
    "dataset", "epochs", "lr", "score_lr", "sparsity", "rank", "randomize_every", "randomize_prob",
    "method", "weights", "evaluate_every",
}  # fmt: skip
OWN = {
    "dense": {"lr": 0.1},
    "popup": {"score_lr": 1.0, "sparsity": 0.5, "rank": "raw"},
    "iterand": {
        "score_lr": 1.0,
        "sparsity": 0.5,
        "rank": "raw",
        "randomize_every": 13,
        "randomize_prob": 0.1,
    },
}


class Study:
    """Rows of a study's table; each seed's accuracy is its run's mean and noise that adds up to 0."""

    names = NAMES

    def __init__(self):
        self.rows = []

    def run(self, arm, accuracy, seeds=5, diverged=(), val=None, **settings):
        method = arm.split("-")[0]
        weights = arm.partition("-")[2] or "ku"
        usual = {
            "dataset": "digits",
            "epochs": 68,
            "evaluate_every": 4,
            "net.kind": "mlp",
            "net.hidden": "32-32",
        }
        own = {**usual, **OWN[method], **settings}
        draws = np.random.default_rng(crc32(f"{arm} {own}".encode())).normal(0, 0.001, seeds)
        for seed in range(seeds):
            noise = float(draws[seed] - draws.mean())
            dead = seed in diverged
            self.rows.append(
                {
                    "run": f"{arm} {sorted(own.items())}",
                    "seed": seed,
                    "arm": arm,
                    "method": method,
                    "weights": weights,
                    **own,
                    "diverged": dead,
                    "test_accuracy": None if dead else accuracy + noise,
                    "val_accuracy": None if dead or val is None else val + noise,
                }
            )
        return self

    @property
    def table(self):
        return DataFrame(self.rows)


@pytest.fixture
def study():
    return Study()
