"""What the pages name is there: links, files, functions, tests, and everything in the commands to type."""

import argparse
import ast
import json
import re
import shlex

import pytest
import yaml
from pages import FENCE, ROOT, changes, commands, new_files
from snakemake.cli import get_argument_parser

from carryover import carry, cli, compare, export, fewshot, schema
from carryover.core.config import Settings
from carryover.iterand.settings import METHODS
from carryover.metaticket.settings import KINDS as FEWSHOT
from carryover.problems import members
from carryover.study import Entries, Study
from carryover.transfer.settings import KINDS
from carryover.workflow import load_workflow

PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "results" / "README.md"})
FOLDERS = "benchmarks|docs|envs|profiles|slurm|src|studies|tests|workflow"
TOOLS = {"export": export, "transfer": carry, "compare": compare, "fewshot": fewshot, "schema": schema}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def prose(page):
    """Text of a page without its fenced blocks."""
    return FENCE.sub("", page.read_text("utf-8"))


def anchors(page):
    """Anchors that GitHub gives to the headings of a page."""
    found = []
    for title in re.findall(r"^#+ +(.+)$", prose(page), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        found.append(anchor if anchor not in found else f"{anchor}-{found.count(anchor)}")
    return found


@pages
def test_every_relative_link_leads_somewhere(page):
    for link in re.findall(
        r"\]\(([^)\s]+)\)|^\[[^\]]+\]: +(\S+)|src=\"([^\"]+)\"", prose(page), re.MULTILINE
    ):
        target, _, anchor = next(filter(None, link)).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{page.name} links to {target}, which is not there"
        assert not anchor or anchor in anchors(path), f"{page.name} links to #{anchor} of {path.name}"


def defined(path):
    """Names that a module defines at its top, and its tests."""
    tree = ast.parse(path.read_text("utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return names | {ast.unparse(node.target) for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)}


@pages
def test_every_file_and_function_that_a_page_names_is_there(page):
    made_here = {*new_files(page)}
    for text in re.findall(r"`([^`\n]+)`", prose(page)):
        if match := re.fullmatch(r"([\w/]+\.py)(?::(\w+))?", text):
            path = next(
                (p for p in (ROOT / match[1], ROOT / "src" / "carryover" / match[1]) if p.exists()), None
            )
            assert path or match[1] in made_here, f"{page.name} names {match[1]}"
            assert not match[2] or not path or match[2] in defined(path), f"{page.name} names {text}"
        elif re.fullmatch(rf"({FOLDERS})/[\w./-]+", text) and text not in made_here:
            assert (ROOT / text).exists(), f"{page.name} names {text}"


def words_of(page, program):
    """Split the commands of a page that start a program."""
    typed = (shlex.split(line, comments=True) for line in commands(page))
    return [words[1:] for words in typed if words[:1] == [program]]


@pages
def test_every_make_target_of_a_page_exists(page):
    known = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for words in words_of(page, "make"):
        assert {word for word in words if "=" not in word} <= {*known}, words


@pages
def test_every_command_of_carryover_is_one(page):
    assert {*TOOLS} == {*cli.COMMANDS}
    for words in words_of(page, "carryover"):
        parser = argparse.ArgumentParser(prog="carryover", exit_on_error=False)
        subparsers = parser.add_subparsers(required=True)
        for tool in TOOLS.values():
            tool.add_to(subparsers)
        parser.parse_args(words)


def makeable(flow, target):
    """Tell whether the rules make a target: a rule, or a file of a study."""
    rules = {model.stage for model in (*METHODS.values(), *KINDS.values(), *FEWSHOT.values())}
    for file in (ROOT / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")):
        rules |= set(re.findall(r"^ *rule (\w+):", file.read_text("utf-8"), re.MULTILINE))
    match target.split("/"):
        case [rule]:
            return rule in rules
        case ["results", "data", file]:
            return target == flow.images(file.rpartition(".")[0])
        case ["results", study, "iterand", run, block, "metrics.csv" | "nets.safetensors" | "manifest.json"]:
            return study == flow.name and block in flow.blocks.get(run, [])
        case ["results", study, "iterand", "table.csv" | "claims.csv"]:
            return study == flow.name
        case ["results", study, "iterand", "theory", file]:
            return study == flow.name and file.rpartition(".")[2] in ("csv", "json")
        case ["results", study, "transfer", kind, run, block, "metrics.csv" | "manifest.json"]:
            known = flow.transfer.runs.get(kind, {}) if flow.transfer else {}
            return study == flow.name and run in known and block in flow.transfer.blocks(kind, run)
        case ["results", study, "transfer", "table.csv" | "claims.csv"]:
            return study == flow.name and flow.transfer is not None
        case ["results", study, "transfer", "theory", "theory.csv" | "manifest.json"]:
            return study == flow.name and flow.transfer is not None
        case ["results", study, "figures", "transfer", file]:
            drawn = {*flow.study.transfer.figures, "theory", "claims"} if flow.study.transfer else {}
            return study == flow.name and file.rpartition(".")[0] in drawn
        case ["results", study, "metaticket", kind, run, block, "metrics.csv" | "manifest.json"]:
            known = flow.metaticket.runs.get(kind, {}) if flow.metaticket else {}
            return study == flow.name and run in known and block in flow.metaticket.blocks(kind, run)
        case ["results", study, "metaticket", "table.csv" | "claims.csv"]:
            return study == flow.name and flow.metaticket is not None
        case ["results", study, "figures", "metaticket", file]:
            drawn = {*flow.study.metaticket.figures, "claims"} if flow.study.metaticket else {}
            return study == flow.name and file.rpartition(".")[0] in drawn
        case ["results", study, "figures", "iterand", file]:
            drawn = {*flow.figures, "theory", "claims"}
            return study == flow.name and file.rpartition(".")[0] in drawn
    return False


@pages
def test_every_snakemake_command_has_known_options_and_targets(page, tmp_path):
    studies = tmp_path / "studies"
    studies.mkdir()
    for path, text in new_files(page).items():
        if path.startswith("studies/"):
            (tmp_path / path).write_text(text, "utf-8")
    for file in (ROOT / "studies").glob("*.yaml"):
        (studies / file.name).write_text(file.read_text("utf-8"), "utf-8")
    for words in words_of(page, "snakemake"):
        args, unknown = get_argument_parser().parse_known_args(words)
        assert not unknown, f"{page.name}: snakemake has no option {unknown[0]}"
        settings = args.config or []
        # snakemake takes every word behind --config for a setting
        assert all("=" in word for word in settings), f"{page.name}: write targets before --config: {words}"
        config = {key: yaml.safe_load(value) for key, value in (word.split("=", 1) for word in settings)}
        if changes(page):  # its study needs code that is not there; tests/flow/test_extensions.py types it
            continue
        flow = load_workflow({"study": "demo", **config}, tmp_path)
        assert [target for target in args.targets if not makeable(flow, target)] == []


def test_schemas_and_reference_are_those_of_the_models():
    for name, text in schema.schema_texts().items():
        assert (ROOT / "workflow" / "schemas" / name).read_text("utf-8") == text, "run make format"
    assert (ROOT / "docs" / "config.md").read_text("utf-8") == schema.reference_text(), "run make format"


def test_every_kind_of_run_that_a_study_may_have_is_in_schema_and_reference():
    studies = json.loads(schema.schema_texts()["study.schema.json"])["$defs"]
    reference = schema.reference_text()
    for section, info in Study.model_fields.items():
        model = next((each for each in members(info.annotation) if isinstance(each, type)), None)
        fields = model.model_fields if isinstance(model, type) and issubclass(model, Settings) else {}
        kinds = [key for key, own in fields.items() if own.annotation == Entries]
        for kind in (key for key in kinds if key not in ("recipes", "arms")):  # parts of settings
            assert f"## An entry of `{section}.{kind}`" in reference
            assert studies[model.__name__]["properties"][kind]["additionalProperties"]["properties"]
