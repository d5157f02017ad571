"""Claims about few-shot learning that accuracies test: on new classes, on other data, by settings, by protocol."""

from carryover.claims.metaticket_checks import Comparison, FewshotClaim, itself, nothing
from carryover.claims.metaticket_margins import ALIKE, AT_LEAST, BETTER, CHANCE, FIVE_POINTS, TEN_POINTS
from carryover.claims.metaticket_readings import Score, Validation
from carryover.claims.metaticket_runs import FewshotRun
from carryover.claims.metaticket_selections import (
    at_home,
    away,
    but,
    constant_weights,
    elsewhere,
    few_classes,
    gap_of_ticket,
    home,
    narrowest_lead,
    of,
    omniglot_mlp,
    on_training_classes,
    onto_mnist,
    random_mask,
    replica,
    same,
    sinusoid,
    transductive,
    twin,
    unwidened,
    variant,
    widened,
)

NO_FIGURE = "not a figure of the paper"
_RATE, _START, _ORDER = "training.outer_lr", "training.initial_sparsity", "training.order"
_BOIL = "metaticket-boil"


def _chance(run: FewshotRun) -> float:
    return 1 / run.number("ways")


def _classifier(run: FewshotRun) -> bool:
    return not run.regression and at_home(run)


GENERALISATION = (
    FewshotClaim(
        "beats-maml",
        "On classes that no training has seen, Meta-ticket beats methods of MAML's kind: it beats MAML and ANIL, and "
        "with BOIL's inner loop it beats BOIL.",
        "abstract",
        "abstract",
        "tests of Meta-ticket and of MAML, ANIL or BOIL that were trained alike",
        (
            Comparison(
                "test", Score(), BETTER, of("metaticket", at_home), twin("maml"), needed=True, label="MAML"
            ),
            Comparison("test", Score(), BETTER, of("metaticket", at_home), twin("anil"), label="ANIL"),
            Comparison("test", Score(), BETTER, of(_BOIL, at_home), twin("boil"), label="BOIL"),
        ),
    ),
    FewshotClaim(
        "most-when-wide",
        "Meta-ticket's lead over MAML is larger in the widest net than in the narrowest.",
        "abstract",
        "abstract",
        "tests of Meta-ticket and MAML in nets that differ in width alone",
        (Comparison("test", Score(), BETTER, of("metaticket", at_home), narrowest_lead),),
    ),
    FewshotClaim(
        "other-data",
        "On another data set than it was trained on, Meta-ticket beats MAML.",
        "experiments X1 to X4",
        "own",
        "tests of Meta-ticket and MAML on another data set",
        (Comparison("test", Score(), BETTER, of("metaticket", elsewhere), twin("maml")),),
    ),
    FewshotClaim(
        "smaller-gap",
        "From training classes to new ones, Meta-ticket loses less accuracy than MAML.",
        NO_FIGURE,
        "own",
        "tests of Meta-ticket and MAML on training classes and on new ones",
        (Comparison("test", Score(), BETTER, of("maml", on_training_classes), gap_of_ticket),),
    ),
    FewshotClaim(
        "few-classes",
        "With 50 training classes or fewer, Meta-ticket beats MAML on new ones.",
        NO_FIGURE,
        "replica",
        "tests of Meta-ticket and MAML that were trained on 50 classes or fewer",
        (Comparison("test", Score(), BETTER, of("metaticket", at_home, few_classes), twin("maml")),),
    ),
    FewshotClaim(
        "few-classes-steady",
        "With 50 training classes or fewer, every seed of Meta-ticket ends within a point of its best validation.",
        NO_FIGURE,
        "replica",
        "trainings of Meta-ticket on 50 classes or fewer",
        (
            Comparison(
                "training",
                Validation(),
                AT_LEAST,
                of("metaticket", few_classes),
                itself,
                less=Validation("best"),
                exact=True,
            ),
        ),
    ),
    FewshotClaim(
        "far-above-random",
        "On Omniglot, perceptrons: Meta-ticket is 10 points above the same random net that adapts untrained.",
        NO_FIGURE,
        "replica",
        "tests of Meta-ticket and the random network on Omniglot",
        (Comparison("test", Score(), TEN_POINTS, of("metaticket", at_home, omniglot_mlp), twin("random")),),
    ),
    FewshotClaim(
        "above-anil",
        "On Omniglot, perceptrons: Meta-ticket is 5 points above ANIL, which adapts the classifier alone.",
        NO_FIGURE,
        "replica",
        "tests of Meta-ticket and ANIL on Omniglot",
        (Comparison("test", Score(), FIVE_POINTS, of("metaticket", at_home, omniglot_mlp), twin("anil")),),
    ),
    FewshotClaim(
        "like-maml",
        "On Omniglot, 5-shot, in the narrowest perceptron and 1,000 to 3,000 outer steps, Meta-ticket is about as good "
        "as MAML.",
        NO_FIGURE,
        "replica",
        "such tests of Meta-ticket and MAML",
        (Comparison("test", Score(), ALIKE, of("metaticket", at_home, replica), twin("maml")),),
    ),
    FewshotClaim(
        "untrained-elsewhere",
        "From Omniglot to MNIST, no training helps: the random net that adapts is at least as good as each method.",
        NO_FIGURE,
        "replica",
        "tests on MNIST of nets trained on Omniglot, and of the random network",
        (
            Comparison(
                "test",
                Score(),
                AT_LEAST,
                of("random", elsewhere, omniglot_mlp, onto_mnist),
                twin("maml", "anil", "boil", "metaticket", _BOIL),
            ),
        ),
    ),
)
"""Claims about accuracy on new classes and on other data."""

