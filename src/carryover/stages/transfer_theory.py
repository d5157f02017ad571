"""Simulate the theorem of learning transfer: how near a permutation brings two nets' expected gradients."""

from collections.abc import Sequence

from carryover.core.config import parse
from carryover.io.manifest import write_manifest
from carryover.io.tables import save_table
from carryover.stages._cli import run_stage, stage_parser
from carryover.transfer.theory import theory_rows
from carryover.transfer.theory_settings import TransferTheorySettings


def main(argv: Sequence[str] | None = None) -> None:
    """Write the table and the manifest."""
    args = stage_parser(__doc__, outputs=["table", "manifest"]).parse_args(argv)
    save_table(args.table, theory_rows(parse(TransferTheorySettings, args.spec)))
    write_manifest(
        args.manifest,
        stage="transfer_theory",
        spec=args.spec,
        code=args.code,
        seeds=None,
        inputs=[],
        outputs=[args.table],
        record={},
    )


if __name__ == "__main__":
    run_stage(main)
