"""Make the data set file of a folder or zip of class folders."""

from collections.abc import Sequence

from carryover.core.config import parse
from carryover.data.folder import read_folder
from carryover.data.images import save_images
from carryover.data.prepare import prepare_images
from carryover.data.settings import Folder
from carryover.stages._cli import run_stage, stage_parser


def main(argv: Sequence[str] | None = None) -> None:
    """Write the images of `--folder`, split as `--spec` says; the data set is called like the file."""
    args = stage_parser(__doc__, inputs=["folder"], outputs=["images"]).parse_args(argv)
    settings = parse(Folder, args.spec)
    by_class = settings.class_split is not None
    contents = read_folder(args.folder, settings.channels, settings.size, settings.resize, by_class=by_class)
    save_images(args.images, prepare_images(args.images.stem, contents, settings))


if __name__ == "__main__":
    run_stage(main)
