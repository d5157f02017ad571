import hashlib
import os
import subprocess
import sys

import pytest
import torch

from carryover.io.checkpoint import save_tensors
from carryover.io.files import replacing, sha256_of


def test_a_file_appears_only_when_the_block_has_ended(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with replacing(path) as temporary:
        temporary.write_text("a")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert path.read_text() == "a"
    assert os.listdir(path.parent) == ["table.csv"]


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write():
        with replacing(path) as temporary:
            temporary.write_text("half of the ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_kill_9_in_the_middle_of_a_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    program = (
        "import os, pathlib, signal, sys\n"
        "from carryover.io.files import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half of the ne')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == -9
    assert path.read_text() == "old"


def test_sha256_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 100_000)
    assert sha256_of(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_a_file_can_be_read_by_those_whom_the_umask_lets_in(tmp_path):
    before = os.umask(0o027)
    try:
        save_tensors(tmp_path / "net.safetensors", {"weight": torch.zeros(1)}, {})
    finally:
        os.umask(before)
    assert (tmp_path / "net.safetensors").stat().st_mode & 0o777 == 0o640
