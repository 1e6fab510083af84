"""What the documents name is there: functions of the walks, and files of the package."""

import ast
import re
from pathlib import Path

import pytest

import ukdsl_assets

PACKAGE = Path(ukdsl_assets.__file__).parent
PROJECT = PACKAGE.parent
DOCUMENTS = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")]
STEPS = re.findall(r"`([\w/]+\.py):([\w.]+)`", (PROJECT / "docs" / "architecture.md").read_text())


def defined_in(path: Path) -> set[str]:
    """Names of functions and classes at the top of a file, and `Class.method`."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    return names


def test_the_walks_name_their_steps() -> None:
    assert len(STEPS) > 30


@pytest.mark.parametrize(("file", "name"), sorted(set(STEPS)), ids=lambda each: each)
def test_each_step_of_a_walk_is_where_the_page_says(file: str, name: str) -> None:
    assert (PACKAGE / file).is_file(), f"docs/architecture.md names {file}, which is not there"
    assert name in defined_in(PACKAGE / file), f"docs/architecture.md: {file} has no `{name}`; say where it went"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each.relative_to(PROJECT).as_posix())
def test_files_of_the_package_that_a_document_names_are_there(document: Path) -> None:
    for name in re.findall(r"\bukdsl_assets/[\w/]+(?:\.\w+)?", document.read_text()):
        assert (PROJECT / name).exists(), f"{document}: {name} is not there"
