"""Time one training step of Conv6 (width 1, batch 128, one CPU thread) against a plain PyTorch loop."""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from _report import write_report
from torch import nn

from carryover.core import rng
from carryover.core.block import cross_entropy
from carryover.core.loop import MomentumSgd
from carryover.iterand.dense import draw_nets
from carryover.iterand.search import redraw
from carryover.iterand.settings import DenseRun, IterandRun
from carryover.iterand.tickets import draw_tickets
from carryover.nets.build import build_net
from carryover.nets.settings import ConvSettings

BATCH, EVERY = 128, 300
NET = ConvSettings(kind="conv", depth=6)
CONVOLUTIONS = [(3, 64, 32), (64, 64, 32), (64, 128, 16), (128, 128, 16), (128, 256, 8), (256, 256, 8)]
"""Channels in, channels out, side of the image."""
LINEAR = [(4096, 256), (256, 256), (256, 10)]
"""Features in, features out."""


def plain() -> Callable[[], None]:
    """Make the usual loop: nn.Module, NCHW, torch.optim.SGD, fp32."""
    net = build_net(NET, (3, 32, 32), 10, affine=True)
    for parameter in net.parameters():
        if parameter.dim() > 1:
            nn.init.kaiming_uniform_(parameter, nonlinearity="relu", generator=rng.generator(0, "plain"))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    images, labels = batch()

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(net(images[0]), labels[0]))
        optimizer.step()

    return step


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Draw a batch of noise images."""
    images = torch.randn(1, BATCH, 3, 32, 32, generator=rng.generator(0, "images"))
    return images, torch.randint(0, 10, (1, BATCH), generator=rng.generator(0, "labels"))


def dense(precision: str) -> Callable[[], None]:
    """Make our step of weight training."""
    run = DenseRun(dataset="none", net=NET, epochs=1, method="dense", lr=0.01, precision=precision)
    nets = draw_nets(build_net(NET, (3, 32, 32), 10, affine=True), [0], run, torch.zeros(()))
    optimizer = MomentumSgd(nets.parameters, momentum=0.9, weight_decay=1e-4)
    images, labels = batch()

    def step() -> None:
        optimizer.descend(0.01, cross_entropy(nets.logits(images), labels))

    return step


def masked(precision: str) -> tuple[Callable[[], None], Callable[[], None]]:
    """Make our step of the popup scores, and one redraw event."""
    run = IterandRun(
        dataset="none", net=NET, epochs=1, method="iterand", score_lr=0.3, sparsity=0.5,
        randomize_every=EVERY, randomize_prob=0.1, precision=precision,
    )  # fmt: skip
    tickets = draw_tickets(build_net(NET, (3, 32, 32), 10, affine=False), [0], run, torch.zeros(()))
    optimizer = MomentumSgd(tickets.scores, momentum=0.9, weight_decay=1e-4)
    redrawn = {n: torch.zeros_like(w, dtype=torch.int32) for n, w in tickets.weights.items()}
    images, labels = batch()

    def step() -> None:
        optimizer.descend(0.3, cross_entropy(tickets.logits(images), labels))

    return step, lambda: redraw(tickets, run, 1, redrawn)


def timed(step: Callable[[], object]) -> float:
    """Time one call, in seconds."""
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def gemm_peak(dtype: torch.dtype, size: int = 2048) -> float:
    """Measure the best rate of a square matrix product of 5, in FLOP/s."""
    a, b = (torch.randn(size, size, generator=rng.generator(0, name)).to(dtype) for name in "ab")
    return 2 * size**3 / min(timed(lambda: torch.mm(a, b)) for _ in range(5))


def step_flops() -> float:
    """Count the multiply-adds of forward and backward (three products; the first layer has no input gradient)."""
    convolutions = [2.0 * BATCH * i * o * 9 * side**2 for i, o, side in CONVOLUTIONS]
    linear = [2.0 * BATCH * i * o for i, o in LINEAR]
    return 3 * sum(convolutions + linear) - convolutions[0]


def main() -> None:
    """Interleave the steps, so that a change of the machine's speed meets all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    masked32, event = masked("fp32")
    masked16, _ = masked("bf16")
    arms = {
        "plain PyTorch, NCHW, fp32": plain(),
        "our dense step, fp32": dense("fp32"),
        "our IteRand step, fp32": masked32,
        "our dense step, bf16": dense("bf16"),
        "our IteRand step, bf16": masked16,
    }
    times: dict[str, list[float]] = {name: [] for name in arms}
    for round_number in range(steps + 2):
        for name, step in arms.items():
            seconds = timed(step)
            if round_number >= 2:  # the first two warm caches up
                times[name].append(seconds)
    median = {name: statistics.median(values) for name, values in times.items()}
    event_seconds = statistics.median(timed(event) for _ in range(5))
    peaks = {"fp32": gemm_peak(torch.float32), "bf16": gemm_peak(torch.bfloat16)}
    reference = median["plain PyTorch, NCHW, fp32"]
    rows: list[list[object]] = [["step", "median, s", "to plain", "to our dense step", "share of GEMM peak"]]
    for name, seconds in median.items():
        precision = name.rpartition(" ")[2]
        own_dense = median[f"our dense step, {precision}"]
        share = step_flops() / seconds / peaks[precision]
        ratio = f"{seconds / own_dense:.3f}" if "IteRand" in name else ""
        rows.append([name, f"{seconds:.3f}", f"{seconds / reference:.3f}", ratio, f"{share:.0%}"])
    amortised = event_seconds / EVERY / median["our IteRand step, fp32"]
    told = [
        f"Conv6, width 1, batch {BATCH}; median of n = {steps} interleaved steps after 2 of warm-up.",
        f"GEMM peak of 2048 x 2048 matrices: {peaks['fp32'] / 1e9:.0f} GFLOP/s in fp32, "
        f"{peaks['bf16'] / 1e9:.0f} GFLOP/s in bf16.",
        "FLOPs are counted as direct convolutions; a share above 100 % says that the library's convolutions are",
        "faster on this processor than its matrix product, or multiply less.",
        f"A redraw event takes {event_seconds:.3f} s; one in {EVERY} steps is {amortised:.2%} of the step.",
    ]
    write_report("conv6_step", "A training step of Conv6", told, rows)


if __name__ == "__main__":
    main()
