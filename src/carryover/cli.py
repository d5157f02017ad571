"""The command `carryover`: small tools beside the workflow."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

COMMANDS = {
    "export": "write one trained net as a plain dense net or in its exact compact form",
    "transfer": "hand the training of one net to another start of its architecture",
    "fewshot": "adapt a meta-trained net to your own pictures, a few of each class, and predict others",
    "compare": "compare the accuracies of two studies that have the same runs, seed by seed",
    "schema": "write the JSON schemas and the reference of all settings from the models",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that `argv` (or the command line) names.

    An error of the person who called (ValueError, OSError) is one message and exit code 1.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="carryover", description=__doc__, allow_abbrev=False)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, text in COMMANDS.items():
        if words[:1] == [name]:
            _add(name, subparsers)
        else:
            subparsers.add_parser(name, help=text)
    args = parser.parse_args(words)
    try:
        args.run(args)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def _add(name: str, subparsers: Any) -> None:
    """Add one command with its arguments; only its own module is imported, so that help is quick."""
    match name:
        case "export":
            from carryover import export

            export.add_to(subparsers)
        case "transfer":
            from carryover import carry

            carry.add_to(subparsers)
        case "fewshot":
            from carryover import fewshot

            fewshot.add_to(subparsers)
        case "compare":
            from carryover import compare

            compare.add_to(subparsers)
        case "schema":
            from carryover import schema

            schema.add_to(subparsers)
