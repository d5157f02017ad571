"""Made-up results of learning transfer as `read_observations` gives them, without training."""

from random import Random

import numpy as np
import pandas
from pandas import DataFrame

from carryover.core.config import canonical
from carryover.io.results import flat, settings_table
from carryover.transfer.settings import KINDS

ALL = ("naive", "random", "weights", "signs", "oracle", "gmt", "fgmt")
FINAL = {
    "naive": 0.63,
    "random": 0.66,
    "weights": 0.72,
    "signs": 0.80,
    "oracle": 0.94,
    "gmt": 0.942,
    "fgmt": 0.936,
    "source": 0.969,
    "standard": 0.55,
    "standard-gmt": 0.78,
}
EARLY = {"naive": 6.0, "random": 6.5, "weights": 5.0, "signs": 4.0}
"""How late in the trajectory a method rises, in steps of ten; 2.5 for those that work."""
NUM_PAIRS = 3
EPOCH_STEPS = 18
MLP = {"kind": "mlp", "hidden": [256, 256]}


class Made:
    """Collects observations; every method adds one run and returns this object."""

    def __init__(self, pairs=NUM_PAIRS, spread=0.01):
        self.pairs, self.spread = range(1, pairs + 1), spread
        self.settings = {}
        self.rows = []

    def add(self, plural, run, **settings):
        """Note the settings of a run, completed as its model does."""
        kind = plural.removesuffix("s")
        recipe = settings.pop("recipe", None)
        model = KINDS[plural].model_validate(settings)
        plain = model.model_dump(mode="json") | ({} if recipe is None else {"recipe": recipe})
        assert canonical(plain)
        self.settings[f"{kind}/{run}"] = flat(plain)
        return kind

    def row(self, kind, run, pair, method, split, step, metric, value):
        """Note one observation."""
        block = f"pairs{self.pairs[0]}-{self.pairs[-1]}"
        self.rows.append((kind, run, block, pair, method, split, int(step), metric, float(value)))

    def noise(self, *words):
        """Draw a number of spread 1 that belongs to some words."""
        return Random(repr(words)).gauss(0.0, 1.0)

    def training(self, run, epochs=30, final=0.97, rate=4.0, net=MLP, dataset="digits.val", **settings):
        """Add sources and targets that train as digits do: to `final`, the faster the smaller `rate`."""
        kind = self.add("trainings", run, epochs=epochs, net=net, dataset=dataset, lr=0.05, **settings)
        for pair in self.pairs:
            for role in ("source", "target"):
                self._course(
                    kind, run, pair, role, epochs, lambda e: final - (final - 0.1) * np.exp(-1.6 * e / rate)
                )
        return self

    def _course(self, kind, run, pair, method, epochs, curve, start=False):
        for epoch in range(0 if start else 1, epochs + 1):
            step = EPOCH_STEPS * epoch
            value = min(1.0, curve(epoch) + self.spread * self.noise(run, pair, method, epoch) / (1 + epoch))
            gap = 0.03 * (1 - np.exp(-epoch / 8)) - 0.08 * np.exp(-epoch / 2)
            if epoch:
                self.row(kind, run, pair, method, "train", step, "accuracy", min(1.0, value + gap))
                self.row(kind, run, pair, method, "train", step, "loss", 2.3 * (1 - value))
            for split in ("val", "test") if epoch in (0, epochs) else ("val",):
                self.row(kind, run, pair, method, split, step, "accuracy", value)
                self.row(kind, run, pair, method, split, step, "loss", 2.3 * (1 - value))

    def transfer(
        self, run, training, steps=10, final=None, early=1.0, collapse=False, scatter=1.0, **settings
    ):
        """Add transfers; `final` replaces accuracies at the last step, `collapse` makes them fall at the end."""
        given = {} if settings.get("trajectory") == "actual" else {"steps": steps}
        kind = self.add("transfers", run, training=training, **given, **settings)
        methods = (*settings.get("methods", ALL), "source", "standard", "standard-gmt")
        finals = {**FINAL, **(final or {})}
        for pair in self.pairs:
            for method in methods:
                values = [
                    self._along((run, pair, method), t, steps, finals[method], (early, collapse, scatter))
                    for t in range(steps + 1)
                ]
                self._transfer(kind, run, pair, method, values)
        return self

    def _along(self, words, t, steps, final, manner):
        method, (early, collapse, scatter) = words[2], manner
        middle = EARLY.get(method, 2.5) * early * steps / 10
        rise = 1 / (1 + np.exp(-(t - middle) / (0.1 * steps)))
        end = 1 / (1 + np.exp(-(steps - middle) / (0.1 * steps)))
        fall = 0.45 * max(0.0, t / steps - 0.6) if collapse and method not in ("source", "standard") else 0.0
        value = 0.1 + (final - 0.1) * rise / end - fall
        return float(np.clip(value + scatter * self.spread * self.noise(*words, t), 0.05, 1.0))

    def _transfer(self, kind, run, pair, method, values):
        steps = len(values) - 1
        best = int(np.argmax(values))
        for t, value in enumerate(values):
            for split in ("val", "test") if t in (best, steps) else ("val",):
                self.row(kind, run, pair, method, split, t, "accuracy", value)
                self.row(kind, run, pair, method, split, t, "loss", 2.3 * (1 - value))
            cost = {"gmt": t + t * (t + 1) // 2, "standard-gmt": t + t * (t + 1) // 2, "source": 0}.get(
                method, 2 * t
            )
            cost = 0 if method in ("naive", "random", "oracle", "weights") else cost
            self.row(kind, run, pair, method, "none", t, "num_gradients", cost)
            if method in ALL:
                cached = {"fgmt": 2 * t, "gmt": 2 * t}.get(method, 0) * 4 * 85_000
                self.row(kind, run, pair, method, "none", t, "cache_bytes", cached)
                self.row(kind, run, pair, method, "none", t, "objective", 0.1 * t)
        if method in ALL:
            self.row(kind, run, pair, method, "none", best, "best", 1.0)
            slow = {"gmt": 1.9, "fgmt": 0.6}.get(method, 0.02)
            self.row(
                kind, run, pair, method, "none", steps, "seconds", slow * (1 + 0.1 * self.noise(run, pair))
            )

    def continuation(self, run, transfer, epochs=20, starts=None, final=0.965, **settings):
        """Add trainings after transfer from the given start accuracies."""
        methods = settings.pop("methods", ("naive", "random", "oracle", "gmt", "fgmt"))
        net, dataset = settings.pop("net", MLP), settings.pop("dataset", "digits.val")
        kind = self.add(
            "continuations", run, transfer=transfer, epochs=epochs, net=net, dataset=dataset, lr=0.05,
            methods=methods, **settings,
        )  # fmt: skip
        finals = final if isinstance(final, dict) else dict.fromkeys(methods, final)
        begin = {**FINAL, **(starts or {})}
        for pair in self.pairs:
            for method in methods:
                low, high = begin[method], finals[method]
                self._course(
                    kind, run, pair, method, epochs,
                    lambda e, low=low, high=high: high - (high - low) * np.exp(-e), start=True,
                )  # fmt: skip
        return self

    def cosine(self, run, width, mean=0.6, base=0.1, **settings):
        """Add similarities of increments for a net of one hidden layer."""
        net = {"kind": "mlp", "hidden": [width], "bias": False}
        recipe = {"dataset": "digits.val", "net": net, "lr": 0.05, **settings.pop("with_recipe", {})}
        kind = self.add("cosines", run, training="one", recipe=recipe, **settings)
        model = KINDS["cosines"].model_validate({"training": "one", **settings})
        for pair in self.pairs:
            for step in range(model.every, model.steps + 1, model.every):
                for method, value in (("permuted", mean), ("identity", base)):
                    noise = 0.02 * self.noise(run, pair, method, step)
                    self.row(kind, run, pair, method, "none", step, "cosine", value + noise)
        return self

    def synced_run(self, run, method="fgmt", epochs=10, final=0.93, **settings):
        """Add trainings side by side."""
        self.add("synced", run, training="mlp", method=method, epochs=epochs, **settings)
        recipe = flat({"dataset": "digits.val", "net": MLP})
        self.settings[f"synced/{run}"] |= {f"recipe.{key}": value for key, value in recipe.items()}
        self.settings[f"synced/{run}"].pop("method")
        for pair in self.pairs:
            for who, end in (("source", 0.968), ("target", 0.966), (method, final)):
                for epoch in range(1, epochs + 1):
                    value = (
                        end - (end - 0.1) * np.exp(-0.8 * epoch) + 0.01 * self.noise(run, pair, who, epoch)
                    )
                    self.row("synced", run, pair, who, "val", epoch, "accuracy", min(1, value))
        return self

    def landscape(self, run, transfer, barriers, plane=True, **settings):
        """Add lines with the given barriers (source, target, between) by method, and planes."""
        methods = tuple(barriers)
        kind = self.add("landscapes", run, transfer=transfer, methods=methods, **settings)
        place = np.arange(101) / 100
        for pair in self.pairs:
            for method, heights in barriers.items():
                for end, height in zip(("source", "target"), heights, strict=False):
                    hump = max(0.0, height + 0.01 * self.noise(run, pair, method, end))
                    losses = 0.15 + 0.4 * (1 - place) * (1 - FINAL[method]) + hump * 4 * place * (1 - place)
                    for step, loss in enumerate(losses):
                        self.row(kind, run, pair, method, "val", step, f"{end}_loss", loss)
                        self.row(kind, run, pair, method, "val", step, f"{end}_accuracy", 1 - loss / 2.3)
                for end, height in zip(("source", "target", "between"), heights, strict=True):
                    noise = 0.01 * self.noise(run, pair, method, end)
                    self.row(kind, run, pair, method, "none", 0, f"barrier_{end}", max(0.0, height + noise))
            if plane:
                self._plane(kind, run, pair)
        return self

    def _plane(self, kind, run, pair):
        corners = {"target": (0.0, 0.0), "transferred": (9.0, 0.0), "source": (4.0, 14.0)}
        maps = {"map-target": (0.0, 0.0), "map-oracle": (8.0, 0.0), "map-gmt": (5.0, 7.0)}
        for method, points in (("plane", corners), ("map", maps)):
            far = np.array(list(points.values()))
            u, v = np.meshgrid(np.arange(-4, 14.0, 1.0), np.arange(-4, 19.0, 1.0))
            for cell, (x, y) in enumerate(zip(u.ravel(), v.ravel(), strict=True)):
                near = np.min(np.hypot(far[:, 0] - x, far[:, 1] - y))
                accuracy = 0.1 + 0.86 * np.exp(-((near / 6) ** 2))
                for metric, value in (
                    ("u", x),
                    ("v", y),
                    ("accuracy", accuracy),
                    ("loss", 0.1 + 0.05 * near**2),
                ):
                    self.row(kind, run, pair, method, "val", cell, metric, value)
            for name, (x, y) in points.items():
                marker = name if name.startswith("map") else f"marker-{name}"
                for metric, value in (("u", x), ("v", y), ("accuracy", 0.96), ("loss", 0.1)):
                    self.row(kind, run, pair, marker, "val", 0, metric, value)

    def ensemble(self, run, continuation, accuracies, epochs=20, full_epochs=30, **settings):
        """Add ensembles with the given accuracies by method."""
        kind = self.add("ensembles", run, continuation=continuation, **settings)
        for method, accuracy in accuracies.items():
            values = {
                "accuracy": accuracy, "member_accuracy": accuracy - 0.01, "nll": 2.3 * (1 - accuracy), "ece": 0.015,
                "disagreement": 0.04,
            }  # fmt: skip
            for metric, value in values.items():
                self.row(kind, run, 0, method, "test", 0, metric, value)
            self.row(kind, run, 0, method, "none", 0, "num_members", len(self.pairs))
            self.row(
                kind, run, 0, method, "none", 0, "epochs", full_epochs if method == "standard" else epochs
            )
        return self

    @property
    def results(self):
        """Join observations and settings as the reader does."""
        columns = ["kind", "run", "block", "pair", "method", "split", "step", "metric", "value"]
        rows = DataFrame(self.rows, columns=columns)
        rows["key"] = rows["kind"] + "/" + rows["run"]
        joined = rows.merge(
            settings_table(self.settings).rename(columns={"run": "key"}), on="key", how="left"
        )
        return joined.drop(columns="key")


def drawn(made, folder, draw, **settings):
    """Draw as the stage does: from the saved table."""
    from carryover.figures.transfer import DRAWINGS
    from carryover.figures.transfer_settings import TransferFigureSpec
    from carryover.io.results import plain_rows
    from carryover.io.tables import load_table, save_table

    spec = TransferFigureSpec(draw=draw, **settings)
    save_table(folder / "table.csv", plain_rows(DRAWINGS[draw].tabulate(made.results, spec)))
    table = load_table(folder / "table.csv")
    figure = DRAWINGS[draw].draw(table)
    figure.draw_without_rendering()
    return figure, table


def digits(**settings):
    """Make the main part of a demo: a training, a transfer on a line."""
    return Made(**settings).training("mlp").transfer("main", "mlp")


__all__ = ["ALL", "EPOCH_STEPS", "FINAL", "MLP", "Made", "digits", "drawn", "pandas"]
