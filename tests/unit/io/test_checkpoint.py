import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from carryover.io.checkpoint import digest_of, load_tensors, open_tensors, save_tensors

TENSORS = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "transposed": torch.arange(6.0).reshape(2, 3).T,
    "channels last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
    "half": torch.tensor([1.5, float("nan"), -0.0], dtype=torch.bfloat16),
    "mask": torch.tensor([True, False]),
    "scalar": torch.tensor(7),
    "empty": torch.empty(0, 3),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def bits(tensor):
    return tensor.dtype, tuple(tensor.shape), tensor.contiguous().reshape(-1).view(torch.uint8).tolist()


def test_tensors_and_notes_come_back_bit_for_bit(path):
    save_tensors(path, TENSORS, {"run": "Größe", "step": "3"})
    tensors, notes = load_tensors(path)
    assert {name: bits(tensor) for name, tensor in tensors.items()} == {
        name: bits(tensor) for name, tensor in TENSORS.items()
    }
    assert notes == {"run": "Größe", "step": "3", "format": "1", "digest": digest_of(TENSORS)}


def test_tensors_that_share_memory_are_saved_one_by_one(path):
    save_tensors(path, {"a": TENSORS["weight"], "b": TENSORS["weight"]}, {})
    tensors, _ = load_tensors(path)
    tensors["a"].zero_()
    assert torch.equal(tensors["b"], TENSORS["weight"])


def test_equal_content_gives_equal_bytes_in_every_process(path, tmp_path):
    # safetensors keeps metadata in a hash map with an order of its own in every process
    program = (
        "import pathlib, sys, torch\n"
        "from carryover.io.checkpoint import save_tensors\n"
        "notes = {str(number): 'x' for number in range(20)}\n"
        "save_tensors(pathlib.Path(sys.argv[1]), {'b': torch.ones(2), 'a': torch.ones(1)}, notes)\n"
    )
    other = tmp_path / "other.safetensors"
    subprocess.run([sys.executable, "-c", program, str(other)], check=True)
    save_tensors(path, {"a": torch.ones(1), "b": torch.ones(2)}, {str(n): "x" for n in reversed(range(20))})
    assert path.read_bytes() == other.read_bytes()


def test_a_slice_is_read_alone(path):
    save_tensors(path, TENSORS, {"run": "a"})
    tensors, notes = open_tensors(path)
    assert torch.equal(tensors.get_slice("weight")[1:2], TENSORS["weight"][1:2])
    assert sorted(tensors.keys()) == sorted(TENSORS)
    assert notes["run"] == "a"


@given(
    first=st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(0, 2), max_size=3), max_size=3),
    second=st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(0, 2), max_size=3), max_size=3),
)
def test_digests_agree_exactly_when_names_and_values_do(first, second):
    digests = [
        digest_of({name: torch.tensor(values) for name, values in lists.items()}) for lists in (first, second)
    ]
    assert (digests[0] == digests[1]) == (first == second)


def test_the_digest_sees_shapes_and_types_but_no_layout():
    weight = torch.zeros(2, 3)
    assert digest_of({"a": weight}) != digest_of({"a": weight.reshape(3, 2)})
    assert digest_of({"a": weight}) != digest_of({"a": weight.int()})
    assert digest_of({"a": weight}) == digest_of({"a": torch.zeros(3, 2).T})


def test_every_single_flipped_bit_is_noticed(path):
    save_tensors(path, {"w": torch.arange(3.0), "n": torch.tensor(3)}, {"step": "3"})
    intact = path.read_bytes()
    for position in range(len(intact)):
        damaged = bytearray(intact)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"net\.safetensors"):
            load_tensors(path)


def test_every_cut_is_noticed(path):
    save_tensors(path, {"w": torch.arange(3.0)}, {"step": "3"})
    intact = path.read_bytes()
    for length in range(len(intact)):
        path.write_bytes(intact[:length])
        with pytest.raises(ValueError, match=r"net\.safetensors is damaged.*delete it"):
            load_tensors(path)


def test_files_of_other_programs_and_formats_are_refused(path, monkeypatch):
    from safetensors.torch import save_file

    save_file({"w": torch.ones(1)}, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="not written by Carryover"):
        open_tensors(path)
    monkeypatch.setattr("carryover.io.checkpoint.FORMAT", 99)
    save_tensors(path, TENSORS, {})
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"has format 99.*reads format 1.*delete the file"):
        open_tensors(path)


def test_a_missing_file_is_named(path):
    with pytest.raises(FileNotFoundError, match=r"net\.safetensors"):
        load_tensors(path)


def test_notes_of_the_file_itself_cannot_be_given(path):
    with pytest.raises(AssertionError, match="format"):
        save_tensors(path, TENSORS, {"format": "2"})
    assert not path.exists()
