"""What is claimed of learning transfer, each claim with the comparisons that test it and its margin.

A claim with the basis `paper` is one that the paper states or that its figures show, one with the basis `replica` is an
ordering that a small replica of its experiments showed, and `own` is a question of this project. Differences are
paired by pair of source and target. They are of test images at the last step, or at the one that validation selected;
of validation images where a claim is about an earlier step.

Margins: "better" means above 0; "at least" allows one point (0.01) to the other side, "enough" two; "near" three
points, which is the paper's own spread over pairs; "alike" allows five to both sides. They were fixed
before the results that they judge.

Source: learning transfer, sections 4 and 7.2.
"""

from typing import TYPE_CHECKING

from carryover.claims.check import Finding
from carryover.claims.statistics import Region
from carryover.claims.transfer_checks import Comparison, TransferClaim, check
from carryover.claims.transfer_runs import Reading, study_of
from carryover.claims.transfer_selections import (
    actual,
    as_long,
    crosses,
    deep_digits,
    deep_line,
    every,
    fresh_line,
    line,
    mnist,
    most_steps,
    narrowest,
    one_step,
    one_training,
    ordinary,
    ordinary_beside_crossing,
    tuned_line,
    uniform_line,
    within,
    without_statistics,
)

if TYPE_CHECKING:
    from pandas import DataFrame

BETTER = Region(low=0.0)
AT_LEAST = Region(low=-0.01)
NOT_ABOVE = Region(high=0.01)
ENOUGH = Region(low=-0.02)
NEAR = Region(low=-0.03)
ALIKE = Region(low=-0.05, high=0.05)
TEN_POINTS = Region(low=0.10)
FIFTEEN_POINTS = Region(low=0.15)

BOTH = ("gmt", "fgmt")
BUDGET = {"gmt": "standard-gmt", "fgmt": "standard"}
"""Standard training with as many gradient evaluations as a method."""


def _at(method: str) -> Reading:
    return Reading(method, "selected")


def _first(method: str) -> Reading:
    return Reading(method, "first epoch", split="val")


def _cosine(method: str) -> Reading:
    return Reading(method, "all", "cosine", "none")


def _barrier(method: str) -> Reading:
    return Reading(method, "last", "barrier_target", "none")


CURVES = (
    TransferClaim(
        "near-oracle",
        "From random starts, GMT and FGMT end near the oracle, which knows the trained target, or above it.",
        "figure 5a-c",
        "paper",
        "transfers along a line from random starts in 5 steps or more, with the oracle",
        tuple(Comparison("transfer", Reading(m), Reading("oracle"), NEAR, fresh_line) for m in BOTH),
    ),
    TransferClaim(
        "above-naive",
        "On digits, in nets of two hidden layers or more, GMT and FGMT end 10 points above naive and random.",
        "not a figure of the paper",
        "replica",
        "transfers on digits along a line in 5 steps or more, in nets of two hidden layers",
        tuple(
            Comparison("transfer", Reading(m), Reading(baseline), TEN_POINTS, deep_digits)
            for m in BOTH
            for baseline in ("naive", "random")
        ),
    ),
    TransferClaim(
        "first-step",
        "On MNIST, GMT and FGMT are 15 points above naive after the first step.",
        "figure 5a",
        "paper",
        "transfers on MNIST along a line",
        tuple(
            Comparison(
                "transfer",
                Reading(m, 1, split="val"),
                Reading("naive", 1, split="val"),
                FIFTEEN_POINTS,
                mnist,
            )
            for m in BOTH
        ),
    ),
    TransferClaim(
        "pre-trained-starts",
        "From pre-trained starts, GMT and FGMT are better than naive at their best step.",
        "figure 5d-f",
        "paper",
        "transfers of fine-tuning along a line",
        tuple(Comparison("transfer", _at(m), _at("naive"), BETTER, tuned_line) for m in BOTH),
    ),
    TransferClaim(
        "fast-as-good",
        "FGMT, which caches its gradients, ends at least as high as GMT.",
        "figures 5 and 9",
        "paper",
        "transfers along a line in 5 steps or more, by both methods",
        (Comparison("transfer", Reading("fgmt"), Reading("gmt"), AT_LEAST, line),),
    ),
    TransferClaim(
        "linear-or-actual",
        "A straight line is at least as good a trajectory as the recorded one.",
        "figure 4",
        "paper",
        "transfers of one training along a line and along what was recorded",
        tuple(Comparison("transfer", Reading(m), Reading(m), AT_LEAST, uniform_line, actual) for m in BOTH),
    ),
    TransferClaim(
        "beats-standard",
        "From random starts, GMT and FGMT end above standard training with as many gradient evaluations.",
        "not a figure of the paper",
        "own",
        "transfers along a line from random starts, with standard training",
        tuple(Comparison("transfer", Reading(m), Reading(BUDGET[m]), BETTER, fresh_line) for m in BOTH),
    ),
    TransferClaim(
        "naive-random",
        "A random permutation is as good as none.",
        "not a figure of the paper",
        "replica",
        "transfers along a line with random and naive",
        (Comparison("transfer", Reading("random"), Reading("naive"), ALIKE, fresh_line),),
    ),
    TransferClaim(
        "one-step",
        "With two hidden layers or more one step is too few: 5 steps or more end higher.",
        "not a figure of the paper",
        "replica",
        "transfers of one training in 1 step and in 5 or more",
        tuple(Comparison("transfer", Reading(m), Reading(m), BETTER, deep_line, one_step) for m in BOTH),
    ),
    TransferClaim(
        "five-steps",
        "With two hidden layers or more 5 steps are enough: more add at most two points.",
        "not a figure of the paper",
        "replica",
        "transfers of one training in 5 steps and in more",
        tuple(Comparison("transfer", Reading(m), Reading(m), ENOUGH, deep_line, most_steps) for m in BOTH),
    ),
    TransferClaim(
        "statistics",
        "Batch-norm nets need their statistics rebuilt after a transfer.",
        "section 4, settings",
        "replica",
        "transfers of a batch-norm net with and without rebuilt statistics",
        tuple(
            Comparison("transfer", Reading(m), Reading(m), BETTER, every, without_statistics) for m in BOTH
        ),
    ),
)
"""Claims about accuracy along a trajectory."""

