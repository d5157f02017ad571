"""Memory of an outer step: is it linear in the inner steps and the tasks in flight, and constant in evaluation?"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from _report import write_report
from metaticket_step import META_BATCH, NETS, outer_steps, posed, settings_of, tasks_of

from carryover.metaticket.batching import after_steps, batching_of

LARGE = {"MLP x8": {"kind": "episode-mlp", "width": 8}, "Conv4": NETS["Conv4"]}
"""Most of the first one's memory is weights, of the second one's activations."""
SMALL = {"MLP x1": NETS["MLP x1"]}
STEPS = (1, 2, 4, 8)
WAYS = (
    ("MAML", "second order", "loop", 1),
    ("Meta-ticket", "second order", "loop", 1),
    ("Meta-ticket", "second order", "loop", 2),
    ("Meta-ticket", "second order", "loop", 4),
    ("Meta-ticket", "second order", "vmap", 4),
    ("MAML", "first order", "loop", 1),
    ("Meta-ticket", "first order", "loop", 1),
    ("Meta-ticket", "evaluation", "loop", 1),
)
"""Method, what is run, how, and how many tasks are in flight."""
RETURNED = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""Has the C library give memory back at once, so that what is resident is what is used."""


TOLD = [
    f"5-way 5-shot, 5 query images of each class, 28x28, meta-batch {META_BATCH}, fp32: an outer step with what its",
    f"optimizer keeps, or the evaluation of {META_BATCH} tasks. Peak of resident memory above what was resident",
    "before, in a process of its own (n = 1), after a first run that brings the libraries in. `further step` is the",
    "slope from the first to the last K, `off the line` the largest distance from that line. The goal: second order",
    "linear in K and in the tasks in flight; evaluation constant from K = 2 on; first order almost, since the gradient",
    "of a mask needs the inner gradients of all steps.",
]


def resident(what: str) -> int:
    """Read a line of this process's status, in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{what}:")[1].split()[0]) * 1024


def made(net: dict[str, object], way: tuple[str, str, str, int], num_steps: int) -> Callable[[], object]:
    """Make an outer step or an evaluation."""
    label, what, backend, chunk = way
    run = settings_of(
        net,
        "maml" if label == "MAML" else "metaticket",
        order="first" if what == "first order" else "second",
        inner_steps=num_steps,
        batching=backend,
        chunk=chunk,
    )
    like = torch.zeros(())
    if what != "evaluation":
        return outer_steps(run, like)
    network, learner = posed(run, like)
    tasks, batching = tasks_of(META_BATCH, like), batching_of(run.batching, run.chunk, like.device)
    return partial(after_steps, network, *learner.parametrise(), tasks, [num_steps], batching)


def measure(net: dict[str, object], way: tuple[str, str, str, int], num_steps: int) -> None:
    """Print the peak of resident memory while something runs above what was resident before, in bytes."""
    torch.set_num_threads(1)
    made(net, way, 1)()  # brings the libraries in
    run = made(net, way, num_steps)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak back to what is resident now
    run()
    print(json.dumps(resident("VmHWM") - before))


def peak(net: dict[str, object], way: tuple[str, str, str, int], num_steps: int) -> float:
    """Measure in a process of its own, in MB."""
    command = [sys.executable, __file__, "--measure", json.dumps([net, way, num_steps])]
    environment = {**os.environ, **RETURNED}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(json.loads(done.stdout)) / 1e6


def main() -> None:
    """Measure every way with every number of inner steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a minute, to see that it runs; reports nothing")
    parser.add_argument("--measure", help="measure this one, and print its bytes")
    args = parser.parse_args()
    if args.measure:
        measure(*json.loads(args.measure))
        return
    nets, ways, steps = (SMALL, WAYS[1:4:2], STEPS[:3]) if args.small else (LARGE, WAYS, STEPS)
    head = ["net", "method", "what", "backend", "tasks in flight", *(f"K = {number}, MB" for number in steps)]
    rows: list[list[object]] = [[*head, "further step, MB", "off the line"]]
    for name, net in nets.items():
        for way in ways:
            peaks = [peak(net, way, number) for number in steps]
            further = (peaks[-1] - peaks[0]) / (steps[-1] - steps[0])
            line = [peaks[0] + further * (number - steps[0]) for number in steps]
            off = max(abs(one - own) / one for one, own in zip(peaks, line, strict=True))
            rows.append([name, *way, *(f"{one:.0f}" for one in peaks), f"{further:.1f}", f"{off:.1%}"])
    if args.small:
        print(*TOLD, *rows, sep="\n")
    else:
        write_report("metaticket_memory", "Few-shot learning: memory of an outer step", TOLD, rows)


if __name__ == "__main__":
    main()
