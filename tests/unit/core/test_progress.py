import io

import pytest

from carryover.core.progress import Progress


class Clock:
    """A clock that stands still until it is told otherwise."""

    now = 1000.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def run(capsys):
    """Return the lines of a run in a log."""

    def run(steps, seconds_per_step, total=100, **postfix):
        clock = Clock()
        with Progress(total, "search", clock=clock) as progress:
            progress.update(steps[0])
            for step in steps[1:]:
                clock.now += seconds_per_step
                progress.update(step, **postfix)
        return capsys.readouterr().err.splitlines()

    return run


def test_a_log_gets_a_line_after_10_seconds_then_every_30_and_one_at_the_end(run):
    lines = run(range(121), seconds_per_step=1, total=120)
    assert [line.split()[1] for line in lines] == ["10/120", "40/120", "70/120", "100/120", "120/120"]


def test_a_line_says_how_far_how_fast_and_how_long(run):
    lines = run(range(0, 1201, 40), seconds_per_step=1, total=35200, loss=0.123456, seed="s0-4")
    assert lines[-1] == "search 1200/35200 (3.4 %), 40 steps/s, 14 min left, loss 0.1235, seed s0-4"


def test_the_last_line_of_a_finished_run_says_how_long_it_took(run):
    assert (
        run(range(101), seconds_per_step=60)[-1] == "search 100/100 (100.0 %), 0.017 steps/s, done in 100 min"
    )


def test_a_short_run_has_one_line(run):
    assert run(range(101), seconds_per_step=0.01) == ["search 100/100 (100.0 %), 100 steps/s, done in 1 s"]


def test_a_resumed_run_shows_its_own_speed(run):
    assert run([90, 91, 92], seconds_per_step=2)[-1] == "search 92/100 (92.0 %), 0.5 steps/s, 16 s left"


def test_a_run_that_did_nothing_says_nothing_of_speed(run):
    assert run([100], seconds_per_step=1) == ["search 100/100 (100.0 %)"]


def test_a_line_is_not_said_twice(run):
    assert run([0, 100], seconds_per_step=20) == ["search 100/100 (100.0 %), 5 steps/s, done in 20 s"]


def test_a_run_that_fails_says_how_far_it_came(capsys):
    def fail():
        with Progress(100, "search", clock=Clock()) as progress:
            progress.update(0)
            progress.update(7)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert capsys.readouterr().err == "search 7/100 (7.0 %)\n"


def test_a_terminal_gets_a_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress(100, "search") as progress:
        for step in range(50, 101):
            progress.update(step, loss=0.5)
    assert "search" in terminal.getvalue()
    assert "100/100" in terminal.getvalue()
    assert "\r" in terminal.getvalue()
