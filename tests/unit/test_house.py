import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "carryover"
FILES = [path for path in sorted(SRC.rglob("*.py")) if path.stem != "__init__"]
TREES = {path: ast.parse(path.read_text("utf-8")) for path in FILES}

MAX_LINES = 300
MAX_PARAMETERS = 6
MORE_PARAMETERS = {
    "io/manifest.py:write_manifest": "one for each thing that a manifest says",
}
"""Functions with more parameters than others, with the reason."""
MAY_PRINT = {
    "stages/_cli.py",
    "core/progress.py",
    "io/workdir.py",
    "carry.py",
    "cli.py",
    "compare.py",
    "export.py",
    "schema.py",
}

DRAWS = re.compile(
    r"(torch\.)(rand|randn|randint|randperm|bernoulli|multinomial|normal|poisson|binomial)$"
    r"|(.*\.)(bernoulli|cauchy|exponential|geometric|log_normal|normal|random|uniform)_$"
    r"|(.*\.)?init\.(\w*normal|\w*uniform|orthogonal|sparse)_$"
)
"""Calls that need `generator=`, or they take from torch's global stream."""
GLOBAL = re.compile(
    r"torch\.(manual_seed|seed|initial_seed|set_rng_state)$"
    r"|torch\.(random\.manual_seed|cuda\.(manual_seed|manual_seed_all|seed|seed_all))$"
    r"|torch\.(rand_like|randn_like|randint_like)$"
    r"|(np|numpy)\.random\.(?!default_rng$|Generator$|SeedSequence$|PCG64$|Philox$)"
    r"|random\."
)
"""Calls that always touch a global stream."""

TEXT = {"", ".cff", ".def", ".md", ".py", ".rst", ".sh", ".smk", ".toml", ".yaml"}
UNWANTED = re.compile(r"\b(TODO|FIXME|XXX)\b|\.\./shared\b|(?<![\w.}>)])/(work|home|root|tmp)/")


def where(path, node):
    return f"{path.relative_to(SRC).as_posix()}:{node.name if hasattr(node, 'name') else node.lineno}"


def nodes(*kinds):
    return [
        (path, node) for path, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, kinds)
    ]


def public(body):
    """Yield the classes and functions of a body that others may use, and those of public classes."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


def parameters(function):
    asked = function.args
    every = [*asked.posonlyargs, *asked.args, asked.vararg, *asked.kwonlyargs, asked.kwarg]
    return [each.arg for each in every if each is not None and each.arg not in ("self", "cls", "ctx")]


def calls():
    """Yield each call with the dotted name of what is called, imports from numpy, torch and random spelt out."""
    for path, tree in TREES.items():
        full = {
            alias.asname or alias.name: f"{node.module}.{alias.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            and node.module.partition(".")[0] in ("numpy", "random", "torch")
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                first, _, rest = ast.unparse(node.func).partition(".")
                yield path, node, f"{full.get(first, first)}.{rest}".rstrip(".")


def takes_from_a_global_stream(call, name):
    keywords = {keyword.arg for keyword in call.keywords}
    unseeded = name.endswith("random.default_rng") and not (call.args or keywords)
    return bool(GLOBAL.match(name)) or unseeded or (bool(DRAWS.match(name)) and "generator" not in keywords)


def test_every_public_thing_says_what_it_does():
    silent = [str(path.relative_to(SRC)) for path, tree in TREES.items() if not ast.get_docstring(tree)]
    silent += [
        where(path, n) for path, tree in TREES.items() for n in public(tree.body) if not ast.get_docstring(n)
    ]
    assert silent == []


def test_no_file_is_longer_than_a_person_reads():
    lengths = {str(path.relative_to(SRC)): len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_no_function_has_many_parameters_without_a_reason():
    functions = nodes(ast.FunctionDef, ast.AsyncFunctionDef)
    assert {where(*f) for f in functions if len(parameters(f[1])) > MAX_PARAMETERS} == set(MORE_PARAMETERS)


def test_nothing_touches_a_global_random_stream():
    assert [where(path, call) for path, call, name in calls() if takes_from_a_global_stream(call, name)] == []


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("torch.manual_seed(0)", "torch.manual_seed"),
        ("torch.rand(3)", "torch.rand"),
        ("torch.randn_like(x)", "torch.randn_like"),
        ("x.normal_()", "x.normal_"),
        ("nn.init.kaiming_normal_(w)", "nn.init.kaiming_normal_"),
        ("np.random.rand(3)", "np.random.rand"),
        ("np.random.default_rng()", "np.random.default_rng"),
        ("random.shuffle(x)", "random.shuffle"),
    ],
)
def test_the_check_of_random_streams_sees_what_it_is_for(code, name):
    assert takes_from_a_global_stream(ast.parse(code, mode="eval").body, name)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("torch.rand(3, generator=draw)", "torch.rand"),
        ("nn.init.zeros_(w)", "nn.init.zeros_"),
        ("np.random.default_rng(key)", "np.random.default_rng"),
        ("draw.uniform(0, 1)", "draw.uniform"),
    ],
)
def test_the_check_of_random_streams_lets_named_streams_pass(code, name):
    assert not takes_from_a_global_stream(ast.parse(code, mode="eval").body, name)


def test_only_stages_and_commands_print():
    printing = {path.relative_to(SRC).as_posix() for path, _, name in calls() if name == "print"}
    assert printing <= MAY_PRINT


def test_nothing_is_left_to_do_and_nothing_names_a_place_outside_the_project():
    texts = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in (
        ".ci",
        "benchmarks",
        "docs",
        "envs",
        "profiles",
        "slurm",
        "src",
        "studies",
        "tests",
        "workflow",
    ):
        texts += sorted((ROOT / folder).rglob("*"))
    texts = [path for path in texts if path.suffix in TEXT and path.is_file() and path != Path(__file__)]
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in texts
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if UNWANTED.search(line)
    ]
    assert found == []
