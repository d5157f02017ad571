import pytest

from carryover.core.config import canonical
from carryover.data.sinusoid_settings import Sinusoid
from carryover.data.sinusoids import load_sinusoid
from carryover.stages.prepare_sinusoid import main


def test_the_file_holds_the_settings(tmp_path):
    settings = Sinusoid(source="sinusoid", amplitude=(1.0, 2.0))
    path = tmp_path / "data" / "waves.json"
    main(["--spec", canonical(settings), "--ranges", str(path)])
    assert load_sinusoid(path) == settings
    assert path.read_text() == canonical(settings) + "\n"


def test_wrong_settings_leave_no_file(tmp_path):
    with pytest.raises(ValueError, match="lower bound first"):
        main(["--spec", '{"source": "sinusoid", "x": [5, -5]}', "--ranges", str(tmp_path / "waves.json")])
    assert not list(tmp_path.iterdir())
