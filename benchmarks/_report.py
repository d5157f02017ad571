"""What every benchmark reports: where and when it ran, and its table, as Markdown beside the script."""

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch


def cpu_name() -> str:
    """Name the processor and what it offers for bfloat16."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next(
        (line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")), ""
    )
    features = [name for name in ("avx512_bf16", "amx_bf16") if name in text]
    return f"{model or platform.processor()} ({', '.join(features) or 'no bf16 instructions'})"


def write_report(script: str, title: str, told: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table (its first row is the head) and write it to benchmarks/<script>.md."""
    head, *body = [[str(cell) for cell in row] for row in rows]
    date = datetime.now(UTC).date().isoformat()
    threads = torch.get_num_threads()
    lines = [
        f"# {title}",
        "",
        f"`python benchmarks/{script}.py`, {date}; {cpu_name()}, {threads} thread{'s' * (threads > 1)};",
        f"torch {torch.__version__}, Python {platform.python_version()}.",
        "",
        *told,
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in body),
    ]
    text = "\n".join(lines) + "\n"
    Path(__file__).with_name(f"{script}.md").write_text(text)
    print(text)
