import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.resume import OutOfTime, Resume
from carryover.io.lock import Locked
from carryover.io.workdir import WorkDir


class Clock:
    """A clock that stands still until it is told otherwise."""

    now = 1000.0

    def __call__(self):
        return self.now


def state(value):
    return {"weight": torch.full((3,), float(value))}


def saved_steps(folder):
    return sorted(int(path.stem.removeprefix("step-")) for path in folder.glob("*/step-*.safetensors"))


def fill(folder, *steps):
    """Leave a work folder whose part `s0` has checkpoints."""
    with WorkDir(folder, minutes=None) as work:
        part = work.part("s0")
        part.restore()
        for step in steps:
            part.save(step, state(step), f'{{"step":{step}}}')


def test_a_fresh_run_has_nothing_to_restore(tmp_path):
    with WorkDir(tmp_path / "new", minutes=None) as work:
        part = work.part("s0")
        assert isinstance(part, Resume)
        assert part.restore() is None
        assert part.notes == "{}"
        assert not part.due()


def test_the_newest_state_is_restored_and_two_are_kept(tmp_path):
    fill(tmp_path, 8, 9, 10, 100)
    assert saved_steps(tmp_path) == [10, 100]
    with WorkDir(tmp_path, minutes=None) as work:
        part = work.part("s0")
        assert torch.equal(part.restore()["weight"], state(100)["weight"])
        assert part.notes == '{"step":100}'


def test_parts_do_not_see_each_other(tmp_path):
    fill(tmp_path, 3)
    with WorkDir(tmp_path, minutes=None) as work:
        assert work.part("s1").restore() is None
        assert work.part("s0").restore() is not None


def test_a_stage_clears_its_checkpoints_when_its_outputs_are_there(tmp_path):
    fill(tmp_path, 3, 4)
    with WorkDir(tmp_path, minutes=None) as work:
        work.clear()
    assert saved_steps(tmp_path) == []


def cut(data):
    return data[: len(data) // 2]


def flip(data):
    return data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]


@pytest.mark.parametrize("damage", [cut, flip, lambda data: b""])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, capsys, damage):
    fill(tmp_path, 3, 4)
    newest = tmp_path / "s0" / "step-4.safetensors"
    newest.write_bytes(damage(newest.read_bytes()))
    with WorkDir(tmp_path, minutes=None) as work:
        part = work.part("s0")
        assert torch.equal(part.restore()["weight"], state(3)["weight"])
        part.save(4, state(4), "{}")
    assert saved_steps(tmp_path) == [3, 4]
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "step-4.safetensors is damaged" in told[0]


def test_when_all_checkpoints_are_damaged_the_run_starts_afresh_and_says_so(tmp_path, capsys):
    fill(tmp_path, 3, 4)
    for path in (tmp_path / "s0").iterdir():
        path.write_bytes(b"x")
    with WorkDir(tmp_path, minutes=None) as work:
        assert work.part("s0").restore() is None
    assert "starting from step 0" in capsys.readouterr().err.splitlines()[-1]


def test_a_save_is_due_by_time_and_counted_from_the_last_one(tmp_path):
    clock = Clock()
    with WorkDir(tmp_path, minutes=None, save_every=300.0, clock=clock) as work:
        part = work.part("s0")
        part.restore()
        clock.now += 299
        assert not part.due()
        clock.now += 1
        assert part.due()
        part.save(1, state(1), "{}")
        assert not part.due()


def test_before_the_budget_ends_a_save_is_due_and_ends_the_attempt(tmp_path):
    clock = Clock()
    with WorkDir(tmp_path, minutes=60.0, save_every=1e9, clock=clock) as work:
        part = work.part("s0")
        part.restore()
        clock.now += 60 * 57 - 1
        assert not part.due()
        clock.now += 1
        assert part.due()
        with pytest.raises(OutOfTime, match="budget is over; saved after step 7"):
            part.save(7, state(7), "{}")
    assert saved_steps(tmp_path) == [7]


@given(minutes=st.floats(0.01, 1e5), save_takes=st.floats(0, 1e6))
def test_any_budget_leaves_at_least_half_of_it_for_work(tmp_path_factory, minutes, save_takes):
    clock = Clock()
    work = WorkDir(tmp_path_factory.getbasetemp(), minutes=minutes, clock=clock)
    assert work.why_stop(save_takes) is None
    clock.now += 60 * minutes * 0.499
    assert work.why_stop(save_takes) is None
    clock.now += 60 * minutes * 0.5
    assert (work.why_stop(save_takes) is None) == (60 * minutes * 0.001 > max(180, 2 * save_takes))


