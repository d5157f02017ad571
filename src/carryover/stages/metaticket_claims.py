"""Check the claims about Meta-ticket on all results of a study, and draw the board of verdicts."""

from collections.abc import Sequence

from carryover.claims.metaticket import check_fewshot_claims
from carryover.claims.metaticket_checks import rows_with_tasks
from carryover.figures.claims import draw
from carryover.figures.style import save_figure
from carryover.io.tables import load_table, save_table
from carryover.stages._cli import run_stage, stage_parser


def main(argv: Sequence[str] | None = None) -> None:
    """Write `--claims` and the board `--pdf` and `--png` from `--results`."""
    args = stage_parser(__doc__, inputs=["results*"], outputs=["claims", "pdf", "png"]).parse_args(argv)
    save_table(args.claims, rows_with_tasks("Meta-ticket", check_fewshot_claims(args.results)))
    save_figure(draw(load_table(args.claims)), args.pdf, args.png)


if __name__ == "__main__":
    run_stage(main)
