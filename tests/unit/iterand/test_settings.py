import pytest
from pydantic import ValidationError

from carryover.core.config import canonical, parse
from carryover.iterand.settings import METHODS, DenseRun, IterandRun, PopupRun

USUAL = {"dataset": "digits", "net": {"kind": "mlp", "hidden": [32]}, "epochs": 1}
POPUP = {**USUAL, "method": "popup", "score_lr": 1.0, "sparsity": 0.5}
ITERAND = {**POPUP, "method": "iterand", "randomize_every": 13, "randomize_prob": 0.1}


@pytest.mark.parametrize("settings", [{**USUAL, "method": "dense", "lr": 0.1}, POPUP, ITERAND])
def test_a_run_comes_back_from_its_text(settings):
    model = METHODS[settings["method"]]
    run = model.model_validate(settings)
    assert parse(model, canonical(run)) == run


def test_each_method_names_the_stage_that_runs_it():
    stages = {name: model.stage for name, model in METHODS.items()}
    assert stages == {"dense": "iterand_dense", "popup": "iterand_popup", "iterand": "iterand_search"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sparsity", 1.0),
        ("sparsity", -0.1),
        ("randomize_prob", 1.1),
        ("randomize_every", 0),
        ("score_lr", 0.0),
        ("momentum", 1.0),
        ("epochs", 0),
        ("weights", "hidden"),
        ("rank", "signed"),
        ("lr", 0.1),
    ],
)
def test_values_out_of_range_and_settings_of_other_methods_are_refused(key, value):
    with pytest.raises(ValidationError, match=key):
        IterandRun.model_validate({**ITERAND, key: value})


def test_settings_cannot_change_after_validation():
    run = PopupRun.model_validate(POPUP)
    with pytest.raises(ValidationError):
        run.sparsity = 0.9


def test_the_defaults_are_the_papers():
    run = IterandRun.model_validate(ITERAND)
    assert (run.momentum, run.weight_decay, run.schedule) == (0.9, 1e-4, "cosine")
    assert (run.rank, run.scope, run.weights, run.scores) == ("raw", "layer", "ku", "ku")
    assert DenseRun.model_validate({**USUAL, "method": "dense", "lr": 0.1}).weights == "ku"