def test_a_slow_save_begins_earlier(tmp_path):
    clock = Clock()
    work = WorkDir(tmp_path, minutes=60.0, clock=clock)
    clock.now += 60 * 60 - 500
    assert work.why_stop(save_takes=249.0) is None
    assert work.why_stop(save_takes=250.0) is not None


@pytest.mark.parametrize("minutes", [0.0, -1.0])
def test_a_budget_is_positive(tmp_path, minutes):
    with pytest.raises(ValueError, match="minutes"):
        WorkDir(tmp_path, minutes=minutes)


def test_after_sigterm_a_save_is_due_and_ends_the_attempt(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with WorkDir(tmp_path, minutes=None) as work:
        part = work.part("s0")
        part.restore()
        assert not part.due()
        os.kill(os.getpid(), signal.SIGTERM)
        assert part.due()
        with pytest.raises(OutOfTime, match=r"SIGTERM.*step 7"):
            part.save(7, state(7), "{}")
    assert signal.getsignal(signal.SIGTERM) is before
    assert saved_steps(tmp_path) == [7]


def test_a_work_folder_can_be_used_outside_the_main_thread(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(fill, tmp_path, 3).result()
    assert saved_steps(tmp_path) == [3]


def test_a_second_writer_is_turned_away(tmp_path):
    with WorkDir(tmp_path, minutes=None), pytest.raises(Locked, match="in use by"):
        fill(tmp_path, 1)
    fill(tmp_path, 1)


def test_a_writer_whose_folder_was_taken_over_saves_nothing(tmp_path):
    with WorkDir(tmp_path, minutes=None) as work:
        part = work.part("s0")
        part.restore()
        (tmp_path / "lock-1").rename(tmp_path / "lock-2")
        with pytest.raises(Locked, match="taken over"):
            part.save(1, state(1), "{}")
    assert saved_steps(tmp_path) == []


def test_a_folder_deleted_under_a_running_process_ends_it_as_locked(tmp_path):
    folder = tmp_path / "work"
    with WorkDir(folder, minutes=None) as work:
        part = work.part("s0")
        part.restore()
        shutil.rmtree(folder)
        with pytest.raises(Locked):
            part.save(1, state(1), "{}")
    assert not folder.exists()


def test_the_diary_has_a_line_for_each_start_and_end(tmp_path):
    fill(tmp_path, 3)

    def fail():
        with WorkDir(tmp_path, minutes=None) as work:
            assert work.attempt == 2
            work.part("s0").restore()
            raise RuntimeError("first line\nattempt 9 started")

    with pytest.raises(RuntimeError):
        fail()
    fill(tmp_path, 4)
    lines = [line.split(" ", 1)[1] for line in (tmp_path / "attempts.log").read_text().splitlines()]
    assert lines[0].startswith("attempt 1 started by process")
    assert lines[1] == "attempt 1 ended"
    assert lines[3:5] == [
        "attempt 2 goes on with s0 after step 3",
        "attempt 2 ended by RuntimeError: first line",
    ]
    assert lines[-1] == "attempt 3 ended"


COUNT = """
import os, pathlib, signal, sys, torch
from carryover.core.resume import OutOfTime
from carryover.io import workdir
folder, die_at, where = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
with workdir.WorkDir(folder, minutes=None, save_every=0.0) as work:
    part = work.part("s0")
    saved = part.restore()
    total = torch.zeros((), dtype=torch.float64) if saved is None else saved["total"]
    first = int(part.notes) if saved else 0
    for step in range(first, 10):
        total += torch.rand((), generator=torch.Generator().manual_seed(step), dtype=torch.float64)
        if step == die_at and where == "step":
            die()
        if step == die_at:
            from carryover.io import files
            files.os.replace = die  # after the bytes, before the name
        if part.due():
            part.save(step + 1, {"total": total}, str(step + 1))
print(total.item())
"""


@pytest.mark.parametrize("where", ["step", "save"])
def test_kill_9_costs_no_more_than_the_last_step_and_changes_no_result(tmp_path, where):
    def attempt(die_at):
        command = [sys.executable, "-c", COUNT, str(tmp_path), str(die_at), where]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    whole = torch.zeros((), dtype=torch.float64)
    for step in range(10):
        whole += torch.rand((), generator=torch.Generator().manual_seed(step), dtype=torch.float64)
    assert attempt(6).returncode == -9
    assert saved_steps(tmp_path)[-1] == 6
    assert attempt(99).stdout == f"{whole.item()}\n"
    assert not list(tmp_path.glob("**/*.tmp"))
