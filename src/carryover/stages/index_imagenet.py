"""Make the index of ImageNet's folders; no image is copied."""

from collections.abc import Sequence

from carryover.core.config import parse
from carryover.data.imagenet import index_imagenet, save_index
from carryover.data.settings import Imagenet
from carryover.stages._cli import run_stage, stage_parser


def main(argv: Sequence[str] | None = None) -> None:
    """Write where the images of `--folder` lie, split as `--spec` says; the set is called like the file."""
    args = stage_parser(__doc__, inputs=["folder"], outputs=["index"]).parse_args(argv)
    settings = parse(Imagenet, args.spec)
    save_index(args.index, index_imagenet(args.index.stem, args.folder, settings))


if __name__ == "__main__":
    run_stage(main)
