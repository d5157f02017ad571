"""Peak memory of a transfer along 5 and along 60 recorded points of a training: is a trajectory ever held whole?"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from _report import write_report

from carryover.core import rng
from carryover.core.trajectory import Trajectory
from carryover.io.recording import TrajectoryWriter, publish
from carryover.io.trajectory import open_trajectory
from carryover.nets.build import build_net
from carryover.nets.init import draw_default
from carryover.nets.settings import MlpSettings
from carryover.nets.specs import spec_of
from carryover.permute.settings import MatchingSettings
from carryover.transfer.methods import METHODS
from carryover.transfer.network import Network
from carryover.transfer.problem import TransferProblem

SHAPE, CLASSES = (1, 28, 28), 10
NET = MlpSettings(kind="mlp", hidden=(1024, 1024))
POINTS = (5, 60)
WAYS = ("fixed permutation", "FGMT", "FGMT, gradients in a file")


def record(folder: Path, num_points: int) -> None:
    """Write a trajectory that wanders at random from a net's start; only its size matters."""
    start = draw_default(build_net(NET, SHAPE, CLASSES, affine=True), 101)
    stacked = {name: tensor[None].clone() for name, tensor in start.items()}
    writer = TrajectoryWriter(folder / "work", (101,), stacked, {}, list(range(num_points + 1)), 1)
    writer.start(0, [True])
    draw = rng.generator(0, "wander")
    for step in range(num_points + 1):
        writer.keep(step, {}, [True])
        for tensor in stacked.values():
            tensor.add_(torch.randn(tensor.shape, generator=draw), alpha=0.002)
    writer.finish([True])
    publish(folder / "work", folder / "points")


def transfer(folder: Path, way: str) -> None:
    """Transfer along the recorded points and print peak memory, cached gradients and the size of a model."""
    torch.set_num_threads(1)
    net = build_net(NET, SHAPE, CLASSES, affine=True)
    source: Trajectory = open_trajectory(folder / "points", 101)
    draw = rng.generator(0, "images")
    images, labels = torch.randn(64, *SHAPE, generator=draw), torch.randint(CLASSES, (64,), generator=draw)
    problem = TransferProblem(
        network=Network(net, {}),
        spec=spec_of(NET, SHAPE, CLASSES),
        source=source,
        target=draw_default(net, 102),
        batches=lambda t: [(images, labels)],
        matching=MatchingSettings(max_sweeps=1),
        seed=102,
        spill=folder / "spill" if way == WAYS[2] else None,
    )
    for moved in METHODS["weights" if way == WAYS[0] else "fgmt"](problem):
        cache = moved.cache_bytes
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    model = sum(tensor.nbytes for tensor in problem.target.values())
    print(json.dumps({"peak": peak, "cache": 0 if problem.spill else cache, "model": model}))


def main() -> None:
    """Measure every way in a process of its own, on both lengths."""
    head: list[object] = [
        "way",
        "points",
        "peak (MB)",
        "cached gradients (MB)",
        "the rest (MB)",
        "ratio of the rest",
    ]
    rows = [head]
    with TemporaryDirectory() as folder:
        for num_points in POINTS:
            record(Path(folder) / str(num_points), num_points)
        for way in WAYS:
            rest: dict[int, float] = {}
            for num_points in POINTS:
                command = [sys.executable, __file__, f"{folder}/{num_points}", way]
                found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                rest[num_points] = found["peak"] - found["cache"]
                ratio = f"{rest[num_points] / rest[POINTS[0]]:.2f}"
                cells = [found["peak"], found["cache"], rest[num_points]]
                rows.append([way, num_points, *(round(cell / 1e6) for cell in cells), ratio])
        whole = round(found["model"] * (POINTS[1] + 1) / 1e6)
    told = [
        "A net 784-1024-1024-10 along recorded points, 64 images, each way in a process of its own (peak resident",
        f"memory, Python and torch included). All 61 points would be {whole} MB. The goal: the rest is at most",
        "1.3 times that of 5 points. Gradients in a file are mapped, so that their pages count as resident for as long",
        "as nothing else wants the memory; they are not subtracted.",
    ]
    write_report("transfer_memory", "Memory of a transfer along a recorded trajectory", told, rows)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        transfer(Path(sys.argv[1]), sys.argv[2])
    else:
        main()