SETTINGS = (
    FewshotClaim(
        "second-order",
        "Meta-ticket with second derivatives beats Meta-ticket without.",
        NO_FIGURE,
        "replica",
        "tests of Meta-ticket of both orders",
        (Comparison("test", Score(), BETTER, of("metaticket", at_home), but(_ORDER, "first")),),
    ),
    FewshotClaim(
        "initial-sparsity",
        "Meta-ticket is about as good when its first mask is sparse as when it is dense.",
        NO_FIGURE,
        "replica",
        "tests of Meta-ticket with different initial sparsities",
        (
            Comparison(
                "test",
                Score(),
                ALIKE,
                variant(_START, lambda run: run.number(_START) > 0, at_home),
                but(_START, 0.0),
            ),
        ),
    ),
    FewshotClaim(
        "score-rate",
        "An outer rate of 1 is too small for scores: 10 beats it, and 100 is at least as good as 10.",
        NO_FIGURE,
        "replica",
        "trainings of Meta-ticket at outer rates of 10 and of 1 or 100",
        (
            Comparison("training", Validation(), BETTER, of("metaticket"), but(_RATE, 1.0), label="10 and 1"),
            Comparison(
                "training",
                Validation(),
                AT_LEAST,
                variant(_RATE, lambda run: run.number(_RATE) == 100),
                but(_RATE, 10.0),
                label="100 and 10",
            ),
        ),
    ),
    FewshotClaim(
        "constant-weights",
        "With weights that are all one constant, a learned mask beats a random one.",
        "experiment E7",
        "own",
        "tests of Meta-ticket over constant weights, with a learned and with a random mask",
        (Comparison("test", Score(), BETTER, constant_weights, random_mask),),
    ),
    FewshotClaim(
        "sinusoid-behind",
        "On sinusoids, after 3,000 outer steps or fewer, Meta-ticket's error is above MAML's.",
        "experiment E8",
        "replica",
        "short trainings of Meta-ticket and MAML on sinusoids",
        (Comparison("test", Score(), BETTER, sinusoid, twin("maml")),),
    ),
)
"""Claims about settings."""

PROTOCOL = (
    FewshotClaim(
        "chance-at-start",
        "Without inner steps every method is at chance, since labels go to classes at random.",
        NO_FIGURE,
        "replica",
        "tests without inner steps",
        (Comparison("test", Score(steps=0), CHANCE, _classifier, nothing, base=_chance),),
    ),
    FewshotClaim(
        "support-statistics",
        "Normalising each query by the support is about as good as normalising all queries together.",
        NO_FIGURE,
        "own",
        "tests with both kinds of statistics",
        tuple(
            Comparison(
                "test",
                Score(),
                ALIKE,
                of(method, at_home, transductive),
                same,
                less=Score(norm="support"),
                label=method,
            )
            for method in ("maml", "metaticket")
        ),
    ),
)
"""Claims about how accuracy is measured."""

NEIGHBOURS = (
    FewshotClaim(
        "added-units-elsewhere",
        "On another data set, units added at test (MAC) raise the accuracy of a net of ANIL.",
        "abstract of MAC, another paper",
        "own",
        "tests of ANIL's nets on another data set, with and without added units",
        (Comparison("test", Score(), BETTER, widened("anil", away), unwidened),),
    ),
    FewshotClaim(
        "added-units-at-home",
        "Units added at test (MAC) raise the accuracy of a net of ANIL on its own data set, too.",
        NO_FIGURE,
        "own",
        "tests of ANIL's nets at home, with and without added units",
        (Comparison("test", Score(), BETTER, widened("anil", home), unwidened),),
    ),
    FewshotClaim(
        "pruned-maml",
        "MAML trained again in the mask of its largest weights (Meta-LTH) is at least as good as MAML.",
        "after Meta-LTH, another paper",
        "own",
        "tests of Meta-LTH and MAML",
        (Comparison("test", Score(), AT_LEAST, of("meta-lth", at_home), twin("maml")),),
    ),
)
"""Claims of neighbouring papers, as far as they are about what is here."""
