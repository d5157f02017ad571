import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from carryover.io import lock
from carryover.io.lock import Lock, Locked

HOLD = """
import pathlib, sys, time
from carryover.io.lock import Lock
Lock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "held\n"
        yield child
        child.kill()


def rewrite(path, **values):
    """Change what a lock file says, but not when it was last touched."""
    stat = path.stat()
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_living_holder_is_named_and_keeps_the_lock(tmp_path, holder):
    with pytest.raises(Locked, match=rf"in use by process {holder.pid} on "):
        Lock(tmp_path)


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path, holder):
    holder.kill()
    os.waitid(
        os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT
    )  # dead, and left a zombie, as under a busy parent
    lock = Lock(tmp_path)
    assert [path.name for path in tmp_path.glob("lock-*")] == ["lock-2"]
    lock.check()
    lock.release()


def test_a_lock_given_up_can_be_taken_again_and_again(tmp_path):
    for _ in range(3):
        lock = Lock(tmp_path)
        with pytest.raises(Locked):
            Lock(tmp_path)
        lock.release()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_process_number_that_was_used_again_does_not_hold_the_lock(tmp_path):
    first = Lock(tmp_path)
    rewrite(first.path, birth="0")  # an earlier process had our number
    Lock(tmp_path).release()


def test_a_holder_elsewhere_lives_as_long_as_its_heart_beats(tmp_path):
    first = Lock(tmp_path)
    rewrite(first.path, place="elsewhere", host="elsewhere", job="4711")
    with pytest.raises(Locked, match=r"on elsewhere \(job 4711\)"):
        Lock(tmp_path)
    long_ago = time.time() - lock.STALE - 5
    os.utime(first.path, (long_ago, long_ago))
    second = Lock(tmp_path)
    with pytest.raises(Locked, match="taken over"):
        first.check()
    first.release()  # of what it no longer has: changes nothing
    second.check()
    second.release()


def test_the_heart_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT", 0.01)
    held = Lock(tmp_path)
    os.utime(held.path, (0, 0))
    for _ in range(500):
        if held.path.stat().st_mtime > 0:
            break
        time.sleep(0.01)
    assert held.path.stat().st_mtime > 0
    held.release()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": 1}'])
def test_a_lock_that_cannot_be_read_counts_until_it_is_old(tmp_path, text):
    path = tmp_path / "lock-1"
    path.write_text(text)
    with pytest.raises(Locked, match="a process that has just come"):
        Lock(tmp_path)
    os.utime(path, (0, 0))
    Lock(tmp_path).release()


def test_of_many_takers_at_once_exactly_one_wins(tmp_path):
    num_takers = 8
    for _ in range(20):  # each round finds the lock of a dead process
        start = threading.Barrier(num_takers)

        def take(_, start=start):
            start.wait()
            try:
                return Lock(tmp_path)
            except Locked:
                return None

        with ThreadPoolExecutor(num_takers) as pool:
            won = [held for held in pool.map(take, range(num_takers)) if held]
        assert len(won) == 1
        won[0].check()
        rewrite(won[0].path, birth="0")


RACE = """
import pathlib, sys, time
from carryover.io.lock import Lock, Locked
folder = pathlib.Path(sys.argv[1])
(folder / f"ready-{sys.argv[2]}").touch()
while not (folder / "go").exists():
    pass
try:
    Lock(folder)
    print("won", flush=True)
except Locked:
    print("lost", flush=True)
sys.stdin.read()  # a winner stays alive until the others have tried
"""


def test_of_two_processes_that_take_over_a_dead_lock_one_wins(tmp_path, holder):
    holder.kill()
    holder.wait()
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(tmp_path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    while len(list(tmp_path.glob("ready-*"))) < 2:
        time.sleep(0.01)
    (tmp_path / "go").touch()
    said = [taker.stdout.readline().strip() for taker in takers]
    for taker in takers:
        taker.communicate()
    assert sorted(said) == ["lost", "won"]


def test_a_taker_that_slept_through_other_turns_does_not_win(tmp_path, monkeypatch):
    first = Lock(tmp_path)
    first.release()
    look, slept = lock._living, []

    def look_and_sleep(path):
        found = look(path)
        if not slept:  # only the slow taker: two others come and one stays
            slept.append(path)
            Lock(tmp_path).release()
            slept.append(Lock(tmp_path))
        return found

    monkeypatch.setattr(lock, "_living", look_and_sleep)
    with pytest.raises(Locked, match="a moment ago"):
        Lock(tmp_path)
    slept[1].check()
    slept[1].release()
