"""A digest of the code that a stage can reach, so that a change of behaviour re-runs exactly its stages.

Snakemake does not see the modules that code imports; each rule carries this digest as a parameter instead.
The Snakefile calls it: only the standard library is imported here, and none of the modules that are read.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def code_digest(module: str) -> str:
    """Digest the syntax trees of all modules that `module` can reach, as 16 hexadecimal digits.

    Comments, docstrings, blank lines and layout do not count; everything else does, names of variables
    included. Files other than modules, and imports by a computed name, are not seen.
    Raises ValueError when there is no such module.
    """
    lines = [f"{name} {_digest(_file(name))}\n" for name in sorted(reachable(module))]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


@cache
def reachable(module: str) -> frozenset[str]:
    """Name the modules of its package that `module` may import, itself and their packages included.

    Imports inside functions count. Raises ValueError when there is no such module.
    """
    if not _file(module).exists():
        raise ValueError(f"there is no module {module!r}: name the stage that the rule runs")
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _neighbours(name)
    return frozenset(found)


@cache
def _neighbours(module: str) -> tuple[str, ...]:
    """Name the modules that run when the file of `module` does: its package and what it imports."""
    top = module.partition(".")[0]
    names = {name for name in _imports(module) if name.partition(".")[0] == top}
    names |= {name.rpartition(".")[0] for name in (module, *names)} - {""}
    return tuple(name for name in names if _file(name).exists())


def _imports(module: str) -> Iterator[str]:
    """Yield every dotted name that a module imports, be it a module or something in one."""
    file = _file(module)
    package = module if file.stem == "__init__" else module.rpartition(".")[0]
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = f"{above}.{node.module or ''}".strip(".")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


@cache
def _file(module: str) -> Path:
    """Say where a module is, or would be, without importing it."""
    top, *rest = module.split(".")
    found = find_spec(top)
    if found is None or not found.submodule_search_locations:
        raise ValueError(f"there is no package {top!r}")
    path = Path(found.submodule_search_locations[0], *rest)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes(), str(file))


@cache
def _digest(file: Path) -> str:
    return hashlib.sha256(_text(_tree(file)).encode()).hexdigest()


def _text(node: object) -> str:
    """Write a syntax tree without positions, bare strings and empty fields: the same in all Pythons."""
    if isinstance(node, ast.AST):
        fields = [(name, getattr(node, name, None)) for name in node._fields if name != "kind"]
        parts = [f"{name}={_text(value)}" for name, value in fields if value is not None and value != []]
        return f"{type(node).__name__}({' '.join(parts)})"
    if isinstance(node, list):
        return f"[{' '.join(_text(part) for part in node if not _is_docstring(part))}]"
    return repr(node)


def _is_docstring(node: object) -> bool:
    """Tell a bare string, which documents a module, class, function or attribute and does nothing."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
