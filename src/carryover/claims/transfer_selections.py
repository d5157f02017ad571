"""Which runs of learning transfer a claim is about, and which runs they are compared with."""

from collections.abc import Iterator

from carryover.claims.transfer_runs import Study, TransferRun, twins

FEW_STEPS = 5
"""Steps that are enough for nets of several hidden layers."""

_COURSE = ("transfer.trajectory", "transfer.steps", "transfer.every", "transfer.substeps", "transfer.grid")
_SEEN = ("transfer.methods", "transfer.evaluate_every", "transfer.spill")
"""Settings of a transfer that change none of its results."""


def line(run: TransferRun) -> bool:
    """Tell whether a transfer goes along a line in enough steps with one permutation."""
    steps = run.number("transfer.steps")
    return (
        run.value("transfer.trajectory") == "linear"
        and steps >= FEW_STEPS
        and run.number("transfer.segments") == 1
    )


def fresh(run: TransferRun) -> bool:
    """Tell whether sources and targets start from random nets, not from pre-trained ones."""
    return run.value("training.start") is None


def fresh_line(run: TransferRun) -> bool:
    """Tell whether a transfer goes along a line between nets that start at random."""
    return line(run) and fresh(run)


def tuned_line(run: TransferRun) -> bool:
    """Tell whether a transfer goes along a line of fine-tuning, between nets of one pre-training."""
    return line(run) and not fresh(run) and one_training(run)


def deep(run: TransferRun) -> bool:
    """Tell whether a net has two hidden layers or more."""
    return run.value("training.net.kind") != "mlp" or "-" in str(run.value("training.net.hidden"))


def deep_digits(run: TransferRun) -> bool:
    """Tell whether a transfer is in the regime of digits: no small updates, two hidden layers or more."""
    return fresh_line(run) and deep(run) and str(run.value("training.dataset")).startswith("digits")


def mnist(run: TransferRun) -> bool:
    """Tell whether a transfer goes along a line on MNIST."""
    return run.value("transfer.trajectory") == "linear" and run.value("training.dataset") == "mnist"


def every(run: TransferRun) -> bool:
    """Take every run."""
    return True


def actual(run: TransferRun, study: Study) -> Iterator[TransferRun]:
    """Compare with the same transfer along what was recorded of the source."""
    others = [o for o in study.of("transfer") if o.value("transfer.trajectory") == "actual"]
    yield from twins(run, others, [*_COURSE, *_SEEN])


def uniform_line(run: TransferRun) -> bool:
    """Tell whether a transfer goes along a line in enough even steps."""
    return line(run) and run.value("transfer.grid") == "uniform"


def _steps_twins(run: TransferRun, study: Study) -> list[TransferRun]:
    return twins(run, study.of("transfer"), ["transfer.steps", *_SEEN])


def one_step(run: TransferRun, study: Study) -> Iterator[TransferRun]:
    """Compare with the same transfer in a single step."""
    yield from (other for other in _steps_twins(run, study) if other.number("transfer.steps") == 1)


def most_steps(run: TransferRun, study: Study) -> Iterator[TransferRun]:
    """Compare the fewest steps that are enough with the most that the study has."""
    steps = "transfer.steps"
    enough = [other for other in _steps_twins(run, study) if other.number(steps) >= FEW_STEPS]
    if enough and run.number(steps) < min(other.number(steps) for other in enough):
        yield max(enough, key=lambda other: other.number(steps))


def deep_line(run: TransferRun) -> bool:
    """Tell whether a net of two hidden layers or more is carried along a line in enough steps."""
    return line(run) and deep(run)


def ordinary(run: TransferRun, study: Study) -> Iterator[TransferRun]:
    """Compare with the target's own training."""
    yield from study.target_of(run)


def as_long(run: TransferRun) -> bool:
    """Tell whether a training after transfer has as many epochs as the target's own."""
    return one_training(run) and run.number("continuation.epochs") >= run.number("training.epochs")


def _width(run: TransferRun) -> float:
    hidden, width = run.value("cosine.recipe.net.hidden"), run.value("cosine.recipe.net.width")
    return float(str(hidden).partition("-")[0]) if hidden is not None else float(str(width))


def narrowest(run: TransferRun, study: Study) -> Iterator[TransferRun]:
    """Compare the widest of nets that differ in their width only with the narrowest."""
    differing = ["cosine.training", "cosine.recipe.net.hidden", "cosine.recipe.net.width"]
    others = twins(run, study.of("cosine"), differing)
    if others and _width(run) > max(_width(other) for other in others):
        yield min(others, key=_width)


def one_training(run: TransferRun) -> bool:
    """Tell whether sources and targets come from one training."""
    return run.value("transfer.target_training") in (None, run.value("transfer.training"))


def crosses(run: TransferRun) -> bool:
    """Tell whether sources and targets come from different trainings."""
    return not one_training(run)


def _siblings(run: TransferRun, study: Study) -> Iterator[TransferRun]:
    """Find trainings after transfers of the same sources, alike but for their targets."""
    keys = ("transfer.training", "continuation.epochs", "continuation.lr", "continuation.dataset")
    for other in study.of("continuation"):
        if all(run.value(key) == other.value(key) for key in keys):
            yield other


def within(run: TransferRun, study: Study) -> Iterator[TransferRun]:
    """Compare a transfer to another pre-training with the one between nets of the source's own."""
    yield from (other for other in _siblings(run, study) if one_training(other))


def ordinary_beside_crossing(run: TransferRun, study: Study) -> Iterator[TransferRun]:
    """Compare with the target's own training, where there is a transfer to another pre-training beside."""
    if any(crosses(other) for other in _siblings(run, study)):
        yield from study.target_of(run)


def without_statistics(run: TransferRun, study: Study) -> Iterator[TransferRun]:
    """Compare with the same transfer without rebuilt batch-norm statistics."""
    others = [o for o in study.of("transfer") if o.number("transfer.statistics_batches") == 0]
    yield from twins(run, others, ["transfer.statistics_batches", *_SEEN])
