"""Make the data set file of sinusoids: their ranges, since tasks are drawn from these alone."""

from collections.abc import Sequence

from carryover.core.config import parse
from carryover.data.sinusoid_settings import Sinusoid
from carryover.data.sinusoids import save_sinusoid
from carryover.stages._cli import run_stage, stage_parser


def main(argv: Sequence[str] | None = None) -> None:
    """Write the ranges that `--spec` gives."""
    args = stage_parser(__doc__, outputs=["ranges"]).parse_args(argv)
    save_sinusoid(args.ranges, parse(Sinusoid, args.spec))


if __name__ == "__main__":
    run_stage(main)
