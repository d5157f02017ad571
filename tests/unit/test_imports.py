import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "carryover"

MAY_IMPORT = {
    "core": set(),
    "io": {"core"},
    "sparse": {"core"},
    "data": {"core", "io"},
    "permute": {"core"},
    "nets": {"core", "permute"},
    "train": {"core", "data", "nets"},
    "published": set(),
    "iterand": {"core", "data", "nets", "sparse", "train"},
    "transfer": {"core", "data", "nets", "permute", "train"},
    "metaticket": {"core", "data", "nets", "sparse", "train"},
    "claims": {"core", "io", "published"},
    "figures": {"core", "io", "published"},
    "stages": {
        *("core", "io", "data", "nets", "train", "sparse", "permute"),
        *("published", "iterand", "transfer", "metaticket", "claims", "figures"),
    },
}
"""Each package with the others that it may import; docs/architecture.md says why."""
ROOF = {
    "codehash",
    "entries",
    "grid",
    "kinds_flow",
    "metaticket_entries",
    "metaticket_flow",
    "problems",
    "schema",
    "study",
    "transfer_entries",
    "transfer_flow",
    "workflow",
}
"""Modules above the packages, most of them for the Snakefile; they may import one another and light modules."""
COMMANDS = {
    "cli": set(),
    "compare": {"claims", "core", "io"},
    "export": {"core", "io", "iterand", "nets", "sparse"},
    "carry": {"core", "io", "data", "nets", "permute", "train", "transfer"},
    "fewshot": {"io", "metaticket"},
    "fewshot_inputs": {"core", "io", "data", "metaticket"},
    "carry_inputs": {"core", "io", "data", "nets", "permute", "transfer"},
}
"""The commands of `carryover` are above the packages too; like stages they read, call and write."""
LIGHT = r"core\.config|\w+\.(\w+_)?settings|data\.(names|recipes)|transfer\.pairs|metaticket\.methods"
HEAVY = {"matplotlib", "numpy", "pandas", "scipy", "sklearn", "torch", "torchvision"}

MODULES = {
    path.relative_to(SRC).with_suffix("").as_posix().replace("/", "."): path
    for path in sorted(SRC.rglob("*.py"))
    if path.stem != "__init__"
}
SETTINGS = [module for module in MODULES if re.search(r"[._]settings$", module)]


def imports(module):
    """Yield the dotted names that a module imports, in functions and for type checking too."""
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            # `from carryover.core import rng` names a module, `from carryover.core.rng import generator` does not
            yield from (name if name.removeprefix("carryover.") in MODULES else node.module for name in names)


def carryover_imports(module):
    return sorted(
        {name.removeprefix("carryover.") for name in imports(module) if name.startswith("carryover.")}
    )


def may_import(module, other):
    package, _, inside = module.partition(".")
    target = other.partition(".")[0]
    if inside:
        assert package in MAY_IMPORT, f"{package} is not in the table: say what it may import"
        return target in MAY_IMPORT[package] | {package}
    assert module in ROOF | set(COMMANDS), f"{module} is above the packages and not in the table"
    if other in COMMANDS or target in COMMANDS.get(module, ()):
        return module in COMMANDS
    return other in ROOF or bool(re.fullmatch(LIGHT, other))


def loaded_by(program):
    """Run a program in a process of its own and name the top-level modules that it loads."""
    program += "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    ran = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True)
    return set(ran.stdout.split())


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_place_allows(module):
    assert [other for other in carryover_imports(module) if not may_import(module, other)] == []


def test_nothing_imports_stages():
    outside = [module for module in MODULES if not module.startswith("stages.")]
    assert [m for m in outside for other in carryover_imports(m) if other.split(".")[0] == "stages"] == []


def test_every_package_is_in_the_table_and_has_an_empty_init_file():
    found = {path.parent.name: path.read_bytes() for path in SRC.glob("*/__init__.py")}
    assert found == dict.fromkeys(MAY_IMPORT, b"")
    assert (SRC / "__init__.py").read_bytes() == b""


@pytest.mark.parametrize("module", SETTINGS)
def test_settings_import_pydantic_and_other_light_modules(module):
    outside = {name.partition(".")[0] for name in imports(module) if not name.startswith("carryover.")}
    assert outside <= sys.stdlib_module_names | {"pydantic"}
    assert [other for other in carryover_imports(module) if not re.fullmatch(LIGHT, other)] == []


def test_what_the_snakefile_imports_loads_nothing_heavy():
    files = [ROOT / "Snakefile", *sorted((ROOT / "workflow").rglob("*.smk"))]
    lines = [line for path in files for line in path.read_text("utf-8").splitlines()]
    imported = [line for line in lines if re.match(r"(from|import) carryover", line)]
    assert imported
    assert loaded_by("\n".join(imported)) & HEAVY == set()


def test_light_modules_load_nothing_heavy():
    light = [module for module in MODULES if re.fullmatch(LIGHT, module) or module in ROOF]
    assert loaded_by("\n".join(f"import carryover.{module}" for module in light)) & HEAVY == set()
