"""A laboratory for small trainings: a few images, every method, any net."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from carryover.core.evaluate import Evaluation
from carryover.core.journal import Journal
from carryover.core.resume import NoResume, OutOfTime, Resume
from carryover.core.rng import generator
from carryover.data.batches import MemoryBatches, Normaliser, evaluation_batches
from carryover.iterand import dense, popup, search
from carryover.iterand.dense import draw_nets
from carryover.iterand.settings import METHODS, IterandRun
from carryover.iterand.tickets import Tickets, draw_tickets
from carryover.nets.build import build_net
from carryover.train.settings import Training
from carryover.train.weights import Nets

MLP = {"kind": "mlp", "hidden": [9, 8]}
CONV = {"kind": "conv", "depth": 2, "width": 1 / 32}
RESNET = {"kind": "resnet", "depth": 18, "width": 1 / 32, "stem": "cifar"}
SCORES = {"score_lr": 1.0, "sparsity": 0.5}
ITERAND = {**SCORES, "randomize_every": 4, "randomize_prob": 0.3}
METHOD_SETTINGS: dict[str, dict[str, Any]] = {"dense": {"lr": 0.1}, "popup": SCORES, "iterand": ITERAND}

Rows = list[tuple[str, str, int, float]]


class Bar:
    def update(self, step: int, **postfix: object) -> None:
        pass


@dataclass
class Trained:
    """What one training left."""

    seeds: tuple[int, ...]
    run: Training
    block: Tickets | Nets
    redrawn: dict[str, Tensor] | None
    journal: Journal

    def rows(self, seed: int) -> Rows:
        return [
            (r["split"], r["metric"], r["step"], r["value"]) for r in self.journal.rows if r["seed"] == seed
        ]

    def tensors(self, seed: int) -> dict[str, Tensor]:
        """All tensors of one net, by kind and name."""
        index = self.seeds.index(seed)
        if isinstance(self.block, Nets):
            named = {**self.block.parameters, **self.block.buffers}
        else:
            redrawn = {f"redrawn/{n}": t for n, t in (self.redrawn or {}).items()}
            named = {**self.block.state(), **redrawn}
        return {name: tensor[index].detach() for name, tensor in named.items()}


class Lab:
    """Twenty-six images of three classes, 1x6x6, and trainings of 5 steps an epoch on them."""

    num_steps = 5
    image_shape, num_classes = (1, 6, 6), 3

    def __init__(self) -> None:
        draw = generator(0, "images")
        self.images = torch.randint(0, 17, (26, *self.image_shape), generator=draw, dtype=torch.uint8)
        self.labels = torch.arange(26) % self.num_classes

    def run(self, method: str = "iterand", **settings: Any) -> Any:
        usual = {
            "dataset": "none",
            "net": MLP,
            "epochs": 4,
            "batch_size": 6,
            "curve": "test",
            "evaluate_every": 2,
        }
        return METHODS[method].model_validate(
            {**usual, **METHOD_SETTINGS[method], "method": method, **settings}
        )

    def net(self, run: Training) -> nn.Module:
        return build_net(run.net, self.image_shape, self.num_classes, affine=run.stage == "iterand_dense")

    def draw(
        self, run: Any, seeds: Sequence[int], like: Tensor | None = None, net: nn.Module | None = None
    ) -> Any:
        draw = draw_nets if run.stage == "iterand_dense" else draw_tickets
        return draw(net or self.net(run), tuple(seeds), run, torch.zeros(()) if like is None else like)

    def batches(self, run: Training, seeds: Sequence[int], like: Tensor | None = None) -> MemoryBatches:
        return MemoryBatches(
            self.images,
            self.labels,
            self.normaliser(like),
            seeds=seeds,
            batch_size=run.batch_size,
            augmentation="none",
        )

    def normaliser(self, like: Tensor | None = None) -> Normaliser:
        return Normaliser(16.0, [0.3], [0.5], torch.zeros(()) if like is None else like)

    def train(
        self,
        run: Any,
        seeds: Sequence[int] = (0, 1),
        *,
        resume: Resume | None = None,
        like: Tensor | None = None,
        batches: Any = None,
        net: nn.Module | None = None,
    ) -> Trained:
        block = self.draw(run, seeds, like, net)
        test = evaluation_batches(self.images[:9], self.labels[:9], self.normaliser(like), 7)
        evaluation = Evaluation({"test": test}, len(seeds), run.epochs, run.evaluate_every, (run.curve,))
        journal = Journal(seeds, evaluation, resume or NoResume(), Bar())
        batches = batches or self.batches(run, seeds, like)
        redrawn = None
        if isinstance(block, Nets):
            dense.train(block, batches, run, journal)
        elif isinstance(run, IterandRun):
            redrawn = search.search(block, batches, run, journal)
        else:
            popup.search(block, batches, run, journal)
        return Trained(tuple(seeds), run, block, redrawn, journal)


@pytest.fixture
def lab() -> Lab:
    return Lab()


class Interrupted:
    """A `Resume` in memory that stops the training after each of the given steps, once."""

    def __init__(self, *stops: int):
        self.stops, self.step, self.notes = list(stops), 0, "{}"
        self.saved: dict[str, Tensor] | None = None

    def restore(self) -> dict[str, Tensor] | None:
        return self.saved

    def due(self) -> bool:
        self.step += 1
        return self.step in self.stops

    def save(self, step: int, state: dict[str, Tensor], notes: str) -> None:
        self.saved, self.notes = {name: tensor.detach().clone() for name, tensor in state.items()}, notes
        self.step = step
        if step in self.stops:
            self.stops.remove(step)
            raise OutOfTime("stopped")


@pytest.fixture
def interrupted() -> type[Interrupted]:
    return Interrupted
