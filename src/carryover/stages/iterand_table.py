"""Collect all of IteRand's runs of a study in one table: a row for each run and seed."""

from collections.abc import Sequence

from carryover.io.results import per_seed, plain_rows, read_results
from carryover.io.tables import save_table
from carryover.stages._cli import run_stage, stage_parser


def main(argv: Sequence[str] | None = None) -> None:
    """Write the table: settings, steps, accuracy and loss at the last step, counts of weights."""
    args = stage_parser(__doc__, inputs=["results*"], outputs=["table"]).parse_args(argv)
    table = per_seed(read_results(args.results))
    save_table(args.table, plain_rows(table.sort_values(["run", "seed"], kind="stable")))


if __name__ == "__main__":
    run_stage(main)
