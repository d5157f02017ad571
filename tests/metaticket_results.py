"""Made-up results of few-shot learning: files as the stages leave them, without training."""

from zlib import crc32

import numpy as np
import torch

from carryover.core.config import canonical
from carryover.io.checkpoint import save_tensors
from carryover.io.fewshot import read_fewshot
from carryover.io.manifest import write_manifest
from carryover.io.tables import save_table
from carryover.metaticket.settings import KINDS

FAMILY = ("random", "anil", "maml", "boil", "metaticket", "metaticket-boil")
FINAL = {
    "random": 0.62,
    "anil": 0.74,
    "maml": 0.825,
    "boil": 0.82,
    "meta-lth": 0.81,
    "metaticket": 0.83,
    "metaticket-boil": 0.812,
}
"""Accuracy at the end of the inner loop."""
PART = {"trained": 0.0, "body": -0.03, "head": -0.06}
MLP = {"kind": "episode-mlp"}
LAYERS = ("fc1", "fc2", "fc3", "fc4")
SEEDS = (1, 2, 3)


class Made:
    """Writes results into a folder; every method adds one run and returns this object."""

    def __init__(self, folder, seeds=SEEDS):
        self.folder, self.seeds = folder, tuple(seeds)
        self.trainings, self.manifests = {}, []

    def noise(self, *words):
        """Draw a number of spread 1 that belongs to some words."""
        return float(self.noises(1, *words)[0])

    def noises(self, count, *words):
        """Draw numbers of spread 1 that belong to some words."""
        return np.random.default_rng(crc32(repr(words).encode())).normal(size=count)

    def write(self, plural, run, settings, rows, tensors=None, seeds=None, **record):
        """Write the block of a run."""
        seeds = seeds or self.seeds
        block = f"s{seeds[0]}-{seeds[-1]}" if len(seeds) > 1 else f"s{seeds[0]}"
        folder = self.folder / plural / run / block
        save_table(folder / "metrics.csv", [{"run": run, **row} for row in rows])
        outputs = [folder / "metrics.csv"]
        if tensors is not None:
            steps = ",".join(str(step) for step in sorted(settings.steps))
            save_tensors(folder / "tasks.safetensors", tensors, {"steps": steps})
            outputs.append(folder / "tasks.safetensors")
        kind = {"trainings": "training", "tests": "test", "analyses": "analysis"}[plural]
        write_manifest(
            folder / "manifest.json",
            stage=settings.stage,
            spec=canonical(settings),
            code="abc",
            seeds=block,
            inputs=[],
            outputs=outputs,
            record={"run": run, "kind": kind, "device": "cpu", "threads": 1, **record},
        )
        self.manifests.append(folder / "manifest.json")
        return self

    def training(self, run, method, final=None, seeds=None, diverged=(), record=None, **settings):
        """Add a training whose accuracies rise to those of its method."""
        given = {"dataset": "omniglot", "net": MLP, "outer_steps": 1000, "evaluate_every": 200, **settings}
        if method == "meta-lth":
            given.setdefault("start", "maml")
        model = KINDS["trainings"].model_validate({"method": method, **given})
        end = FINAL[method] if final is None else final
        self.trainings[run] = (model, end)
        rows = [
            row
            for seed in seeds or self.seeds
            for row in self._course(run, model, seed, end, seed in diverged)
        ]
        kept = [seed for seed in seeds or self.seeds if seed not in diverged]
        width = getattr(model.net, "width", 1)
        slow = {"anil": 18.0, "boil": 33.0, "maml": 37.0}.get(method, 50.0) * width
        seconds = {str(s): slow * model.outer_steps / 1000 * (1 + 0.03 * self.noise(run, s)) for s in kept}
        cost = {"seconds": seconds, "peak_mb": 400.0 + 60.0 * width, "attempt": 1, **(record or {})}
        return self.write("trainings", run, model, rows, seeds=seeds, **cost)

    def _course(self, run, model, seed, end, diverged):
        if model.method == "random":
            yield from self._validated(run, seed, 0, end - 0.01, model)
            return
        steps = sorted(
            {*range(model.evaluate_every, model.outer_steps, model.evaluate_every), model.outer_steps}
        )
        for step in steps:
            if diverged and step > model.outer_steps / 2:
                yield place(seed, split="train", step=step, metric="diverged", value=1.0)
                return
            value = end - (end - 0.5) * np.exp(-4 * step / model.outer_steps)
            fitted = min(1.0, value + 0.05 + 0.004 * self.noise(run, seed, step))
            score, fitted = ("mse", 4 - 3 * value) if model.net.kind == "regressor" else ("accuracy", fitted)
            yield place(seed, split="train", step=step, metric="loss", value=2 * (1 - fitted))
            yield place(seed, split="train", step=step, metric=score, value=fitted)
            if model.method.startswith("metaticket"):
                for depth, layer in enumerate(LAYERS):
                    sparsity = (0.3 + 0.04 * depth) * (1 - np.exp(-4 * step / model.outer_steps))
                    sparsity += 0.004 * self.noise(run, seed, layer, step)
                    yield place(
                        seed, split="none", step=step, metric=f"sparsity/{layer}.weight", value=sparsity
                    )
            yield from self._validated(run, seed, step, value, model)

    def _validated(self, run, seed, step, value, model):
        value += 0.006 * self.noise(run, seed, "val", step)
        score, value = ("mse", 4 - 3 * value) if model.net.kind == "regressor" else ("accuracy", value)
        yield place(seed, split="val", step=step, metric="loss", value=2 * (1 - value))
        yield place(seed, split="val", step=step, metric=score, value=value)

    def test(self, run, training, tasks=60, shift=0.0, seeds=None, **settings):
        """Add a test of a training; `shift` is added to every accuracy."""
        model = KINDS["tests"].model_validate({"training": training, "tasks": tasks, **settings})
        trained, end = self.trainings[training]
        regression = trained.net.kind == "regressor"
        end += shift + (0.02 if model.widen else 0.0) + (0.05 if model.split == "train" else 0.0)
        norms = [trained.norm]
        if "support" in model.norms and trained.norm == "transductive":
            norms.append("support")
        rows, tensors = [], {}
        for seed in seeds or self.seeds:
            for adapted, norm in [(adapted, norm) for adapted in model.adapted for norm in norms]:
                values = self._scores((run, seed, adapted, norm), model, trained, end)
                tensors[f"{seed}/{adapted}/{norm}"] = torch.tensor(values, dtype=torch.float32)
                for step, own in zip(sorted(model.steps), values, strict=True):
                    where = {"split": model.split, "adapted": adapted, "norm": norm, "step": step}
                    mean = float(np.float32(own).astype(float).mean())
                    rows.append(place(seed, **where, metric="loss", value=2 * (1 - mean)))
                    rows.append(place(seed, **where, metric="mse" if regression else "accuracy", value=mean))
            if model.ceiling:
                values = 0.97 + 0.01 * self.noises(model.tasks, "ceiling")[None]
                tensors[f"{seed}/ceiling/none"] = torch.tensor(values, dtype=torch.float32)
                where = {"split": model.split, "adapted": "ceiling", "norm": "none", "step": 0}
                rows.append(place(seed, **where, metric="accuracy", value=float(values.mean())))
        return self.write("tests", run, model, rows, tensors, seeds=seeds)

    def _scores(self, words, model, trained, end):
        run, seed, adapted, norm = words
        chance = 0.0 if trained.net.kind == "regressor" else 1 / (model.ways or trained.ways)
        of_task = 0.07 * self.noises(model.tasks, "task")
        found = []
        for step in sorted(model.steps):
            high = end + 0.008 * self.noise(run, seed) + PART.get(adapted, 0.0) - 0.02 * (norm == "support")
            mean = chance + (high - chance) * (1 - np.exp(-2.5 * step))
            noise = 0.03 * self.noises(model.tasks, *words, step)
            values = np.clip(mean + of_task + noise, 0, 1)
            found.append(4 - 3.4 * values if trained.net.kind == "regressor" else values)
        return np.array(found)

    def analysis(self, run, training, **settings):
        """Add what adaptation changes: nothing but the head under ANIL, more in higher layers under the others."""
        model = KINDS["analyses"].model_validate({"training": training, **settings})
        method = self.trainings[training][0].method
        moves = {"anil": 0.0, "maml": 1.0, "metaticket": 1.8, "metaticket-boil": 3.0}.get(method, 1.4)
        rows = []
        for seed in self.seeds:
            for depth, layer in enumerate(LAYERS, 1):
                noise = 1 + 0.03 * self.noise(run, seed, layer)
                cka = 1 - moves * noise * 0.005 * 2.2**depth
                cells = {"layer": str(depth), "role": "body"}
                rows += [
                    place(seed, **cells, metric=metric, value=value)
                    for metric, value in (
                        ("cka", cka),
                        ("within_before", 0.6 + 0.05 * depth * noise),
                        ("within_after", 0.6 + 0.05 * depth * noise + 0.03 * moves),
                        ("between_before", 0.5 + 0.04 * depth * noise),
                        ("between_after", 0.5 + 0.04 * depth * noise - 0.02 * moves),
                    )
                ]
                for name, role in (
                    (f"{layer}.weight", "body"),
                    (f"{layer}.bias", "bias"),
                    (f"norm{depth}.weight", "norm"),
                ):
                    rows += self._tensor(seed, name, role, moves * noise * (0.05 + 0.02 * depth))
            head = 0.0 if method in ("boil", "metaticket-boil") else 0.2
            rows += self._tensor(seed, "classifier.weight", "head", head)
        return self.write("analyses", run, model, rows)

    def _tensor(self, seed, name, role, change):
        gradient = {"gradient": 1e-3 * change} if change else {"gradient": 0.0}
        for metric, value in {"change": change, "sparsity": 0.0, **gradient}.items():
            yield place(seed, layer=name, role=role, metric=metric, value=value)

    @property
    def results(self):
        """Read everything that was written."""
        return read_fewshot(self.manifests)


