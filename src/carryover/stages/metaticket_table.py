"""Collect all that few-shot learning's runs of a study measured in one table, with both spreads and all settings."""

from collections.abc import Sequence

from carryover.figures.metaticket_measurements import tabulate_measurements
from carryover.io.fewshot import read_fewshot
from carryover.io.results import plain_rows
from carryover.io.tables import save_table
from carryover.stages._cli import run_stage, stage_parser


def main(argv: Sequence[str] | None = None) -> None:
    """Write the table; without seconds and memory, which differ from one time to the next."""
    args = stage_parser(__doc__, inputs=["results*"], outputs=["table"]).parse_args(argv)
    save_table(args.table, plain_rows(tabulate_measurements(read_fewshot(args.results))))


if __name__ == "__main__":
    run_stage(main)
