"""Fetch the raw files of a source, verify them, and list them."""

from collections.abc import Sequence
from pathlib import Path

from carryover.core.config import parse
from carryover.data.fetch import Places, fetch
from carryover.data.listing import write_listing
from carryover.data.settings import RawSettings
from carryover.data.sources import DOWNLOADS
from carryover.stages._cli import run_stage, stage_parser


def main(argv: Sequence[str] | None = None) -> None:
    """Fetch the source that `--spec` names into `<root>/<source>` and write the list of its files."""
    parser = stage_parser(__doc__, outputs=["raw"])
    parser.add_argument("--root", type=Path, required=True, help="folder of raw files (data.root)")
    parser.add_argument("--mirror", type=Path, help="folder tried before the network (data.mirror)")
    parser.add_argument("--offline", action="store_true", help="never use the network (offline: true)")
    args = parser.parse_args(argv)
    source = parse(RawSettings, args.spec).source
    files = fetch(source, DOWNLOADS[source], Places(args.root, args.mirror, args.offline))
    write_listing(args.raw, source, files)


if __name__ == "__main__":
    run_stage(main)
