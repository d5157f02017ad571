"""Check the claims about IteRand on a study's table of runs, and draw the board of verdicts."""

from collections.abc import Sequence

from carryover.claims.check import check_claims
from carryover.claims.iterand import CLAIMS
from carryover.claims.runs import runs_of
from carryover.claims.table import rows_of
from carryover.figures.claims import draw
from carryover.figures.style import save_figure
from carryover.io.tables import load_table, save_table
from carryover.iterand.settings import METHODS
from carryover.stages._cli import run_stage, stage_parser

SETTINGS = frozenset(name for model in METHODS.values() for name in model.model_fields)


def main(argv: Sequence[str] | None = None) -> None:
    """Write `--claims` and the board `--pdf` and `--png` from `--table`.

    Raises ValueError when the table lacks a column that runs are compared by.
    """
    args = stage_parser(__doc__, inputs=["table"], outputs=["claims", "pdf", "png"]).parse_args(argv)
    runs = runs_of(load_table(args.table), SETTINGS)
    save_table(args.claims, rows_of("IteRand", check_claims(CLAIMS, runs)))
    save_figure(draw(load_table(args.claims)), args.pdf, args.png)


if __name__ == "__main__":
    run_stage(main)
