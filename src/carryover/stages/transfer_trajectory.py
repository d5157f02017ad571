"""Carry the trajectory of each pair's source to its target, by every method of a run, and measure where it leads."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from carryover.core.block import Tensors
from carryover.core.config import parse
from carryover.core.resume import Resume
from carryover.io.checkpoint import save_tensors
from carryover.io.workdir import WorkDir
from carryover.permute.spec import Permutation
from carryover.stages._cli import pick_device, run_stage, set_threads
from carryover.stages._training import training_parser, work_folder
from carryover.stages._transfer import Row, inputs_of, row, save_result
from carryover.stages._transfer_case import Case, open_case
from carryover.stages._transfer_references import measured_source, measured_standard
from carryover.transfer.methods import METHODS
from carryover.transfer.pairs import pairs_of
from carryover.transfer.problem import Transferred
from carryover.transfer.settings import TransferRun


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = training_parser(
        __doc__, inputs=["images", "source*", "target*"], outputs=["metrics", "nets", "manifest"]
    )
    args = parser.parse_args(argv)
    run = parse(TransferRun, args.spec)
    like = torch.zeros((), device=pick_device(args.device))
    set_threads(args.threads)
    rows: list[Row] = []
    tensors: Tensors = {}
    seconds: dict[str, float] = {}
    with WorkDir(
        work_folder(args, inputs_of(args)), minutes=args.minutes, save_every=args.save_every
    ) as work:
        for pair in pairs_of(args.seeds):
            case = open_case(args.images, args.source, args.target, run, pair, like)
            rows += measured_source(case, work.part(f"{pair}-source"))
            rows += measured_standard(case, work.part(f"{pair}-standard"))
            for method in run.methods:
                name = f"{pair}-{method}"
                with scratch(work.folder / f"gradients-{name}") as spill:
                    carried = carry(case, method, work.part(name), spill)
                rows += carried.rows
                tensors |= {f"{pair}/{method}/{name}": tensor for name, tensor in carried.tensors.items()}
                seconds[f"{pair}/{method}"] = round(carried.seconds, 3)
        save_tensors(args.nets, tensors, {"spec": args.spec, "seeds": args.seeds})
        record = {"device": str(like.device), "attempt": work.attempt, "seconds": seconds}
        save_result(args, run.stage, "transfer", rows, record, [args.nets])
        work.clear()


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """Remove all files whose name begins like `path` when they are no longer used, or the stage stops."""
    try:
        yield path
    finally:
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()


@dataclass
class Carried:
    """What one method gave for one pair."""

    rows: list[Row]
    tensors: Tensors
    """The selected net and the last one (`selected/<name>`, `last/<name>`), and the last permutation."""
    seconds: float
    """Time spent on finding permutations, without measuring."""

    def notes(self, step: int) -> str:
        """Write down what was measured up to a step; one beyond the last means that all is done."""
        return json.dumps({"step": step, "rows": self.rows, "seconds": self.seconds})


def carry(case: Case, method: str, resume: Resume, spill: Path) -> Carried:
    """Run one method, measuring as it goes.

    Permutations that an earlier attempt found are taken from there, and so are its measurements; of a method that
    had come to its end, everything. `spill` names a file for cached gradients.
    """
    known = resume.restore() or {}
    notes = json.loads(resume.notes)
    done = int(notes.get("step", 0))
    carried = Carried(notes.get("rows", []), {}, notes.get("seconds", 0.0))
    if done > case.trajectory.num_steps:
        return replace(carried, tensors=known)
    selected: Transferred | None = None
    began = time.perf_counter()
    for moved in METHODS[method](case.problem(_steps(known), spill)):
        if moved.step > done:
            carried.seconds += time.perf_counter() - began
            carried.rows += case.observed(method, moved)
            known |= {
                f"{moved.step}/{n}/{g}": p for n, own in enumerate(moved.permutations) for g, p in own.items()
            }
            if resume.due():
                resume.save(moved.step, known, carried.notes(moved.step))
        if selected is None or case.score(carried.rows, moved.step) > case.score(carried.rows, selected.step):
            selected = moved
        began = time.perf_counter()
    assert selected is not None
    carried.rows.append(row(case.pair, method, "none", selected.step, "best", 1.0))
    named = [("selected", selected), ("last", moved)]
    for net in {own.step: own for _, own in named}.values():
        buffers = case.rebuilt(net.parameters)
        carried.rows += case.reported(method, net, buffers)
        for name in (name for name, own in named if own.step == net.step):
            whole = {**net.parameters, **buffers}
            carried.tensors |= {f"{name}/{key}": tensor.cpu() for key, tensor in whole.items()}
    carried.tensors |= {f"permutation/{group}": own for group, own in moved.permutations[-1].items()}
    resume.save(moved.step + 1, carried.tensors, carried.notes(moved.step + 1))
    return carried


def _steps(known: Tensors) -> dict[int, tuple[Permutation, ...]]:
    """Sort saved permutations by step and segment."""
    found: dict[int, dict[int, Permutation]] = {}
    for name, own in known.items():
        step, segment, group = name.split("/", 2)
        found.setdefault(int(step), {}).setdefault(int(segment), {})[group] = own
    return {step: tuple(own[n] for n in sorted(own)) for step, own in found.items()}


if __name__ == "__main__":
    run_stage(main)
