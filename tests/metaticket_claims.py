"""Made-up results of few-shot learning in memory, as `read_fewshot` gives them, for claims to judge."""

from zlib import crc32

import numpy as np
from pandas import DataFrame

from carryover.claims.metaticket_runs import study_of
from carryover.io.fewshot import OBSERVED, Results
from carryover.io.results import flat
from carryover.metaticket.settings import KINDS

SEEDS = (1, 2, 3)
MLP = {"kind": "episode-mlp"}


def draws(*words):
    """Give a generator that belongs to some words."""
    return np.random.default_rng(crc32(repr(words).encode()))


class MadeStudy:
    """Collects runs; every method adds one and returns this object."""

    def __init__(self, seeds=SEEDS, tasks=40, spread=0.002):
        self.seeds, self.tasks, self.spread = tuple(seeds), tasks, spread
        self.trainings, self.rows, self.scores, self.classes = {}, [], {}, {}

    def training(
        self, run, method, classes=None, sparsity=(0.3, 0.4), val=(0.8, 0.8), diverged=(), **settings
    ):
        """Add a training: sparsities half-way and at the end, best and last accuracy on validation tasks."""
        given = {"dataset": "omniglot", "net": MLP, "outer_steps": 2000, "val_steps": 3, **settings}
        if method == "meta-lth":
            given.setdefault("start", "maml")
        model = KINDS["trainings"].model_validate({"method": method, **given})
        self.trainings[run] = flat(model.model_dump(mode="json"))
        end = model.outer_steps
        for seed in self.seeds:
            noise = 0.001 * draws(run, seed).normal()
            if seed in diverged:
                self.row("training", run, run, seed, "train", end, "diverged", 1.0)
                continue
            for step, place in ((end // 2, 0), (end, 1)):
                self.row("training", run, run, seed, "val", step, "accuracy", val[place] + noise)
                if method.startswith("metaticket"):
                    for layer, more in (("fc1", -0.05), ("fc2", 0.05)):
                        value = sparsity[place] + more + noise
                        self.row("training", run, run, seed, "none", step, f"sparsity/{layer}.weight", value)
        if classes is not None:
            self.classes[run] = classes
        return self

    def test(self, run, training, accuracy, ways=None, seeds=None, unpaired=0.0, **settings):
        """Add a test; `accuracy` is a number, or one by (adapted, norm, steps)."""
        given = {"tasks": self.tasks, "steps": (0, 3), **({"ways": ways} if ways else {}), **settings}
        model = KINDS["tests"].model_validate({"training": training, **given})
        own = flat(model.model_dump(mode="json"))
        trained = self.trainings[training]
        if not isinstance(accuracy, dict):
            accuracy = {("trained", trained["norm"], step): accuracy for step in model.steps if step}
        accuracy = {("trained", trained["norm"], 0): 1 / (ways or trained["ways"]), **accuracy}
        target = own["dataset"] or trained["dataset"]
        shared = 0.05 * draws(target, model.split, model.tasks).normal(size=model.tasks)
        for seed in seeds or self.seeds:
            for (adapted, norm, step), mean in accuracy.items():
                noise = 0.01 * draws(run, seed, adapted, norm, step).normal(size=model.tasks)
                of_seed = self.spread * draws(run, seed).normal()
                values = mean + shared - shared.mean() + noise - noise.mean() + of_seed
                self.scores[run, seed, adapted, norm, step] = values
                self.row("test", run, training, seed, model.split, step, "accuracy", values.mean(), own=own)
        return self

    def analysis(self, run, training, cka=(0.99, 0.9), change=0.1, **settings):
        """Add what adaptation changes: CKA by layer, and the relative change of weights."""
        model = KINDS["analyses"].model_validate({"training": training, **settings})
        own = flat(model.model_dump(mode="json"))
        for seed in self.seeds:
            noise = 0.001 * draws(run, seed).normal()
            cells = {"kind": "analysis", "run": run, "training": training, "seed": seed, "own": own}
            for layer, value in enumerate(cka, 1):
                value = value if value == 1 else value + noise
                self.rows.append(
                    {**cells, "layer": str(layer), "role": "features", "metric": "cka", "value": value}
                )
            for role, value in (("body", change), ("norm", 0.9)):
                place = {"layer": f"fc1.{role}", "role": role, "metric": "change"}
                self.rows.append({**cells, **place, "value": value * (1 + noise)})
        return self

    def row(self, kind, run, training, seed, split, step, metric, value, own=None):
        """Note one observation."""
        place = {"split": split, "step": step, "metric": metric, "value": float(value)}
        self.rows.append(
            {"kind": kind, "run": run, "training": training, "seed": seed, **place, "own": own or {}}
        )

    @property
    def results(self):
        """Join observations with settings."""
        return Results(DataFrame([self._joined(dict(row)) for row in self.rows]), self.scores)

    def _joined(self, row):
        own, trained = row.pop("own"), self.trainings[row["training"]]
        kind = row["kind"]
        resolved = {key: own.get(key) or trained[key] for key in ("dataset", "ways", "shots")}
        resolved["query_shots"] = own.get("query_shots") or trained["query_shots"] or resolved["shots"]
        resolved |= {"home": trained["dataset"], "method": trained["method"]}
        settings = {f"training.{key}": value for key, value in trained.items()}
        settings |= {f"{kind}.{key}": value for key, value in own.items()}
        return {**dict.fromkeys(OBSERVED), **row, **resolved, **settings}

    @property
    def study(self):
        """Collect the runs."""
        return study_of(self.results, self.classes)
