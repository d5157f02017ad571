"""Claims about few-shot learning that masks, features and weights test."""

from carryover.claims.metaticket_accuracy import NO_FIGURE
from carryover.claims.metaticket_checks import Comparison, FewshotClaim, nothing
from carryover.claims.metaticket_margins import BETTER, NOT_ALL, NOTHING, TENTH
from carryover.claims.metaticket_readings import Feature, Score, Sparsity
from carryover.claims.metaticket_runs import FewshotRun
from carryover.claims.metaticket_selections import at_home, of, same, twin

_LAST, _LEAST, _BODY = Feature("cka", "last"), Feature("cka", "least"), Feature("change", "body")
_TICKET, _BOIL = "metaticket", "metaticket-boil"


def _one(run: FewshotRun) -> float:
    return 1.0


SUBNETWORKS = (
    FewshotClaim(
        "finds-subnetworks",
        "Meta-learning finds sparse subnetworks for few-shot learning in random nets: Meta-ticket, which trains no "
        "weight, prunes a tenth at least and beats the same net adapted without a mask.",
        "abstract",
        "abstract",
        "trainings and tests of Meta-ticket, and tests of the random network",
        (
            Comparison("training", Sparsity(), TENTH, of(_TICKET), nothing, needed=True, label="sparsity"),
            Comparison(
                "test",
                Score(),
                BETTER,
                of(_TICKET, at_home),
                twin("random"),
                needed=True,
                label="random network",
            ),
        ),
    ),
    FewshotClaim(
        "rises-then-slows",
        "From a dense mask, sparsity rises more in the first half of the training than in the second.",
        NO_FIGURE,
        "replica",
        "trainings of Meta-ticket with sparsities recorded half-way",
        (
            Comparison(
                "training",
                Sparsity("first half"),
                BETTER,
                of(_TICKET),
                same,
                less=Sparsity("second half"),
            ),
        ),
    ),
    FewshotClaim(
        "never-collapses",
        "From a dense mask, no layer of any seed ever loses nine tenths of its weights.",
        NO_FIGURE,
        "replica",
        "trainings of Meta-ticket",
        (Comparison("training", Sparsity("ever", "most"), NOT_ALL, of(_TICKET), nothing, exact=True),),
    ),
)
"""Claims about the mask."""

FEATURES = (
    FewshotClaim(
        "features-per-task",
        "The subnetworks learn features for each task: it costs accuracy to adapt the classifier alone.",
        "abstract",
        "abstract",
        "tests of Meta-ticket in which the classifier alone is adapted",
        (Comparison("test", Score(), BETTER, of(_TICKET, at_home), same, less=Score(adapted="head")),),
    ),
    FewshotClaim(
        "moves-more-than-maml",
        "The body adapts more under Meta-ticket than under MAML: features of the last hidden layer stay less alike "
        "(CKA), and weights change more.",
        NO_FIGURE,
        "replica",
        "analyses of Meta-ticket and MAML",
        (
            Comparison("analysis", _LAST, BETTER, of("maml"), twin(_TICKET), needed=True, label="CKA"),
            Comparison("analysis", _BODY, BETTER, of(_TICKET), twin("maml"), needed=True, label="weights"),
        ),
    ),
    FewshotClaim(
        "moves-most-with-boil",
        "With BOIL's inner loop the last hidden layer of Meta-ticket changes further.",
        NO_FIGURE,
        "replica",
        "analyses of Meta-ticket with and without BOIL's inner loop",
        (Comparison("analysis", _LAST, BETTER, of(_TICKET), twin(_BOIL)),),
    ),
    FewshotClaim(
        "anil-stands",
        "ANIL adapts no feature: CKA is 1 in every hidden layer.",
        NO_FIGURE,
        "replica",
        "analyses of ANIL",
        (Comparison("analysis", _LEAST, NOTHING, of("anil"), nothing, base=_one, exact=True),),
    ),
)
"""Claims about what adapts."""
