import pytest

from carryover.core.config import canonical
from carryover.io.tables import load_table
from carryover.iterand.theory_settings import TheorySettings
from carryover.stages import iterand_theory, iterand_theory_figure

SPEC = canonical(TheorySettings(lemma_trials=400, subset_trials=20, network_trials=30))
TABLES = ("miss", "width", "subset_sum", "network")


@pytest.fixture(scope="module")
def theory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("theory")
    files = [part for name in TABLES for part in (f"--{name.replace('_', '-')}", str(folder / f"{name}.csv"))]
    iterand_theory.main(
        [*files, "--manifest", str(folder / "manifest.json"), "--spec", SPEC, "--code", "abc"]
    )
    return folder


def run(theory, out):
    inputs = [part for name in TABLES for part in (f"--{name}", str(theory / f"{name}.csv"))]
    outputs = [f"--pdf={out}/theory.pdf", f"--png={out}/theory.png", f"--table={out}/theory.csv"]
    iterand_theory_figure.main([*inputs, "--manifest", str(theory / "manifest.json"), *outputs])
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_the_table_beside_the_figure_holds_all_panels(theory, tmp_path):
    run(theory, tmp_path)
    table = load_table(tmp_path / "theory.csv")
    for letter, name in zip("abcd", TABLES, strict=True):
        panel, whole = table[table["panel"] == letter], load_table(theory / f"{name}.csv")
        assert len(panel) == len(whole)
        assert panel["eps"].tolist() == whole["eps"].tolist()


def test_the_same_tables_give_the_same_bytes(theory, tmp_path):
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    first, second = (run(theory, folder) for folder in folders)
    assert set(first) == {"theory.pdf", "theory.png", "theory.csv"}
    assert first == second


def test_a_table_that_was_changed_is_not_drawn(theory, tmp_path):
    table = theory / "width.csv"
    before = table.read_text()
    table.write_text(before + "\n")
    try:
        with pytest.raises(ValueError, match=r"width\.csv was changed"):
            run(theory, tmp_path)
    finally:
        table.write_text(before)
    assert not list(tmp_path.iterdir())
