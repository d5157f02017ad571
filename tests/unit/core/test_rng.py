import subprocess
import sys

import torch
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.rng import generator, stream_key

parts = st.one_of(st.text(max_size=5), st.integers(-3, 300))
paths = st.tuples(st.integers(0, 50), st.lists(parts, max_size=4))


def test_a_stream_is_the_same_in_every_process():
    code = "from carryover.core.rng import generator; print(generator(3, 'redraw', 'fc1', 12).initial_seed())"
    ours = generator(3, "redraw", "fc1", 12).initial_seed()
    environment = {"PYTHONHASHSEED": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert int(run.stdout) == ours


def test_streams_are_those_of_the_first_release():
    """Other keys would silently change every net that was ever trained."""
    assert stream_key(3, "weights", "fc1.weight") == 5416230142788592890
    assert stream_key(0, "redraw", "conv1.weight", 12) == 1006580825034104670
    drawn = torch.rand(3, generator=generator(3, "weights", "fc1.weight"))
    assert drawn.tolist() == [0.3272400498390198, 0.4936026930809021, 0.8971061706542969]


@given(paths, paths)
def test_different_names_are_different_streams(left, right):
    if left != right:
        assert stream_key(left[0], *left[1]) != stream_key(right[0], *right[1])


def test_a_number_is_not_its_text_and_names_do_not_run_together():
    keys = [stream_key(0, *path) for path in ((), ("a", 1), ("a", "1"), ("a1",), ("a", "1", ""), (1, "a"))]
    assert len(set(keys)) == len(keys)


def test_asking_twice_starts_the_stream_again_and_leaves_the_global_one_alone():
    before = torch.get_rng_state()
    first, second = (torch.rand(5, generator=generator(0, "a")) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
