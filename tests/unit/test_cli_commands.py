import subprocess
import sys

import pytest

from carryover.cli import COMMANDS, main


def test_help_lists_the_commands_and_loads_nothing_heavy():
    code = (
        "import sys\nfrom carryover.cli import main\n"
        "try: main(['--help'])\nfinally: print(sorted({'torch', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.endswith("[]\n")
    assert all(f"    {name} " in run.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    assert f"usage: carryover {name}" in capsys.readouterr().out


def test_no_command_and_an_unknown_one_are_told_the_commands(capsys):
    for words in ([], ["exprt"]):
        with pytest.raises(SystemExit, match="2"):
            main(words)
        assert "usage: carryover [-h] command" in (message := capsys.readouterr().err)
    assert all(name in message for name in COMMANDS)


def test_an_error_of_the_person_is_one_line_and_exit_code_1(tmp_path, capsys):
    with pytest.raises(SystemExit, match="1"):
        main(["export", str(tmp_path), "--seed", "0", "--to", "dense", str(tmp_path / "net.safetensors")])
    written = capsys.readouterr().err
    assert written.startswith("error: ")
    assert "manifest.json is missing" in written
    assert len(written.splitlines()) == 1
