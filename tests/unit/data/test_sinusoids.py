import math

import pytest
import torch
from pydantic import ValidationError
from scipy.stats import kstest

from carryover.core.rng import generator
from carryover.data.sinusoid_settings import Sinusoid
from carryover.data.sinusoids import Sinusoids, load_sinusoid, save_sinusoid

LIKE = torch.zeros(())
PUBLISHED = Sinusoid(source="sinusoid")


def opened(split="train", like=LIKE, **changes):
    return Sinusoids(Sinusoid(source="sinusoid", **changes), split, like)


def drawn_of(sinusoids, size=(100, 1, 5, 5), seed=0):
    return sinusoids.draw(*size, generator(seed, "waves"))


def test_the_ranges_are_those_of_the_paper():
    assert (PUBLISHED.amplitude, PUBLISHED.phase, PUBLISHED.x) == ((0.1, 5.0), (0.0, math.pi), (-5.0, 5.0))


def test_targets_are_the_sine_of_each_task():
    sinusoids = opened(like=LIKE.double())
    drawn = drawn_of(sinusoids)
    made = sinusoids.tasks(drawn, 5)
    for task in range(100):
        amplitude, phase = (drawn[name][task].double() for name in ("amplitude", "phase"))
        for x, y in ((made.support_x, made.support_y), (made.query_x, made.query_y)):
            assert x[task].shape == y[task].shape == (5, 1)
            assert y[task].equal(amplitude * torch.sin(x[task] - phase))
            assert (y[task].abs() <= amplitude).all()


def test_support_and_query_take_turns():
    sinusoids = opened()
    drawn = drawn_of(sinusoids)
    made = sinusoids.tasks(drawn, 5)
    assert made.support_x[..., 0].equal(drawn["x"][:, 0::2])
    assert made.query_x[..., 0].equal(drawn["x"][:, 1::2])


@pytest.mark.parametrize(("shots", "query_shots"), [(2, 5), (5, 2)])
def test_what_is_left_of_the_longer_part_comes_last(shots, query_shots):
    sinusoids = opened()
    drawn = drawn_of(sinusoids, (3, 1, shots, query_shots))
    made = sinusoids.tasks(drawn, shots)
    longer, shorter = (made.query_x, made.support_x) if shots == 2 else (made.support_x, made.query_x)
    x = drawn["x"]
    assert shorter[..., 0].equal(x[:, 1:4:2] if shots == 5 else x[:, 0:3:2])
    assert longer[:, 2:, 0].equal(x[:, 4:])
    assert torch.cat([longer, shorter], 1)[..., 0].sort(1).values.equal(x.sort(1).values)


def test_the_support_is_the_same_whatever_is_asked():
    sinusoids = opened()
    few, many = (sinusoids.tasks(drawn_of(sinusoids, (30, 1, 5, query)), 5) for query in (1, 20))
    assert few.support_x.equal(many.support_x)
    assert few.support_y.equal(many.support_y)
    assert few.query_x[:, 0].equal(many.query_x[:, 0])


def test_the_same_generator_gives_the_same_tasks():
    one, two, other = (drawn_of(opened(), seed=seed) for seed in (0, 0, 1))
    for name in one:
        assert one[name].equal(two[name])
        assert not one[name].equal(other[name])


@pytest.mark.parametrize("name", ["amplitude", "phase", "x"])
def test_what_is_drawn_is_uniform_in_its_range(name):
    low, high = getattr(PUBLISHED, name)
    values = drawn_of(opened(), (4000, 1, 1, 1))[name].flatten().double()
    assert kstest(values.numpy(), "uniform", args=(low, high - low)).pvalue > 1e-3


def test_the_error_of_predicting_zero_is_half_the_mean_squared_amplitude():
    sinusoids = opened()
    made = sinusoids.tasks(drawn_of(sinusoids, (20_000, 1, 5, 5)), 5)
    errors = made.query_y.double().square().mean((1, 2))
    low, high = PUBLISHED.amplitude
    exact = (high**3 - low**3) / (3 * (high - low)) / 2
    assert exact == pytest.approx(4.2517, abs=5e-5)
    assert abs(errors.mean() - exact) < 4 * errors.std() / len(errors) ** 0.5


def test_the_test_split_may_have_ranges_of_its_own():
    changes = {"test_amplitude": (6.0, 7.0), "test_x": (10.0, 11.0)}
    for split, low, high in (("train", 0.1, 5.0), ("val", 0.1, 5.0), ("test", 6.0, 7.0)):
        drawn = drawn_of(opened(split, **changes))
        assert ((drawn["amplitude"] >= low) & (drawn["amplitude"] <= high)).all()
        assert (drawn["x"] >= 10).all() == (split == "test")
        assert drawn["phase"].equal(drawn_of(opened(split))["phase"])


def test_the_dtype_of_tasks_is_that_of_the_net():
    for like in (LIKE, LIKE.double()):
        sinusoids = opened(like=like)
        assert {part.dtype for part in sinusoids.tasks(drawn_of(sinusoids), 5)} == {like.dtype}


def test_sinusoids_have_one_way():
    with pytest.raises(ValueError, match="ways must be 1, got 5"):
        drawn_of(opened(), (4, 5, 5, 5))


@pytest.mark.parametrize("name", ["amplitude", "phase", "x", "test_x"])
def test_a_range_has_its_lower_bound_first(name):
    with pytest.raises(ValidationError, match=r"lower bound first: got 2\.0 and 1\.0"):
        Sinusoid(source="sinusoid", **{name: (2, 1)})
    with pytest.raises(ValidationError, match=name):
        Sinusoid(source="sinusoid", **{name: (0, float("inf"))})


def test_ranges_survive_saving_and_loading(tmp_path):
    settings = Sinusoid(source="sinusoid", amplitude=(1, 2), test_phase=(0, 1))
    save_sinusoid(tmp_path / "waves.json", settings)
    assert load_sinusoid(tmp_path / "waves.json") == settings


@pytest.mark.parametrize("text", ["", "{", '{"source": "digits"}', '{"source": "sinusoid", "x": [1]}'])
def test_a_damaged_file_is_named_with_the_remedy(tmp_path, text):
    (tmp_path / "waves.json").write_text(text)
    with pytest.raises(ValueError, match=r"waves\.json holds no ranges of sinusoids .*: delete it"):
        load_sinusoid(tmp_path / "waves.json")


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(ValueError, match=r"waves\.json is missing: `snakemake"):
        load_sinusoid(tmp_path / "waves.json")
