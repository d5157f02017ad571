"""Draw the four panels of IteRand's theory from its tables, with all of them as one table beside the figure."""

from collections.abc import Sequence

import pandas

from carryover.figures.iterand_theory import draw
from carryover.figures.style import save_figure
from carryover.io.manifest import read_manifest
from carryover.io.results import plain_rows
from carryover.io.tables import load_table, save_table
from carryover.stages._cli import run_stage, stage_parser

TABLES = ("miss", "width", "subset_sum", "network")


def main(argv: Sequence[str] | None = None) -> None:
    """Check the tables against their manifest, put them into one, and draw them."""
    inputs, outputs = (*TABLES, "manifest"), ("pdf", "png", "table")
    args = stage_parser(__doc__, inputs=inputs, outputs=outputs).parse_args(argv)
    read_manifest(args.manifest)
    tables = {name: load_table(getattr(args, name)) for name in TABLES}
    panels = [
        table.astype(object).assign(panel=letter)
        for letter, table in zip("abcd", tables.values(), strict=True)
    ]
    together = pandas.concat(panels, ignore_index=True)
    save_table(args.table, plain_rows(together[["panel", *together.columns.drop("panel")]]))
    save_figure(draw(tables), args.pdf, args.png)


if __name__ == "__main__":
    run_stage(main)
