"""Make the data set file of scikit-learn's digits."""

from collections.abc import Sequence

from carryover.core.config import parse
from carryover.data.digits import read_digits
from carryover.data.images import save_images
from carryover.data.prepare import prepare_images
from carryover.data.settings import Digits
from carryover.stages._cli import run_stage, stage_parser


def main(argv: Sequence[str] | None = None) -> None:
    """Write the digits, split as `--spec` says; the data set is called like the file."""
    args = stage_parser(__doc__, outputs=["images"]).parse_args(argv)
    settings = parse(Digits, args.spec)
    save_images(args.images, prepare_images(args.images.stem, read_digits(), settings))


if __name__ == "__main__":
    run_stage(main)
