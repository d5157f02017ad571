"""`carryover fewshot`: adapt a meta-trained net to one's own pictures, a few of each class, and predict others."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from carryover.fewshot_inputs import Given, Invert, Pictures, open_run
from carryover.io.tables import save_table
from carryover.metaticket.own import Options, Predictor, adapt

Row = dict[str, object]
STATISTICS = {
    "support": "the statistics of the support, so that every picture is predicted for itself",
    "transductive": "the statistics of all pictures of the query together (transductive): a prediction depends on the "
    "others",
    "none": "no statistics of a batch",
}
RULE = "Pictures become what the net was trained on: grey or colour, its size (the centre is cut out), its scale."


def predictions(predictor: Predictor, query: Pictures) -> list[Row]:
    """List the most probable class of each picture, its probability, and how batch-norm was used."""
    probabilities = predictor.probabilities(query.examples)
    highest, found = probabilities.max(-1)
    rows: list[Row] = []
    for number, (name, probability, label) in enumerate(
        zip(query.names, highest.tolist(), found.tolist(), strict=True)
    ):
        own: Row = {} if query.labels is None else {"class": query.labels[number]}
        predicted = predictor.classes[label]
        rows.append(
            {"image": name, **own, "predicted": predicted, "probability": probability, "norm": predictor.norm}
        )
    return rows


def report(given: Given, predictor: Predictor, support: Sequence[str], rows: Sequence[Row]) -> str:
    """Say in a few lines what was adapted to what, and how it did where that is known."""
    run, shots = given.net.run, sorted(set(Counter(support).values()))
    each = f"{shots[0]} pictures each" if len(shots) == 1 else f"{shots[0]} to {shots[-1]} pictures each"
    lines = [
        f"{given.run}, seed {given.net.seed}: {run.method}, trained on {run.dataset} with {run.ways} ways and"
        f" {run.shots} shots",
        f"support: {len(predictor.classes)} classes ({', '.join(map(str, predictor.classes))}), {each}",
        f"{predictor.steps} inner steps; batch-norm has {STATISTICS[predictor.norm]}",
    ]
    if "class" in rows[0]:
        right = sum(row["class"] == row["predicted"] for row in rows)
        chance = 1 / len(predictor.classes)
        lines.append(f"accuracy {right / len(rows):.4f} ({right} of {len(rows)}); chance {chance:.4f}")
    return "\n".join(lines)


def add_to(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `fewshot` to the parser of `carryover`; its `run` takes the parsed arguments."""
    text = "adapt a meta-trained net to your own pictures, a few of each class, and predict others"
    parser = subparsers.add_parser("fewshot", help=text, description=text, epilog=RULE, allow_abbrev=False)
    add = parser.add_argument
    add("--model", type=Path, required=True, metavar="FOLDER", help="training of a study, or a block of it")
    add(
        "--support",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="labelled pictures: a folder for each class",
    )
    add(
        "--query",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="pictures to predict, in class folders or in none",
    )
    add("--seed", type=int, help="which net of the training; not needed where there is one")
    add("--steps", type=int, metavar="K", help="inner steps (default: those of the training)")
    add("--lr", type=float, metavar="RATE", help="rate of the inner loop (default: that of the training)")
    add(
        "--transductive",
        action="store_true",
        help="normalise the pictures of the query by their own statistics",
    )
    add(
        "--invert",
        choices=get_args(Invert),
        default="auto",
        help="turn dark ink on light paper into light ink on black (default: auto, where the data set was inverted)",
    )
    add("--images", type=Path, metavar="FILE", help="data set of the training, if it is not where it was")
    add(
        "--output",
        type=Path,
        metavar="FILE",
        help="write the predictions to this CSV file instead of the screen",
    )
    add("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where to compute (default: auto)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Adapt and predict as asked; write or show the predictions, and the report.

    Raises ValueError when that cannot be done.
    """
    if args.output is not None and args.output.suffix != ".csv":
        raise ValueError(f"--output: the file to write must end in .csv: got {args.output}")
    for name in ("steps", "lr"):
        if (value := getattr(args, name)) is not None and value <= 0:
            raise ValueError(f"--{name} must be above 0: got {value}")
    given = open_run(args.model, args.seed, images=args.images, invert=args.invert, device=args.device)
    support = given.preparation.read(args.support, "--support")
    if support.labels is None:
        raise ValueError(
            f"--support: {args.support} has pictures and no class folders: put the pictures of each class into a folder"
            " that is called like it"
        )
    query = given.preparation.read(args.query, "--query")
    if unknown := sorted(set(query.labels or ()) - set(support.labels)):
        raise ValueError(
            f"--query has a class that --support lacks, {unknown[0]!r}: give examples of it, or put the pictures to"
            " predict into no class folders"
        )
    options = Options(steps=args.steps, lr=args.lr, transductive=args.transductive)
    predictor = adapt(given.net, support.examples, support.labels, options)
    rows = predictions(predictor, query)
    written = report(given, predictor, support.labels, rows)
    if args.output is not None:
        save_table(args.output, rows)
        sys.stdout.write(f"{written}\n{args.output}: {len(rows)} predictions\n")
        return
    width = max(len(name) for name in query.names)
    listed = [f"{row['image']:{width}}  {row['predicted']}  {row['probability']:.4f}" for row in rows]
    sys.stdout.write("\n".join([written, "", *listed]) + "\n")
