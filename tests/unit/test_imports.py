import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "carryover"
SHARED = {"core", "data", "nets", "sparse"}
MAY_IMPORT = {
    "core": set(),
    "io": {"core"},
    "sparse": {"core"},
    "data": {"core", "io"},
    "nets": {"core"},
    "published": set(),
    "iterand": SHARED,
    "claims": {"core", "io", "published"},
    "figures": {"core", "io", "published"},
    "stages": {"core", "io", "sparse", "data", "nets", "published", "iterand", "claims", "figures"},
}
"""Each package with the other packages that it may import: docs/architecture.md says why."""

FOR_ANYBODY_AT_THE_TOP = r"core\.config|\w+\.(\w+_)?settings"
TOP = {"codehash", "grid", "problems", "schema", "study", "workflow"}
"""Modules that the Snakefile needs: they import one another, core.config and settings."""
COMMANDS = {"cli": {"core", "io"}}
"""The command line adds packages that it may import, at the top or when a command runs."""

HEAVY = {"matplotlib", "numpy", "pandas", "scipy", "sklearn", "torch", "torchvision"}
MODULES = {
    path.relative_to(SRC).with_suffix("").as_posix().replace("/", "."): path for path in SRC.rglob("*.py")
}
SETTINGS = [name for name in MODULES if re.search(r"(^|[._])settings$", name)]


def imports(path):
    """Yield what a file imports, in functions and for type checking too, as absolute dotted names."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            # `from carryover.core import rng` names a module, `from carryover.core.rng import generator` does not
            yield from (name if name.removeprefix("carryover.") in MODULES else node.module for name in names)


def of_this_package(path):
    return {name.removeprefix("carryover.") for name in imports(path) if name.startswith("carryover.")}


def loaded_by(program):
    """Run a program in a process of its own and name the top-level modules that it loaded."""
    shown = f"{program}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(
        subprocess.run(
            [sys.executable, "-c", shown], check=True, capture_output=True, text=True
        ).stdout.split()
    )


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_what_its_package_may(module):
    package, _, rest = module.partition(".")
    for name in of_this_package(MODULES[module]) - {"__init__"}:
        target, _, inner = name.partition(".")
        if rest:  # in a package
            assert package in MAY_IMPORT, f"{package} is not in the table: say what it may import"
            assert target == package or target in MAY_IMPORT[package], f"{module} imports {name}"
        elif module in COMMANDS:
            assert (
                not inner
                or target in COMMANDS[module] | {"published"}
                or re.fullmatch(FOR_ANYBODY_AT_THE_TOP, name)
            )
        else:
            assert module in TOP, f"{module} is at the top and not in the table"
            assert name in TOP or re.fullmatch(FOR_ANYBODY_AT_THE_TOP, name), f"{module} imports {name}"


def test_nothing_imports_stages():
    for module, path in MODULES.items():
        if not module.startswith("stages."):
            assert not [name for name in of_this_package(path) if name.split(".")[0] == "stages"], module


@pytest.mark.parametrize("module", SETTINGS)
def test_settings_are_models_and_nothing_else(module):
    for name in imports(MODULES[module]):
        if name.startswith("carryover."):
            assert re.fullmatch(FOR_ANYBODY_AT_THE_TOP, name.removeprefix("carryover.")), name
        else:
            assert name.partition(".")[0] in sys.stdlib_module_names | {"pydantic", "annotated_types"}, name


def test_init_files_are_empty():
    assert [str(path) for path in SRC.rglob("__init__.py") if path.read_bytes()] == []


def test_what_the_snakefile_imports_loads_nothing_heavy():
    rules = [ROOT / "Snakefile", *sorted((ROOT / "workflow").rglob("*.smk"))]
    lines = [line for path in rules for line in path.read_text("utf-8").splitlines()]
    wanted = [line for line in lines if re.match(r"(from|import) carryover", line)]
    assert wanted
    assert loaded_by("\n".join(wanted)) & HEAVY == set()


def test_settings_load_nothing_heavy():
    assert loaded_by("\n".join(f"import carryover.{module}" for module in SETTINGS)) & HEAVY == set()


def test_every_package_of_the_table_is_there():
    assert {path.parent.name for path in SRC.glob("*/__init__.py")} == set(MAY_IMPORT)
