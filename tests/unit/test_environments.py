import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
ENVS = ROOT / "envs"
LOCKS = {"cuda": ENVS / "requirements.lock", "cpu": ENVS / "requirements-cpu.lock"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PIN = re.compile(
    r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+) \\\n(?P<hashes>(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
)
ONLY_WITH_CUDA = re.compile(r"cuda-|nvidia-|triton$")


def pins(lock):
    """Read a lock: name -> version. Every line is a comment or part of a pin with its hashes."""
    found = {}
    text = re.sub(r"^ *#.*\n", "", LOCKS[lock].read_text(), flags=re.MULTILINE)
    while text:
        pin = PIN.match(text)
        assert pin, f"{LOCKS[lock].name}: not a pin with hashes: {text[:80]!r}"
        assert pin["name"] not in found, f"{LOCKS[lock].name}: {pin['name']} is pinned twice"
        found[pin["name"]] = pin["version"]
        text = text[pin.end() :]
    return found


def required():
    project = PROJECT["project"]
    everything = (
        project["dependencies"]
        + project["optional-dependencies"]["dev"]
        + PROJECT["build-system"]["requires"]
    )
    return [Requirement(line) for line in everything]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_of_a_lock_is_a_pin_with_hashes_and_names_no_place(lock):
    assert len(pins(lock)) > 90
    text = LOCKS[lock].read_text()
    assert not re.search(r"://|^-|file:| @ ", text, flags=re.MULTILINE)


def test_the_cpu_lock_is_the_other_one_without_the_packages_of_cuda():
    cuda = pins("cuda")
    assert pins("cpu") == {name: version for name, version in cuda.items() if not ONLY_WITH_CUDA.match(name)}
    assert any(name.startswith("nvidia-") for name in cuda)


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("requirement", required(), ids=str)
def test_a_lock_has_a_version_that_pyproject_accepts(lock, requirement):
    assert pins(lock)[canonicalize_name(requirement.name)] in requirement.specifier


def test_every_dependency_has_a_lowest_version_or_is_a_package_of_types():
    for requirement in required():
        bounded = any(bound.operator == ">=" for bound in requirement.specifier)
        assert bounded or re.search(r"stubs|^types-", requirement.name), f"{requirement} accepts any version"


def test_everything_is_made_for_the_same_python():
    lowest = "3.11"
    assert PROJECT["project"]["requires-python"] == f">={lowest}"
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{lowest.replace('.', '')}"
    assert PROJECT["tool"]["mypy"]["python_version"] == lowest
    assert f"python={lowest}" in yaml.safe_load((ENVS / "environment.yaml").read_text())["dependencies"]
    assert f"\nFrom: python:{lowest}-" in (ENVS / "carryover.def").read_text()
    assert f"--python-version {lowest} " in (ENVS / "lock.sh").read_text()
    major, minor = lowest.split(".")
    assert f"sys.version_info < ({major}, {minor})" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize(
    ("file", "lock"),
    [
        ("envs/environment.post-deploy.sh", "envs/requirements.lock"),
        ("envs/carryover.def", "envs/requirements.lock"),
        ("Makefile", "$(LOCK)"),
    ],
)
def test_every_environment_installs_the_lock_and_then_the_package_alone(file, lock):
    text = (ROOT / file).read_text()
    _, after = text.split(f"envs/install-lock.sh {lock}\n")
    assert re.search(r"install --no-deps --no-build-isolation (--editable )?\.\n", after)


def test_a_lock_is_installed_by_hash_only():
    text = (ENVS / "install-lock.sh").read_text()
    assert (
        len(re.findall(r"pip .*install .*--require-hashes", text))
        == len(re.findall(r"pip .*install ", text))
        == 1
    )


def test_conda_adds_nothing_but_python_to_the_lock():
    environment = yaml.safe_load((ENVS / "environment.yaml").read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert [str(dependency).split("=")[0] for dependency in environment["dependencies"]] == ["python", "pip"]


def test_make_chooses_a_lock_that_exists():
    (choice,) = re.findall(
        r"^LOCK \?= (\S+)\$\(if .*,(-cpu)\)(\.lock)$", (ROOT / "Makefile").read_text(), re.M
    )
    base, cpu, suffix = choice
    assert {ROOT / f"{base}{suffix}", ROOT / f"{base}{cpu}{suffix}"} == set(LOCKS.values())
