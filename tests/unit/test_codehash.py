import os
import subprocess
import sys

import pytest

from carryover.codehash import code_digest, reachable

PACKAGE = {
    "__init__.py": "",
    "stages/__init__.py": "",
    "stages/train.py": (
        '"""Train."""\n'
        "from house.paper.search import search\n"
        "\n"
        "def main(x):\n"
        '    """Run."""\n'
        "    import house.data as data\n"
        "    total = search(x)  # a comment\n"
        "    return total + data.WIDTH\n"
    ),
    "stages/draw.py": "from house import style\nimport json, os.path\n",
    "paper/__init__.py": "",
    "paper/search.py": "from . import masks\nfrom ..data import WIDTH\nsearch = masks.keep\n",
    "paper/masks.py": "def keep(x):\n    return x * 0.5\n",
    "data.py": "WIDTH = 1\n",
    "style.py": "import house.stages.draw\nCOLOUR = 'blue'\n",
}


@pytest.fixture
def digest(tmp_path):
    """Digest a module of a copy of PACKAGE with some files changed, in a process of its own."""

    def digest(module, changes=None, program="print(code_digest({!r}))"):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, text in {**PACKAGE, **(changes or {})}.items():
            path = folder / "house" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        asked = subprocess.run(
            [sys.executable, "-c", f"from carryover.codehash import *; {program.format(module)}"],
            env={**os.environ, "PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
            check=True,
        )
        return asked.stdout.strip()

    return digest


def changed(name, old, new):
    assert old in PACKAGE[name]
    return {name: PACKAGE[name].replace(old, new)}


@pytest.mark.parametrize(
    "change",
    [
        changed("stages/train.py", "  # a comment", ""),
        changed("stages/train.py", '"""Run."""', '"""Run the stage."""'),
        changed("stages/train.py", '"""Train."""\n', ""),
        changed("stages/train.py", "search(x)", "search(\n        x,\n    )"),
        changed("data.py", "WIDTH = 1\n", '\n\nWIDTH = 1\n"""How wide."""\n\n# the end'),
        changed("paper/masks.py", "x * 0.5", "(x * .50)"),
    ],
    ids=["comment", "docstring", "module docstring", "layout", "attribute docstring", "spelling"],
)
def test_a_change_of_words_or_layout_keeps_the_digest(digest, change):
    assert digest("house.stages.train", change) == digest("house.stages.train")


@pytest.mark.parametrize(
    "change",
    [
        changed("paper/masks.py", "0.5", "0.25"),
        changed("paper/masks.py", "0.5", "True"),
        changed("data.py", "WIDTH = 1", "WIDTH = 1.0"),
        changed("stages/train.py", "total", "sum_"),
        changed("stages/train.py", "def main(x):", "def main(x=None):"),
        changed("stages/train.py", "return total + data.WIDTH", "return 'total'"),
        changed("paper/__init__.py", "", "import sys"),
    ],
    ids=["constant", "type", "1 to 1.0", "local name", "default", "text", "package"],
)
def test_a_change_of_code_changes_the_digest(digest, change):
    assert digest("house.stages.train", change) != digest("house.stages.train")


def test_a_change_out_of_reach_keeps_the_digest(digest):
    change = changed("style.py", "blue", "red")
    assert digest("house.stages.train", change) == digest("house.stages.train")
    assert digest("house.stages.draw", change) != digest("house.stages.draw")


def test_all_kinds_of_imports_are_followed(digest):
    program = "print(*sorted(reachable({!r})))"
    assert digest("house.stages.train", program=program).split() == [
        "house",
        "house.data",
        "house.paper",
        "house.paper.masks",
        "house.paper.search",
        "house.stages",
        "house.stages.train",
    ]
    # a circle of imports ends
    draw = ["house", "house.stages", "house.stages.draw", "house.style"]
    assert digest("house.stages.draw", program=program).split() == draw


def test_reading_modules_does_not_import_them(digest):
    change = changed("data.py", "WIDTH = 1", "raise SystemExit(3)")
    assert len(digest("house.stages.train", change)) == 16


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"no module 'carryover\.stages\.nothing'"):
        code_digest("carryover.stages.nothing")
    with pytest.raises(ValueError, match="no package 'nothing'"):
        code_digest("nothing.at.all")


def test_this_package_is_read():
    assert reachable("carryover.io.checkpoint") == {
        "carryover",
        "carryover.io",
        "carryover.io.checkpoint",
        "carryover.io.files",
    }


def test_only_the_standard_library_is_needed():
    program = "import sys, carryover.codehash; sys.exit(any(m in sys.modules for m in ('torch', 'pydantic')))"
    subprocess.run([sys.executable, "-c", program], check=True)
