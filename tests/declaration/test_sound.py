"""One wrong declaration is told by its file and stops no other cascade."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fixtures.shop import DECLARATION
from ukdsl_assets.declaration.sound import sound_cascades
from ukdsl_assets.errors import DeclarationError

TAUGHT = {"kind": "cross_domain", "stage": "ranking", "model": "pre_ranking_click", "tasks": {"click": "click"}}


def shop(folder: Path, file: str, **changes: Any) -> None:
    """The tests' shop with some keys replaced."""
    content = DECLARATION | {"source": {"kind": "parquet", "path": str(folder)}} | changes
    (folder / file).write_text(yaml.safe_dump(content))


def pupil(folder: Path, file: str, teacher: str) -> None:
    """A shop called like its file that another cascade teaches."""
    student = {**DECLARATION["students"][0], "teacher": "far"}
    teachers = [{**TAUGHT, "name": "far", "cascade": teacher}]
    shop(folder, file, name=file.removesuffix(".yaml"), teachers=teachers, students=[student])


Write = Callable[[Path], object]
WRONG: dict[str, tuple[Write, tuple[str, ...]]] = {
    "a wrong key": (lambda folder: shop(folder, "b.yaml", withheld_share=2, name="b"), ("b.yaml", "withheld_share")),
    "an owner": (lambda folder: shop(folder, "b.yaml", owner="a@b", name="b"), ("b.yaml", "owner", "team:NAME")),
    "no YAML": (lambda folder: (folder / "b.yaml").write_text("name: ["), ("b.yaml", "not readable as YAML")),
    "a teacher of nowhere": (lambda folder: pupil(folder, "b.yaml", "nowhere"), ("b.yaml", "nowhere")),
    "a step's name": (lambda folder: shop(folder, "b.yaml", name="a__b"), ("b.yaml", "a__b", "write one")),
    "no cascade's name": (lambda folder: shop(folder, "b.yaml", name="theory"), ("b.yaml", "theory", "another")),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_declaration_is_told_and_the_others_stay(tmp_path: Path, case: str) -> None:
    write, words = WRONG[case]
    shop(tmp_path, "a.yaml", name="sound")
    write(tmp_path)
    cascades, wrong = sound_cascades(tmp_path)
    assert {"sound", "simulated_ads"} <= cascades.keys()
    (error,) = wrong
    assert not {"b", "a__b", "theory"} & cascades.keys()
    assert [word for word in words if word not in str(error)] == []


def test_of_two_files_with_one_name_none_is_run(tmp_path: Path) -> None:
    shop(tmp_path, "a.yaml")
    shop(tmp_path, "b.yaml")
    shop(tmp_path, "c.yaml", name="other")
    cascades, wrong = sound_cascades(tmp_path)
    assert "other" in cascades
    assert "shop" not in cascades
    (error,) = wrong
    assert "a.yaml" in str(error)
    assert "b.yaml" in str(error)


def test_who_is_taught_by_a_wrong_cascade_is_left_out_with_it(tmp_path: Path) -> None:
    shop(tmp_path, "a.yaml", name="a", withheld_share=2)
    pupil(tmp_path, "b.yaml", "a")
    pupil(tmp_path, "c.yaml", "b")
    shop(tmp_path, "d.yaml", name="d")
    cascades, wrong = sound_cascades(tmp_path)
    assert {"a", "b", "c", "d"} & cascades.keys() == {"d"}
    assert [Path(str(each).split(":")[0]).name for each in wrong] == ["a.yaml", "b.yaml", "c.yaml"]


def test_a_missing_folder_stops_all(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="no such folder"):
        sound_cascades(tmp_path / "absent")