def place(seed, **cells):
    """Make one observation, its columns in the order of the files."""
    return {"seed": seed, **cells}


def family(folder, width=1, methods=FAMILY, seeds=SEEDS, **settings):
    """Make the trainings of a family and a test of each, as a demo has them."""
    made = Made(folder, seeds)
    return add_family(made, width, methods, **settings)


def add_family(made, width=1, methods=FAMILY, gain=0.0, test=None, suffix="", **settings):
    """Add trainings named `<method>-x<width>` and their tests to what is there."""
    for method in methods:
        run = f"{method}-x{width}{suffix}"
        net = {"kind": "episode-mlp", "width": width}
        made.training(run, method, net=net, final=FINAL[method] + gain, **settings)
        made.test(f"test-{run}", run, **(test or {}))
    return made


def drawn(made, folder, draw, **settings):
    """Draw as the stage does: from the saved table."""
    from carryover.figures.metaticket import DRAWINGS
    from carryover.figures.metaticket_settings import FewshotFigureSettings
    from carryover.io.results import plain_rows
    from carryover.io.tables import load_table, save_table

    names = {"tests": ["all"], "trainings": ["all"], "analyses": ["all"]}
    spec = FewshotFigureSettings(draw=draw, **{**names, **settings})
    save_table(folder / "table.csv", plain_rows(DRAWINGS[draw].tabulate(made.results, spec)))
    table = load_table(folder / "table.csv")
    figure = DRAWINGS[draw].draw(table)
    figure.draw_without_rendering()
    return figure, table
