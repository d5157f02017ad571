"""Which runs of few-shot learning a claim is about, and which runs they are compared with."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from carryover.claims.metaticket_checks import Against, Select, Signed
from carryover.claims.metaticket_runs import TICKETS, FewshotRun, Study

FEW_CLASSES = 50
"""Training classes that count as few."""
REPLICA_STEPS = (1000, 3000)
"""Outer steps of short trainings: the replica that orderings were seen in had up to 2,000, the study `omniglot` has
3,000."""

_NET = "training.net.*"
_SHARED = (
    *("training.dataset", _NET, "training.ways", "training.shots", "training.query_shots", "training.norm"),
    *("training.inner_steps", "training.inner_lr", "training.inner_lrs.*", "training.val_steps"),
)
_BUDGET = ("training.outer_steps", "training.meta_batch", "training.order")
_MEASURED = ("dataset", "ways", "shots", "query_shots", "test.split", "test.inner_lr", "test.widen*",
             "analysis.split", "analysis.tasks", "analysis.steps")  # fmt: skip
_PUBLISHED: Mapping[bool, Mapping[str, object]] = {
    True: {
        "training.optimizer": "sgd", "training.outer_lr": 10.0, "training.schedule": "cosine",
        "training.order": "second", "training.masked": "body", "training.weights": "kn", "training.scores": "ku",
        "training.initial_sparsity": 0.0, "training.randomize_every": 0, "training.auxiliary_lr": None,
    },
    False: {"training.optimizer": "adamw", "training.schedule": "constant", "training.order": "second"},
}  # fmt: skip
"""Settings of the outer loop in the published image experiments, of methods that learn a mask and of the others."""


def usual(run: FewshotRun, but: Collection[str] = ()) -> bool:
    """Tell whether a classifier's outer loop is as published, but for some settings; a random network's always is."""
    if run.regression or run.method == "random":
        return not run.regression
    published = _PUBLISHED[run.method in TICKETS]
    return all(run.value(key) == value for key, value in published.items() if key not in but)


def of(method: str, *also: Select) -> Select:
    """Make a selection of the usual runs of a method for which everything else is true as well."""
    return lambda run: run.method == method and usual(run) and all(each(run) for each in also)


def variant(key: str, fits: Callable[[FewshotRun], bool], *also: Select) -> Select:
    """Make a selection of Meta-ticket's runs that are usual but for one setting."""
    return lambda run: (
        run.method == "metaticket" and usual(run, [key]) and fits(run) and all(each(run) for each in also)
    )


def at_home(run: FewshotRun) -> bool:
    """Tell whether a test is on new classes of the data set of its training, in tasks as trained."""
    same = all(run.value(key) == run.value(f"training.{key}") for key in ("ways", "shots", "query_shots"))
    return (
        same
        and run.value("test.split") == "test"
        and run.value("dataset") == run.value("home")
        and plain(run)
    )


def elsewhere(run: FewshotRun) -> bool:
    """Tell whether a test is on another data set than that of its training."""
    return run.value("test.split") == "test" and run.value("dataset") != run.value("home") and plain(run)


def on_training_classes(run: FewshotRun) -> bool:
    """Tell whether a test is on the classes of its training."""
    return run.value("test.split") == "train" and run.value("dataset") == run.value("home") and plain(run)


def plain(run: FewshotRun) -> bool:
    """Tell whether a test adds no units to the net."""
    return run.value("test.widen.units") is None


def omniglot_mlp(run: FewshotRun) -> bool:
    """Tell whether a multilayer perceptron was trained on Omniglot."""
    return str(run.value("training.dataset")).startswith("omniglot") and _kind(run) == "episode-mlp"


def onto_mnist(run: FewshotRun) -> bool:
    """Tell whether a test is on MNIST."""
    return str(run.value("dataset")).startswith("mnist")


def replica(run: FewshotRun) -> bool:
    """Tell whether a run is like those of the replica: Omniglot, 5-shot, narrowest net, 1,000 to 3,000 outer steps."""
    low, high = REPLICA_STEPS
    sizes = run.number("training.shots") == 5 and run.number("training.net.width") == 1
    return omniglot_mlp(run) and sizes and low <= run.number("training.outer_steps") <= high


def few_classes(run: FewshotRun) -> bool:
    """Tell whether a training is known to have had few classes."""
    return run.number("training.classes") <= FEW_CLASSES


def transductive(run: FewshotRun) -> bool:
    """Tell whether the query is normalised by itself."""
    return run.value("training.norm") == "transductive"


def sinusoid(run: FewshotRun) -> bool:
    """Tell whether a short training of Meta-ticket is about sinusoids, and tested on those of its own ranges."""
    is_ticket = run.regression and run.method == "metaticket" and not away(run)
    return is_ticket and run.number("training.outer_steps") <= 3000


