"""Every room of the package says what belongs in it and what does not, and loads nothing by saying so."""

import ast
from pathlib import Path

import pytest

import ukdsl_assets

PACKAGE = Path(ukdsl_assets.__file__).parent
# Folders with files of their own or below; those that hold caches alone are what a move has left behind.
ROOMS = sorted(
    path.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("*")
    if path.is_dir() and any(each.is_file() and each.parent.name != "__pycache__" for each in path.rglob("*"))
)
# The commands' door, and the table of rules, which reads the rules beside it.
WITH_IMPORTS = {"cli", "selection/rules"}


def test_the_rooms_are_found() -> None:
    assert {"cli", "defs/graph", "learning/networks", "selection/importance/trees"} <= set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_belongs_in_it_and_what_does_not(room: str) -> None:
    path = PACKAGE / room / "__init__.py"
    assert path.is_file(), f"{room} has no __init__.py; write one that says what belongs there and what does not"
    tree = ast.parse(path.read_text())
    holds, _, rest = (ast.get_docstring(tree) or "").partition("\n\n")
    assert len(holds) > 40, f"{path}: say in the first line what the room holds"
    assert len(rest) > 80, f"{path}: say in a second paragraph what does not belong there, and where it does"
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not imports or room in WITH_IMPORTS, f"{path}: line {imports[0].lineno} imports; a room's words load nothing"


@pytest.mark.parametrize("room", ROOMS)
def test_files_and_rooms_that_a_room_names_are_there(room: str) -> None:
    words = (ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text())) or "").split("`")[1::2]
    named = [word for word in words if word.endswith(("/", ".py")) or "/" in word]
    for name in named:
        assert (PACKAGE / name).exists() or (PACKAGE / room / name).exists(), (
            f"{room} names `{name}`, which is not there"
        )
