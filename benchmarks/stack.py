"""Time five seeds stacked (`vmap`) against five seeds one after the other, by net: where does stacking pay?"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from _report import write_report

from carryover.core import rng
from carryover.core.block import cross_entropy
from carryover.core.loop import MomentumSgd
from carryover.iterand.settings import PopupRun
from carryover.iterand.tickets import draw_tickets
from carryover.nets.build import build_net
from carryover.nets.settings import ConvSettings, MlpSettings, NetSettings, ResNetSettings
from carryover.sparse.prunable import prunable

SEEDS, BATCH = range(5), 64
NETS: dict[str, tuple[NetSettings, tuple[int, int, int]]] = {
    **{
        f"mlp, h = {h}": (MlpSettings(kind="mlp", hidden=(h, h)), (1, 8, 8))
        for h in (16, 32, 64, 128, 256, 512, 1024)
    },
    **{
        f"conv4, width {w}": (ConvSettings(kind="conv", depth=4, width=w), (1, 14, 14))
        for w in (0.0625, 0.125, 0.25)
    },
    "resnet18, width 0.0625": (
        ResNetSettings(kind="resnet", depth=18, width=0.0625, stem="cifar"),
        (3, 16, 16),
    ),
}


def step_of(settings: NetSettings, shape: tuple[int, int, int], seeds: list[int]) -> Callable[[], None]:
    """Make one training step of edge-popup for some seeds, stacked when there are several."""
    run = PopupRun(method="popup", dataset="none", net=settings, epochs=1, score_lr=0.1, sparsity=0.5)
    tickets = draw_tickets(build_net(run.net, shape, 10, affine=False), seeds, run, torch.zeros(()))
    optimizer = MomentumSgd(tickets.scores, momentum=0.9, weight_decay=1e-4)
    images = torch.randn(len(seeds), BATCH, *shape, generator=rng.generator(0, "images"))
    labels = torch.randint(0, 10, (len(seeds), BATCH), generator=rng.generator(0, "labels"))

    def step() -> None:
        optimizer.descend(0.1, cross_entropy(tickets.logits(images), labels))

    return step


def seconds(step: Callable[[], None]) -> float:
    """Time one call."""
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def main() -> None:
    """Interleave the two ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=30)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    rows: list[list[object]] = [["net", "weights", "stacked, ms", "one by one, ms", "ratio"]]
    for name, (settings, shape) in NETS.items():
        stacked = step_of(settings, shape, list(SEEDS))
        single = [step_of(settings, shape, [seed]) for seed in SEEDS]
        together, apart = [], []
        for number in range(steps + 3):
            times = seconds(stacked), sum(seconds(step) for step in single)
            if number >= 3:
                together.append(times[0])
                apart.append(times[1])
        net = build_net(settings, shape, 10, affine=False)
        count = sum(net.get_parameter(key).numel() for key in prunable(net))
        t, a = statistics.median(together), statistics.median(apart)
        rows.append([name, f"{count:,}", f"{1e3 * t:.2f}", f"{1e3 * a:.2f}", f"{a / t:.2f}"])
    told = [
        f"Edge-popup, five seeds, batch {BATCH}, median of n = {steps} interleaved steps.",
        "A ratio above 1 says that stacking pays.",
    ]
    write_report("stack", "Stacked seeds against one after the other", told, rows)


if __name__ == "__main__":
    main()
