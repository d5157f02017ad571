from pathlib import Path

import pytest

from carryover.core.config import canonical
from carryover.figures import iterand_theory as figure_of_theory
from carryover.figures.style import save_figure
from carryover.io.manifest import read_manifest
from carryover.io.tables import load_table
from carryover.iterand.theory_settings import TheorySettings
from carryover.stages import iterand_theory

SPEC = canonical(TheorySettings(lemma_trials=400, subset_trials=20, network_trials=30))
TABLES = ("miss", "width", "subset-sum", "network")


def run(folder: Path, spec: str = SPEC) -> Path:
    files = [part for name in TABLES for part in (f"--{name}", str(folder / f"{name}.csv"))]
    iterand_theory.main(
        [*files, "--manifest", str(folder / "manifest.json"), "--spec", spec, "--code", "abc"]
    )
    return folder


def tables_of(folder: Path):
    return {name.replace("-", "_"): load_table(folder / f"{name}.csv") for name in TABLES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("theory"))


def test_the_stage_writes_four_tables_and_a_manifest_that_vouches_for_them(folder):
    manifest = read_manifest(folder / "manifest.json")
    assert set(manifest.outputs) == {f"{name}.csv" for name in TABLES}
    assert (manifest.stage, manifest.spec, manifest.code) == ("iterand_theory", SPEC, "abc")


def test_simulated_tables_give_observed_error_exact_and_bound_side_by_side(folder):
    tables = tables_of(folder)
    for name in ("miss", "network"):
        assert {"trials", "observed", "standard_error", "exact", "bound"} <= set(tables[name].columns)
    assert len(tables["miss"]) == 9
    assert len(tables["subset_sum"]) == 12
    assert len(tables["network"]) == 36


def test_the_same_settings_give_the_same_bytes(folder, tmp_path):
    again = run(tmp_path)
    for name in TABLES:
        assert (again / f"{name}.csv").read_bytes() == (folder / f"{name}.csv").read_bytes()


def test_a_misspelt_setting_stops_the_stage_and_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="lema_trials"):
        run(tmp_path, '{"lema_trials": 3}')
    assert not list(tmp_path.iterdir())


def test_the_figure_has_a_labelled_panel_for_each_table(folder):
    figure = figure_of_theory.draw(tables_of(folder))
    assert [axis.get_title(loc="left")[:3] for axis in figure.axes] == ["(a)", "(b)", "(c)", "(d)"]
    assert all(axis.get_ylabel() for axis in figure.axes)
    assert all(axis.get_legend() for axis in figure.axes)


def test_the_note_states_the_trials_and_whose_constants_they_are(folder):
    text = " ".join(figure_of_theory.draw(tables_of(folder)).get_supxlabel().split())
    assert "400 trials" in text
    assert "20 trials" in text
    assert "30 random networks" in text
    assert "our reconstruction, not the paper's" in text


def test_a_network_that_never_succeeds_is_drawn_as_such(tmp_path):
    spec = canonical(
        TheorySettings(lemma_trials=1, subset_trials=20, network_trials=2, network_fractions=(0.01,))
    )
    figure = figure_of_theory.draw(tables_of(run(tmp_path, spec)))
    save_figure(figure, tmp_path / "figure.pdf", tmp_path / "figure.png")
    legend = figure.axes[3].get_legend()
    assert legend is not None
    assert all("never in reach" in entry.get_text() for entry in legend.get_texts())