def widened(method: str, *also: Select) -> Select:
    """Make a selection of the tests that add units to the nets of a method."""
    return lambda run: run.method == method and not plain(run) and all(each(run) for each in also)


def away(run: FewshotRun) -> bool:
    """Tell whether the tasks are of another data set, whatever the test does to the net."""
    return run.value("dataset") != run.value("home")


def home(run: FewshotRun) -> bool:
    """Tell whether the tasks are of the training's data set, whatever the test does to the net."""
    return not away(run)


def twin(*methods: str) -> Against:
    """Compare with other methods on the same tasks, trained as long on the same data with the same inner loop."""

    def against(run: FewshotRun, study: Study) -> Iterator[Sequence[Signed]]:
        for other in study.of(run.kind):
            if other.method in methods and (usual(other) or run.regression):
                untrained = "random" in (run.method, other.method)
                if agree(run, other, (*_SHARED, *_MEASURED, *(() if untrained else _BUDGET))):
                    yield [(-1, other)]

    return against


def agree(run: FewshotRun, other: FewshotRun, keys: Collection[str]) -> bool:
    """Tell whether two runs agree in some settings; a `*` at the end stands for the rest of a name."""
    heads = tuple(key.removesuffix("*") for key in keys if key.endswith("*"))
    exact = [key for key in keys if not key.endswith("*")]
    exact += [key for key in {*run.recipe, *other.recipe} if heads and key.startswith(heads)]
    return all(run.value(key) == other.value(key) for key in exact)


def same(run: FewshotRun, study: Study) -> Iterator[Sequence[Signed]]:
    """Compare with what a test of the same training on the same tasks has measured, itself included."""
    for other in study.of(run.kind):
        if other.identity == run.identity:
            yield [(-1, other)]


def but(key: str, value: object) -> Against:
    """Compare with the run that differs in one setting alone, and has this value of it."""

    def against(run: FewshotRun, study: Study) -> Iterator[Sequence[Signed]]:
        for other in study.of(run.kind):
            if other.value(key) == value and other.but(key) == run.but(key):
                yield [(-1, other)]

    return against


def narrowest_lead(run: FewshotRun, study: Study) -> Iterator[Sequence[Signed]]:
    """Compare the lead over MAML in the widest net with that in the narrowest of nets that differ in width alone."""
    width = "training.net.width"
    others = [other for other in study.of(run.kind) if other.but(width) == run.but(width)]
    widths = [other.number(width) for other in others]
    if run.number(width) == max(widths) > min(widths):
        for narrow in others:
            if narrow.number(width) == min(widths):
                for wide_maml in twin("maml")(run, study):
                    for narrow_maml in twin("maml")(narrow, study):
                        yield [*wide_maml, (-1, narrow), *((-sign, each) for sign, each in narrow_maml)]


def gap_of_ticket(run: FewshotRun, study: Study) -> Iterator[Sequence[Signed]]:
    """Compare a method's gap with Meta-ticket's: accuracy on training classes, that of `run`, less that on new ones."""
    for ((_, ticket),) in twin("metaticket")(run, study):
        for own in _on_new_classes(run, study):
            for other in _on_new_classes(ticket, study):
                yield [(-1, own), (-1, ticket), (1, other)]


def _on_new_classes(run: FewshotRun, study: Study) -> list[FewshotRun]:
    """Find tests at home of the training of a test on training classes."""
    name = run.value("training.name")
    return [other for other in study.of("test") if other.value("training.name") == name and at_home(other)]


def random_mask(run: FewshotRun, study: Study) -> Iterator[Sequence[Signed]]:
    """Compare a mask learned over constant weights with one that is as drawn."""
    for other in study.of(run.kind):
        constant = other.value("training.weights") == "constant" and other.method == run.method
        if (
            constant
            and not other.number("training.outer_steps")
            and agree(run, other, (*_SHARED, *_MEASURED))
        ):
            yield [(-1, other)]


def constant_weights(run: FewshotRun) -> bool:
    """Tell whether a mask was learned over constant weights."""
    constant = run.value("training.weights") == "constant" and run.method == "metaticket"
    return constant and run.number("training.outer_steps") > 0


def unwidened(run: FewshotRun, study: Study) -> Iterator[Sequence[Signed]]:
    """Compare with the test of the same net without added units."""
    keys = [key for key in _MEASURED if key != "test.widen*"]
    for other in study.of(run.kind):
        if (
            other.value("training.name") == run.value("training.name")
            and plain(other)
            and agree(run, other, keys)
        ):
            yield [(-1, other)]


def _kind(run: FewshotRun) -> object:
    return run.value("training.net.kind")
