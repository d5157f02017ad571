"""Collect all that learning transfer's runs of a study measured in one table: a row for each observation."""

from collections.abc import Sequence

from carryover.io.observations import read_observations
from carryover.io.results import plain_rows
from carryover.io.tables import save_table
from carryover.stages._cli import run_stage, stage_parser


def main(argv: Sequence[str] | None = None) -> None:
    """Write the table, without seconds, which differ from one time to the next, and without the cells of planes."""
    args = stage_parser(__doc__, inputs=["results*"], outputs=["table"]).parse_args(argv)
    table = read_observations(args.results)
    lasting = table[(table["metric"] != "seconds") & ~table["method"].isin(["plane", "map"])]
    columns = ["kind", "run", "pair", "method", "split", "metric", "step", "value"]
    save_table(args.table, plain_rows(lasting[columns].sort_values(columns[:-1], kind="stable")))


if __name__ == "__main__":
    run_stage(main)
