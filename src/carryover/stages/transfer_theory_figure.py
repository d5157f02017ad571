"""Draw the simulation of learning transfer's theorem from its table."""

from collections.abc import Sequence

from carryover.figures.style import save_figure
from carryover.figures.transfer_theory import draw, tabulate
from carryover.io.manifest import read_manifest
from carryover.io.results import plain_rows
from carryover.io.tables import load_table, save_table
from carryover.stages._cli import run_stage, stage_parser


def main(argv: Sequence[str] | None = None) -> None:
    """Check the table against its manifest, average it over seeds, and draw it."""
    args = stage_parser(__doc__, inputs=["theory", "manifest"], outputs=["pdf", "png", "table"]).parse_args(
        argv
    )
    read_manifest(args.manifest)
    save_table(args.table, plain_rows(tabulate(load_table(args.theory))))
    save_figure(draw(load_table(args.table)), args.pdf, args.png)


if __name__ == "__main__":
    run_stage(main)
