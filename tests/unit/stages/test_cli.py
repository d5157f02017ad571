import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.resume import OutOfTime
from carryover.io.lock import Locked
from carryover.stages._cli import pick_device, run_stage, seeds_of, set_threads, stage_parser


def test_a_stage_takes_a_path_for_each_input_and_output():
    parser = stage_parser("Train.", inputs=["images", "tables*"], outputs=["metrics"])
    given = ["--images", "a", "--tables", "b", "c", "--metrics", "d", "--seeds", "s0-4", "--minutes", "1.5"]
    args = parser.parse_args(given)
    assert (args.images, args.tables, args.metrics) == (Path("a"), [Path("b"), Path("c")], Path("d"))
    assert (args.seeds, args.minutes, args.device, args.threads) == ("s0-4", 1.5, "auto", 1)
    assert args.spec is args.code is args.manifest is args.work is None


@pytest.mark.parametrize("missing", ["--images", "--metrics"])
def test_a_missing_file_argument_is_an_error(missing, capsys):
    parser = stage_parser("Train.", inputs=["images"], outputs=["metrics"])
    given = {"--images": "a", "--metrics": "b"}
    del given[missing]
    with pytest.raises(SystemExit):
        parser.parse_args([word for pair in given.items() for word in pair])
    assert missing in capsys.readouterr().err


def test_an_abbreviated_option_is_an_error():
    with pytest.raises(SystemExit):
        stage_parser("Train.", inputs=["images"]).parse_args(["--image", "a"])


def test_a_stage_may_name_the_manifest_itself():
    args = stage_parser("Collect.", inputs=["manifest"]).parse_args(["--manifest", "a"])
    assert args.manifest == Path("a")


def test_help_needs_no_torch():
    program = (
        "import sys\n"
        "from carryover.stages._cli import stage_parser\n"
        "stage_parser('Train.').format_help()\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def raising(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ValueError("lr must be positive: got -1"), 1, "error: lr must be positive: got -1\n"),
        (FileNotFoundError("no such file: a.csv"), 1, "error: no such file: a.csv\n"),
        (OutOfTime("saved after step 3"), 75, "saved after step 3\n"),
        (Locked("in use by process 7"), 75, "in use by process 7\n"),
    ],
)
def test_an_expected_end_is_one_message_and_an_exit_code(error, code, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        run_stage(raising(error))
    assert exit_.value.code == code
    assert capsys.readouterr().err == message


def test_a_bug_keeps_its_traceback():
    with pytest.raises(KeyError):
        run_stage(raising(KeyError("a")))


def test_a_stage_that_ends_well_just_returns():
    run_stage(lambda: None)


@given(first=st.integers(0, 10**6), count=st.integers(1, 50))
def test_a_block_of_seeds_is_read_back(first, count):
    assert seeds_of(f"s{first}-{first + count - 1}") == tuple(range(first, first + count))
    assert seeds_of(f"s{first}") == (first,)


@pytest.mark.parametrize("text", ["", "s", "0-4", "s4-0", "s0-", "s0-4-5", "s-1", "s0_4", "s٣", " s3"])
def test_any_other_text_is_no_block(text):
    with pytest.raises(ValueError, match="seeds: a block is written s0-4 or s3"):
        seeds_of(text)


def test_the_device_is_chosen_on_the_machine_that_computes():
    best = "cuda" if torch.cuda.is_available() else "cpu"
    assert pick_device("auto") == torch.device(best)
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_an_error_with_a_remedy():
    with pytest.raises(ValueError, match="finds no GPU here; use device: auto or cpu"):
        pick_device("cuda")


def test_threads_are_no_more_than_the_cores_of_this_process():
    before = torch.get_num_threads()
    try:
        assert set_threads(1) == torch.get_num_threads() == 1
        assert set_threads(10_000) == len(os.sched_getaffinity(0))
        with pytest.raises(ValueError, match="threads must be at least 1: got 0"):
            set_threads(0)
    finally:
        torch.set_num_threads(before)
