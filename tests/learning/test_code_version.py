"""The version of the code that trains changes with each room that a training depends on, and with no other."""

import shutil
from pathlib import Path

import pytest

import ukdsl_assets
from ukdsl_assets.learning.code_version import ROOMS, code_version, version_of

PACKAGE = Path(ukdsl_assets.__file__).parent
# What moved out of `learning`, and what stayed.
FILES = (
    "declaration/unchecked.py",
    "frames/conform.py",
    "frames/served_as.py",
    "frames/splits.py",
    "learning/features/encoding.py",
    "learning/training/trainer.py",
)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for room in ROOMS:
        shutil.copytree(PACKAGE / room, tmp_path / room)
    return tmp_path


def test_a_copy_of_the_code_has_its_version_wherever_it_lies(copied: Path) -> None:
    assert version_of(copied) == version_of(PACKAGE) == code_version()


@pytest.mark.parametrize("file", FILES)
def test_a_change_in_any_room_that_a_training_depends_on_changes_the_version(copied: Path, file: str) -> None:
    with (copied / file).open("a") as content:
        content.write("# another line\n")
    assert version_of(copied) != version_of(PACKAGE)


@pytest.mark.parametrize("room", ROOMS)
def test_a_new_a_renamed_and_a_removed_file_change_the_version(copied: Path, room: str) -> None:
    seen = [version_of(copied)]
    (copied / room / "new.py").write_text("")
    seen.append(version_of(copied))
    (copied / room / "new.py").rename(copied / room / "newer.py")
    seen.append(version_of(copied))
    (copied / room / "newer.py").unlink()
    assert len(set(seen)) == 3
    assert version_of(copied) == seen[0]


def test_what_is_no_source_and_other_rooms_change_nothing(copied: Path) -> None:
    before = version_of(copied)
    (copied / "frames" / "notes.txt").write_text("not code")
    (copied / "reports").mkdir()
    (copied / "reports" / "plots.py").write_text("colour = 'red'")
    assert version_of(copied) == before


def test_a_missing_room_is_refused_rather_than_left_out(copied: Path) -> None:
    shutil.rmtree(copied / "frames")
    with pytest.raises(FileNotFoundError, match="frames"):
        version_of(copied)
