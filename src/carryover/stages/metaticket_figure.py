"""Draw one of few-shot learning's figures from the results of its runs, with the table that it shows."""

from collections.abc import Sequence

from carryover.core.config import parse
from carryover.figures.metaticket import DRAWINGS
from carryover.figures.metaticket_settings import FewshotFigureSettings
from carryover.figures.style import save_figure
from carryover.io.fewshot import read_fewshot
from carryover.io.results import plain_rows
from carryover.io.tables import load_table, save_table
from carryover.stages._cli import run_stage, stage_parser


def main(argv: Sequence[str] | None = None) -> None:
    """Save the table, then draw what was saved: the figure shows nothing else."""
    outputs = ("pdf", "png", "table")
    args = stage_parser(__doc__, inputs=["results*"], outputs=outputs).parse_args(argv)
    spec = parse(FewshotFigureSettings, args.spec)
    drawing = DRAWINGS[spec.draw]
    save_table(args.table, plain_rows(drawing.tabulate(read_fewshot(args.results), spec)))
    save_figure(drawing.draw(load_table(args.table)), args.pdf, args.png)


if __name__ == "__main__":
    run_stage(main)
