import json
from hashlib import sha256
from pathlib import Path

import pytest

from carryover.figures.transfer_settings import Published
from carryover.io.recipes import recipes
from carryover.io.results import flat, settings_table
from carryover.published import learning_transfer
from carryover.published.learning_transfer import PLANES, TABLE3, panel
from carryover.published.learning_transfer_recipes import BEHIND

ROOT = Path(__file__).parents[2]
FILE = Path(learning_transfer.__file__).with_suffix(".json")
CURVES = [key for key in Published.__args__ if key not in (*PLANES, "table3")]


def curve(key, name, number=0):
    (found,) = [each for each in panel(key)[number].curves if each.name == name]
    return found


def test_every_key_that_a_figure_may_name_is_published_and_no_other():
    assert {*CURVES, *PLANES, "table3"} == set(Published.__args__)
    assert set(CURVES) == set(learning_transfer._PANELS)
    assert {name.partition("_")[0] for name in json.loads(FILE.read_text())} == set(CURVES)


def test_the_numbers_are_the_ones_whose_digest_the_code_knows():
    assert sha256(FILE.read_bytes()).hexdigest() == learning_transfer._DIGEST


@pytest.mark.parametrize("key", CURVES)
def test_every_curve_of_the_file_is_in_its_panel_as_fractions_with_its_spread(key):
    numbers = json.loads(FILE.read_text())
    for found in panel(key):
        name = learning_transfer._PANELS[key][0]
        suffix = {"gap": "_gap", "accuracy": "_valacc"}[found.quantity] if key.startswith("fig8") else ""
        raw = numbers[name + suffix]
        assert {each.name for each in found.curves} == set(raw) - {"reference_lines"}
        for each in found.curves:
            scale = 1 if key.startswith("fig3") else 100
            assert each.mean == pytest.approx([value / scale for value in raw[each.name]["mean"]], abs=1e-9)
            assert (each.sd is None) == key.startswith("fig3")
            if each.sd is not None:
                assert each.sd == pytest.approx([value / scale for value in raw[each.name]["sd"]], abs=1e-9)
            assert len(found.place) == len(each.mean)


@pytest.mark.parametrize(
    ("key", "name", "place", "mean", "sd"),
    [
        ("fig5a", "GMT", 1, 0.8717, 0.0233),
        ("fig5a", "Naive", 5, 0.9774, 0.0003),
        ("fig5b", "FGMT", 30, 0.7821, 0.0210),
        ("fig5e", "Oracle", 12, 0.3011, 0.0142),
        ("fig9b", "Naive", 60, 0.6185, 0.0266),
        ("fig4", "GMT on linear", 51, 0.7954, 0.0129),
        ("fig4", "GMT on actual", 60, 0.6681, 0.0557),
        ("fig6a", "Standard", 60, 0.9108, 0.0024),
        ("fig8a", "FGMT 10%->full", 30, 0.7201, 0.0117),
    ],
)
def test_known_numbers_of_the_paper_are_where_the_specification_has_them(key, name, place, mean, sd):
    found = curve(key, name)
    position = panel(key)[0].place.index(place)
    assert (found.mean[position], found.sd[position]) == pytest.approx((mean, sd))


def test_the_last_step_of_naive_is_the_same_on_lines_and_on_recorded_trajectories():
    for line, actual in (("fig5a", "fig9a"), ("fig5b", "fig9b")):
        assert curve(line, "Naive").mean[-1] == curve(actual, "Naive").mean[-1]


def test_levels_have_the_epochs_of_the_specification():
    assert [(level.epoch, level.accuracy) for level in panel("fig5b")[0].levels] == [
        (24, 0.8308), (16, 0.8007), (8, 0.6129),
    ]  # fmt: skip
    assert panel("fig9e")[0].levels == panel("fig5e")[0].levels
    assert panel("fig6a")[0].levels == ()


def test_iterations_of_figure_3_are_ten_apart_and_steps_begin_at_one():
    assert panel("fig3a")[0].place[:2] == (10, 20)
    assert panel("fig5a")[0].place == (1, 2, 3, 4, 5)


def test_the_plane_of_figure_7_has_its_target_at_the_origin_and_lower_values_between_its_corners():
    for plane in PLANES.values():
        assert plane.markers["target"][:2] == (0, 0)
        assert plane.markers["transferred"][1] == 0
        ends = {name: accuracy for name, (_, _, accuracy) in plane.markers.items()}
        assert all(low <= min(ends[a], ends[b]) for (a, b), low in plane.lowest.items())


def test_table_3_has_four_data_sets_and_shorter_members_after_transfer():
    assert [row.dataset for row in TABLE3] == ["CIFAR-10", "CIFAR-100", "Cars", "CUB"]
    assert all(row.epochs["fgmt"] == row.epochs["gmt"] < row.epochs["standard"] for row in TABLE3)
    assert TABLE3[3].accuracy == {"gmt": 0.7471, "fgmt": 0.7562, "standard": 0.7402}


def test_what_is_in_doubt_has_no_settings_and_so_is_never_drawn_on_axes_of_ours():
    doubtful = ["fig4", "fig5c", "fig5f", "fig6b", "fig8a", "fig8b", "fig9c", "fig9f", "fig3b", "fig3c"]
    assert not [key for key in doubtful for found in panel(key) for each in found.curves if each.settings]


def test_the_paper_study_has_a_run_with_the_settings_behind_every_published_panel():
    study = pytest.importorskip("carryover.workflow").load_workflow({"study": "paper"}, ROOT).transfer
    runs = {
        f"{kind.removesuffix('s')}/{name}": flat(entry.settings.model_dump(mode="json"))
        for kind, entries in study.runs.items()
        if kind in ("trainings", "transfers", "continuations")
        for name, entry in entries.items()
    }
    table = settings_table(runs)
    kinds = table.pop("run").str.split("/", expand=True, n=1)
    known = recipes(table.assign(kind=kinds[0], run=kinds[1]))
    for key, settings in BEHIND.items():
        fits = [run for run, own in known.items() if all(own.get(k) == v for k, v in settings.items())]
        assert fits, f"no run of studies/paper.yaml is {key}"
