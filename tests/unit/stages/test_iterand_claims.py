import subprocess
import sys

import pytest

from carryover.claims.iterand import CLAIMS
from carryover.io.tables import load_table, save_table
from carryover.stages import iterand_claims

SHARED = {"dataset": "digits", "net.kind": "mlp", "epochs": 68, "diverged": False, "val_accuracy": None}


def rows():
    """Make a small study: edge-popup and IteRand at two widths, three seeds, IteRand better by 0.1."""
    for hidden in ("16-16", "32-32"):
        for arm, rate in (("popup-ku", None), ("iterand-ku", 0.1)):
            settings = {
                "arm": arm,
                "method": arm[:-3],
                "weights": "ku",
                "net.hidden": hidden,
                "randomize_prob": rate,
            }
            for seed in range(3):
                accuracy = 0.8 + 0.1 * bool(rate) + 0.001 * seed * (1 if rate else 2)
                yield {
                    "run": f"{hidden} {arm}",
                    "seed": seed,
                    **SHARED,
                    **settings,
                    "test_accuracy": accuracy,
                }


def run(folder, table):
    save_table(folder / "table.csv", table)
    files = {"table": "table.csv", "claims": "claims.csv", "pdf": "claims.pdf", "png": "claims.png"}
    arguments = [part for name, file in files.items() for part in (f"--{name}", str(folder / file))]
    iterand_claims.main([*arguments, "--code", "abc"])
    return load_table(folder / "claims.csv")


def test_the_stage_writes_all_claims_and_the_board(tmp_path):
    table = run(tmp_path, list(rows()))
    claims = table[table["part"] == 0].set_index("claim")
    assert list(claims.index) == [claim.name for claim in CLAIMS]
    assert (tmp_path / "claims.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "claims.png").read_bytes().startswith(b"\x89PNG")


def test_what_the_study_shows_is_judged_and_the_rest_is_not_tested(tmp_path):
    table = run(tmp_path, list(rows()))
    verdicts = table[table["part"] == 0].set_index("claim")["verdict"]
    assert verdicts["beats-edge-popup"] == "holds"
    assert verdicts["never-below"] == "holds"
    assert verdicts["dense-first"] == "not tested"
    gain = table[(table["claim"] == "never-below") & (table["part"] == 1)].iloc[0]
    assert gain["effect"] == pytest.approx(0.1 - 0.001)
    assert gain["n"] == 3


def test_the_same_table_gives_the_same_bytes(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        run(tmp_path / name, list(rows()))
    for file in ("claims.csv", "claims.pdf", "claims.png"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_a_file_that_is_no_table_of_runs_stops_the_stage_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="the column arm is missing"):
        run(tmp_path, [{"claim": "x", "verdict": "holds"}])
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_the_stage_starts_without_torch():
    code = "import sys; from carryover.stages import iterand_claims; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
