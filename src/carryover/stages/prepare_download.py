"""Make the data set file of a downloaded source from its raw files."""

from collections.abc import Sequence

from pydantic import TypeAdapter

from carryover.data.images import save_images
from carryover.data.listing import read_listing
from carryover.data.prepare import prepare_images
from carryover.data.settings import DownloadSettings
from carryover.data.sources import DOWNLOADS
from carryover.stages._cli import run_stage, stage_parser


def main(argv: Sequence[str] | None = None) -> None:
    """Write the images of the listed files, split as `--spec` says; the data set is called like the file."""
    args = stage_parser(__doc__, inputs=["raw"], outputs=["images"]).parse_args(argv)
    settings: DownloadSettings = TypeAdapter(DownloadSettings).validate_json(args.spec)
    files = read_listing(args.raw, settings.source)
    source = DOWNLOADS[settings.source]
    contents = source.resize(source.read(files), settings.size)
    save_images(args.images, prepare_images(args.images.stem, contents, settings))


if __name__ == "__main__":
    run_stage(main)