AFTERWARDS = (
    TransferClaim(
        "faster",
        "Because of the permutation, training after a transfer is ahead: after one epoch it is above standard "
        "training, and above training after naive transfer.",
        "figure 6",
        "paper",
        "training after GMT, FGMT and naive transfer that was measured after its first epoch",
        tuple(
            each
            for m in BOTH
            for each in (
                Comparison("continuation", _first(m), _first("target"), BETTER, one_training, ordinary),
                Comparison("continuation", _first(m), _first("naive"), BETTER, one_training),
            )
        ),
    ),
    TransferClaim(
        "ends-as-high",
        "After a transfer, training as long as usual ends at least as high as standard training.",
        "figure 6",
        "paper",
        "training after a transfer with as many epochs as the targets' own",
        tuple(
            Comparison("continuation", Reading(m), Reading("target"), AT_LEAST, as_long, ordinary)
            for m in BOTH
        ),
    ),
    TransferClaim(
        "inherits",
        "What a target was pre-trained on counts: after the same transfer and training, better pre-trained targets "
        "end higher than targets pre-trained like the source.",
        "figure 8",
        "paper",
        "training after transfers from one pre-training to another and to itself",
        (Comparison("continuation", Reading("fgmt"), Reading("fgmt"), BETTER, crosses, within),),
    ),
    TransferClaim(
        "inherits-no-more",
        "Between nets of the lesser pre-training, transfer and training do not end above standard fine-tuning.",
        "figure 8",
        "paper",
        "training after transfers from one pre-training to another and to itself",
        (
            Comparison(
                "continuation",
                Reading("fgmt"),
                Reading("target"),
                NOT_ABOVE,
                one_training,
                ordinary_beside_crossing,
            ),
        ),
    ),
    TransferClaim(
        "ensembles",
        "Ensembles of nets that were trained for fewer epochs after a transfer are about as good as the full ensemble.",
        "table 3",
        "paper",
        "ensembles",
        tuple(
            Comparison("ensemble", Reading(m), Reading("standard"), AT_LEAST, every, alone=True) for m in BOTH
        ),
    ),
)
"""Claims about training after a transfer."""

GEOMETRY = (
    TransferClaim(
        "permuted-alike",
        "Increments of two trainings are more alike permuted than as they are.",
        "figure 3",
        "paper",
        "measurements of Assumption (P)",
        (Comparison("cosine", _cosine("permuted"), _cosine("identity"), BETTER, every),),
    ),
    TransferClaim(
        "wider-more-alike",
        "The wider the net, the more alike are permuted increments: those of the widest more than of the narrowest.",
        "figure 3a",
        "paper",
        "measurements of Assumption (P) at two widths",
        (Comparison("cosine", _cosine("permuted"), _cosine("permuted"), BETTER, every, narrowest),),
    ),
    TransferClaim(
        "basin",
        "The loss barrier to the trained target is lower after GMT and FGMT than after naive transfer.",
        "first version of the paper; figure 7",
        "replica",
        "lines from GMT or FGMT and from naive to the target",
        tuple(Comparison("landscape", _barrier("naive"), _barrier(m), BETTER, every) for m in BOTH),
    ),
)
"""Claims about increments and losses between solutions."""

CLAIMS = (*CURVES, *AFTERWARDS, *GEOMETRY)
"""Everything that is checked, in the order of the board."""


def check_transfer_claims(results: "DataFrame") -> list[Finding]:
    """Check every claim on the observations of a study (`io.observations.read_observations`)."""
    return check(CLAIMS, study_of(results))
