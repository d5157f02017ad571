"""What the commands of all stages share: arguments, errors, exit codes, device, threads."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from carryover.core.resume import OutOfTime
from carryover.io.lock import Locked

if TYPE_CHECKING:
    import torch

TRY_AGAIN = 75
"""Exit code (EX_TEMPFAIL) of a stage that lost nothing and goes on when started again."""


def stage_parser(
    doc: str | None, *, inputs: Sequence[str] = (), outputs: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """Make the parser of a stage: a required `--<name>` path for each input and output, and usual options.

    `doc` is the docstring of the stage. A name that ends in `*` takes one or more paths.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    for kind, names in (("input", inputs), ("output", outputs)):
        for name in names:
            parser.add_argument(
                f"--{name.rstrip('*')}",
                type=Path,
                required=True,
                nargs="+" if name.endswith("*") else None,
                help=f"{kind} file" + ("s" if name.endswith("*") else ""),
            )
    parser.add_argument("--spec", help="settings of this job, as JSON")
    parser.add_argument("--code", help="digest of the code; noted in the manifest")
    parser.add_argument("--seeds", help="block of seeds: s0-4 or s3")
    if "manifest" not in (*inputs, *outputs):
        parser.add_argument("--manifest", type=Path, help="output file that says what made the others")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument(
        "--minutes", type=float, help="time budget; near its end the stage saves and exits 75"
    )
    parser.add_argument("--work", type=Path, help="folder for checkpoints; without it nothing is kept")
    return parser


def run_stage(main: Callable[[], None]) -> None:
    """Run the `main` of a stage as a command.

    An error of the person who called (ValueError, OSError) is one message and exit code 1; time that ran out
    or a locked work folder is one message and exit code 75; anything else is a bug and keeps its traceback.
    """
    try:
        main()
    except (OutOfTime, Locked) as stop:
        print(stop, file=sys.stderr)
        sys.exit(TRY_AGAIN)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def seeds_of(text: str) -> tuple[int, ...]:
    """Read a block of seeds: `s0-4` is 0, 1, 2, 3, 4 and `s3` is 3.

    Raises ValueError for any other form.
    """
    match = re.fullmatch(r"s(\d+)(?:-(\d+))?", text, flags=re.ASCII)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if last < first:
        raise ValueError(f"seeds: a block is written s0-4 or s3, the lower seed first: got {text!r}")
    return tuple(range(first, last + 1))


def pick_device(name: str) -> "torch.device":
    """Choose where to compute: `auto` is the GPU when this machine has one that torch can use.

    Raises ValueError when `cuda` is asked for and there is none.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device: cuda was asked for, and torch {torch.__version__} finds no GPU here; "
            "use device: auto or cpu, or a machine with a GPU and a torch made for CUDA"
        )
    return torch.device(name)


def set_threads(num_threads: int) -> int:
    """Let torch use `num_threads` CPU threads, but no more than there are cores for this process.

    Returns the number in use. Raises ValueError when it is below 1.
    """
    import torch

    if num_threads < 1:
        raise ValueError(f"threads must be at least 1: got {num_threads}")
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(min(num_threads, allowed))
    return torch.get_num_threads()
