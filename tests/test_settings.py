"""Settings of a project's folder, of a clone and of the environment; where a fresh installation keeps its lake."""

import os
from pathlib import Path

import pytest

from ukdsl_assets.cli.common import read_settings
from ukdsl_assets.errors import DeclarationError
from ukdsl_assets.settings import PROJECT, Settings, load_environment, project_file, project_folder, shipped


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with nothing of UKDSL_* in the environment."""
    for name in [name for name in os.environ if name.startswith("UKDSL_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_project_says_its_places_in_env_and_the_environment_goes_before_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text(
        "# places\nUKDSL_LAKE=lake\nexport UKDSL_CASCADES='my cascades'\nUKDSL_SHARDS=4\nA=b\n"
    )
    settings = Settings()
    # As written: they count from the folder in which commands run, which is the `.env`'s.
    assert (settings.lake, settings.cascades, settings.shards) == ("lake", Path("my cascades"), 4)
    monkeypatch.setenv("UKDSL_SHARDS", "2")
    assert Settings().shards == 2
    assert Settings(shards=1).shards == 1
    assert project_folder() == folder


def test_a_clone_keeps_its_lake_and_home_wherever_commands_run(folder: Path) -> None:
    assert Settings().lake == str(PROJECT / "lake")
    assert project_folder() == PROJECT
    # Of another program.
    (folder / ".env").write_text("SECRET=1\n")
    assert project_folder() == PROJECT
    (folder / ".env").write_text("UKDSL_THREADS=1\n")
    assert project_folder() == folder
    assert Settings().lake == "lake"


def test_an_installed_package_works_in_the_current_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ukdsl_assets.settings.IN_CLONE", False)
    assert project_folder() == folder
    assert (Settings().lake, Settings().kuairand) == ("lake", Path("kuairand_pure"))
    assert shipped("dbt_like_sql") == PROJECT / "ukdsl_assets" / "dbt_like_sql"
    (folder / "dagster.yaml").touch()
    assert project_file("dagster.yaml") == folder / "dagster.yaml"
    assert project_file("workspace.yaml") == shipped("workspace.yaml")


def test_an_empty_value_says_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".env").write_text("UKDSL_SQL=\nUKDSL_CASCADES=\n")
    monkeypatch.setenv("UKDSL_LAKE", "")
    settings = Settings()
    assert (settings.lake, settings.sql, settings.cascades) == ("lake", None, None)


def test_keys_of_a_store_reach_the_environment_unless_they_are_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text("UKDSL_LAKE=lake\nSTORE_KEY=of the file\nSTORE_REGION=of the file\n")
    monkeypatch.setenv("STORE_KEY", "of the shell")
    monkeypatch.setenv("STORE_REGION", "")
    monkeypatch.delenv("STORE_REGION")
    load_environment()
    assert (os.environ["STORE_KEY"], os.environ["STORE_REGION"]) == ("of the shell", "of the file")
    assert "UKDSL_LAKE" not in os.environ


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"UKDSL_SHARDS=many", r"settings: UKDSL_SHARDS: .*'many'"),
        (b"UKDSL_CASCADE=cascades", r"\.env: no setting `UKDSL_CASCADE`.*did you mean `UKDSL_CASCADES`"),
        (b"UKDSL_LAKE=\xff", r"\.env: not readable as UTF-8"),
    ],
)
def test_a_wrong_env_is_told_by_what_is_wrong_in_it(folder: Path, line: bytes, said: str) -> None:
    (folder / ".env").write_bytes(line + b"\n")
    with pytest.raises(DeclarationError, match=said):
        read_settings()


@pytest.mark.parametrize(
    ("line", "seen"),
    [("UKDSL_CASCADES mine", "UKDSL_CASCADES"), ("UKDSL_CASCADES", "UKDSL_CASCADES"), ("UKDSL_SQL='a", "UKDSL_SQL"),
     ("SECRET: secret", "SECRET"), ("KEY='secret", "KEY")],
)  # fmt: skip
def test_a_line_of_env_that_says_nothing_is_told_with_its_number_and_no_value(
    line: str, seen: str, folder: Path
) -> None:
    (folder / ".env").write_text(f"# places\n\nUKDSL_SHARDS=2\n{line}\n")
    with pytest.raises(DeclarationError, match=rf"\.env, line 4: expected NAME=VALUE.* saw '{seen}'") as told:
        read_settings()
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("text", ["\ufeffUKDSL_SHARDS=4", "UKDSL_SHARDS = 4 # four", 'export UKDSL_SHARDS="4"\r'])
def test_env_may_have_a_byte_order_mark_spaces_comments_and_quotes(text: str, folder: Path) -> None:
    (folder / ".env").write_text(f"{text}\n", encoding="utf-8")
    assert read_settings().shards == 4
