"""Tabulate the theory of IteRand: the lemma, its width, the subset-sum comparison and whole networks."""

from collections.abc import Sequence

from carryover.core.config import parse
from carryover.io.manifest import write_manifest
from carryover.io.tables import save_table
from carryover.iterand.theory import miss_rows, subset_sum_rows, width_rows
from carryover.iterand.theory_network import network_rows
from carryover.iterand.theory_settings import TheorySettings
from carryover.stages._cli import run_stage, stage_parser


def main(argv: Sequence[str] | None = None) -> None:
    """Write the four tables of experiments 1 to 4, and the manifest."""
    outputs = ("miss", "width", "subset-sum", "network", "manifest")
    args = stage_parser(__doc__, outputs=outputs).parse_args(argv)
    settings = parse(TheorySettings, args.spec)
    save_table(args.miss, miss_rows(settings))
    save_table(args.width, width_rows(settings))
    save_table(args.subset_sum, subset_sum_rows(settings))
    save_table(args.network, network_rows(settings))
    write_manifest(
        args.manifest,
        stage="iterand_theory",
        spec=args.spec,
        code=args.code,
        seeds=None,
        inputs=[],
        outputs=[args.miss, args.width, args.subset_sum, args.network],
        record={},
    )


if __name__ == "__main__":
    run_stage(main)
