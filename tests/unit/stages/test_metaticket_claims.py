import pytest
from metaticket_results import Made

from carryover.claims.metaticket import CLAIMS
from carryover.io.tables import load_table
from carryover.stages import metaticket_claims


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make MAML, Meta-ticket and the random network on 40 classes, with tests and analyses."""
    made = Made(tmp_path_factory.mktemp("results"))
    for method in ("random", "maml", "metaticket"):
        made.training(method, method, record={"classes": 40}).test(f"test-{method}", method)
    for method in ("maml", "metaticket"):
        made.analysis(f"look-{method}", method)
    return made


@pytest.fixture(scope="module")
def done(made, tmp_path_factory):
    """Run the stage once; give the folder."""
    return run(tmp_path_factory.mktemp("claims"), made.manifests)


def run(folder, manifests):
    files = {name: folder / file for name, file in (("claims", "c.csv"), ("pdf", "c.pdf"), ("png", "c.png"))}
    arguments = [part for name, file in files.items() for part in (f"--{name}", str(file))]
    metaticket_claims.main(["--results", *map(str, manifests), *arguments, "--code", "abc"])
    return folder


def test_the_stage_writes_all_claims_and_the_board(done):
    table = load_table(done / "c.csv")
    assert table[table["part"] == 0]["claim"].tolist() == [claim.name for claim in CLAIMS]
    assert (done / "c.pdf").read_bytes().startswith(b"%PDF")
    assert (done / "c.png").read_bytes().startswith(b"\x89PNG")


def test_what_the_study_shows_is_judged_on_common_tasks_and_seeds_and_the_rest_is_not_tested(done):
    table = load_table(done / "c.csv")
    claims = table[table["part"] == 0].set_index("claim")
    assert claims["verdict"]["far-above-random"] == "holds"
    assert claims["verdict"]["moves-more-than-maml"] == "holds"
    assert claims["verdict"]["second-order"] == "not tested"
    assert claims["verdict"]["few-classes"] != "not tested"
    assert claims["n"]["far-above-random"] == 3
    assert claims["tasks"]["far-above-random"] == 60
    halves = claims.loc["far-above-random", ["half_seeds", "half_tasks"]].astype(float)
    half = claims["high"]["far-above-random"] - claims["effect"]["far-above-random"]
    assert (halves**2).sum() ** 0.5 == pytest.approx(half)


def test_the_same_results_give_the_same_bytes(made, done, tmp_path):
    run(tmp_path, made.manifests)
    for file in ("c.csv", "c.pdf", "c.png"):
        assert (tmp_path / file).read_bytes() == (done / file).read_bytes()


def test_a_test_without_its_training_stops_the_stage_and_leaves_nothing(tmp_path, made):
    alone = [path for path in made.manifests if "trainings" not in path.parts]
    with pytest.raises(ValueError, match="give the manifest of this training as well"):
        run(tmp_path, alone)
    assert not list(tmp_path.iterdir())
