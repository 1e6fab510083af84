"""Code in the documents: Python compiles, declarations are valid, and commands parse with their options."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from jsonschema import Draft202012Validator
from typer._click.exceptions import UsageError

from documentation.reading import Block, blocks, documents
from documentation.reference.commands import commands
from tests.declaration.test_json_schema import EditorLoader
from ukdsl_assets.declaration.json_schema import cascade_schema
from ukdsl_assets.declaration.read import read_cascade
from ukdsl_assets.settings import PROJECT

COMMANDS = commands()
SCHEMA = cascade_schema()
STUDENT = SCHEMA["$defs"]["Student"]["properties"]


def of(*languages: str) -> list[Any]:
    """The blocks of some languages, with where they stand."""
    return [
        pytest.param(block, id=f"{document}:{block.line}")
        for document, text in documents().items()
        for block in blocks(text)
        if block.language in languages
    ]


@pytest.mark.parametrize("block", of("python", "py"))
def test_python_compiles_and_runs_where_it_is_marked(block: Block) -> None:
    code = compile(block.text, "block", "exec")
    if block.mark == "run":
        exec(code, {})


def test_some_python_is_run() -> None:
    assert any(param.values[0].mark == "run" for param in of("python"))


@pytest.mark.parametrize("block", of("yaml", "yml"))
def test_declarations_are_valid(block: Block, tmp_path: Path) -> None:
    declared = yaml.load(block.text, EditorLoader)
    if isinstance(declared, dict) and {"name", "stages", "tasks"} <= declared.keys():
        (tmp_path / f"{declared['name']}.yaml").write_text(block.text)
        assert read_cascade(tmp_path / f"{declared['name']}.yaml").name == declared["name"]
    elif isinstance(declared, dict):
        # A part of a declaration, or of a student; a file of another kind has no key of either.
        for whole in (SCHEMA["properties"], STUDENT):
            if declared.keys() & whole.keys() and declared.keys() <= whole.keys():
                schema = {"$defs": SCHEMA["$defs"], "properties": {key: whole[key] for key in declared}}
                assert not [error.message for error in Draft202012Validator(schema).iter_errors(declared)]
                return
        shared = declared.keys() & (SCHEMA["properties"].keys() | STUDENT.keys())
        assert not shared, f"{sorted(declared)} together are keys of no block of a declaration"


def test_the_production_pages_dagster_file_is_the_examples() -> None:
    page = (PROJECT / "docs" / "how-to" / "production.md").read_text()
    example = yaml.safe_load((PROJECT / "examples" / "postgres" / "dagster.yaml").read_text())
    assert example in [yaml.safe_load(block.text) for block in blocks(page) if block.language == "yaml"]


def commands_of(shell: str) -> Iterator[list[str]]:
    """The words after `ukdsl` of each call of it in a shell block."""
    for line in re.sub(r"\\\n\s*", " ", shell).splitlines():
        for part in re.split(r"\s(?:&&|\|\||\||;)\s", line.removeprefix("$ ")):
            try:
                words = shlex.split(part, comments=True)
            except ValueError:
                continue
            while words and (re.fullmatch(r"\w+=.*", words[0]) or words[0] in ("export", "sudo", "nohup", "time")):
                words.pop(0)
            if words and Path(words[0]).name == "ukdsl":
                yield words[1:]


def complaint(words: list[str]) -> str:
    """Why the command line would refuse these words; empty where it takes them."""
    for length in range(min(2, len(words)), 0, -1):
        if command := COMMANDS.get(" ".join(["ukdsl", *words[:length]])):
            try:
                command.make_context(words[length - 1], words[length:])
            except UsageError as error:
                return error.format_message()
            except typer.Exit:  # --help
                pass
            return ""
    return "" if not words or words[0].startswith("-") else f"no command `{words[0]}`"


@pytest.mark.parametrize("block", of("sh", "bash", "shell", "console"))
def test_commands_parse(block: Block) -> None:
    for words in commands_of(block.text):
        assert not complaint(words), f"ukdsl {' '.join(words)}: {complaint(words)}"


@pytest.mark.parametrize("document", [name for name in documents() if name != "CHANGELOG.md"])
def test_commands_inside_sentences_exist(document: str) -> None:
    prose = "\n".join(re.findall(r"`ukdsl ([^`\n]+)`", documents()[document]))
    for words in map(str.split, prose.splitlines()):
        if not re.fullmatch(r"[a-z-]+", words[0]) or words[0].startswith("-"):
            continue
        named = [name for name in COMMANDS if name.split()[1] == words[0]]
        assert named, f"{document}: no command `{words[0]}`"
        options = {option for name in named for each in COMMANDS[name].params for option in each.opts}
        wrong = {word.partition("=")[0] for word in words if word.startswith("--")} - options - {"--help"}
        assert not wrong, f"{document}: `ukdsl {' '.join(words)}`: no option {', '.join(wrong)}"


def test_a_wrong_command_line_is_seen() -> None:
    assert "no command" in complaint(["rnu", "shop"])
    assert complaint(["run", "shop", "--dayz", "2026-01-01"])
    assert complaint(["run"])
    assert not complaint(["run", "shop", "--days", "2026-01-01"])
    shell = "UKDSL_LAKE=x .venv/bin/ukdsl run a --days \\\n  b  # why\ncd x && ukdsl ui\necho ukdsl"
    assert list(commands_of(shell)) == [["run", "a", "--days", "b"], ["ui"]]


def test_python_blocks_are_seen_with_their_marks() -> None:
    page = "text\n\n<!-- run -->\n```python\nx = 1\n```\n\n  ```sh\n  ls\n  ```\n"
    assert [(each.language, each.text, each.mark) for each in blocks(page)] == [
        ("python", "x = 1\n", "run"),
        ("sh", "ls\n", ""),
    ]
    assert ast.parse("x = 1")
