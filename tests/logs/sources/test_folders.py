"""A day's files are found as they are named, and what of a day would not be read stops it."""

import os
from datetime import date
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from tests.fixtures.log_files import DAY, declared, write_day
from tests.fixtures.logs import make_logs
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.errors import SourceError
from ukdsl_assets.logs.sources.folders import beside, files_of_day
from ukdsl_assets.logs.sources.parquet import ParquetReader


def files(root: Path, day: date = DAY) -> list[str]:
    """A day's files of the candidate log, as paths below its folder."""
    _, found = files_of_day(str(root), "candidate_log", day, "shop.yaml")
    return [os.path.relpath(each, root / "candidate_log" / f"day={day}") for each in found]


def touched(root: Path, *names: str) -> Path:
    """A folder of logs with these empty files of the candidate log."""
    for name in names:
        path = root / "candidate_log" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


@pytest.mark.parametrize("name", ["run[1]", "run*", "run?", "{run}", "a::b", "with space", "%31", "file:run"])
def test_a_path_is_a_path_and_no_pattern(shop: Cascade, tmp_path: Path, name: str) -> None:
    logs = make_logs(shop, DAY)
    write_day(logs, f"file://{tmp_path}/written")
    (tmp_path / "written").rename(tmp_path / name)
    # What the name would stand for as a pattern.
    for other in ("run1", "runs", "run", "b"):
        write_day(make_logs(shop, DAY, seed=1), str(tmp_path / other))
    read = ParquetReader(declared(shop, str(tmp_path / name))).read(DAY)
    assert_frame_equal(read.candidate_log, logs.candidate_log)
    assert_frame_equal(read.event_log, logs.event_log)


def test_rows_in_folders_of_hours_are_the_days(shop: Cascade, tmp_path: Path) -> None:
    logs = make_logs(shop, DAY)
    write_day(logs, str(tmp_path))
    for log, name in (("candidate_log", "part-1.parquet"), ("event_log", "part-0.parquet")):
        folder = tmp_path / log / f"day={DAY}"
        (folder / "hour=01").mkdir()
        (folder / name).rename(folder / "hour=01" / name.upper())
    (tmp_path / "candidate_log" / f"day={DAY}" / "_SUCCESS").touch()
    (tmp_path / "candidate_log" / f"day={DAY}" / ".part-2.parquet").write_bytes(b"half")
    read = ParquetReader(declared(shop, str(tmp_path))).read(DAY)
    assert_frame_equal(read.candidate_log, logs.candidate_log)
    assert_frame_equal(read.event_log, logs.event_log)


def test_files_come_by_path(tmp_path: Path) -> None:
    day = f"day={DAY}"
    names = ["part-9.parquet", "part-10.parquet", "hour=01/z.parquet", "hour=00/b.parquet", "hour=00/a.parquet"]
    root = touched(tmp_path, *(f"{day}/{name}" for name in names))
    assert files(root) == sorted(names)


@pytest.mark.parametrize("log", ["candidate_log", "event_log"])
def test_a_day_with_a_file_that_would_not_be_read_is_refused(shop: Cascade, tmp_path: Path, log: str) -> None:
    write_day(make_logs(shop, DAY), str(tmp_path))
    (tmp_path / log / f"day={DAY}" / "part-1.snappy").touch()
    with pytest.raises(SourceError, match=rf"{log}/day={DAY}: 1 file\(s\) that would not be read: part-1\.snappy;"):
        ParquetReader(declared(shop, str(tmp_path))).read(DAY)


@pytest.mark.parametrize(
    "name",
    [
        *("day=2026-1-3", "day=20260103", "dt=2026-01-03", "DAY=2026-01-03", "2026-01-03", "day=2026_01_03"),
        *("day=2026-01-03 ", "day=2026-01-03-05", "2026-01-03T05", "dt=2026010305"),
    ],
)
@pytest.mark.parametrize("well_named_too", [False, True])
def test_a_days_folder_that_is_written_otherwise_is_named(tmp_path: Path, name: str, well_named_too: bool) -> None:
    root = touched(tmp_path, f"{name}/part-0.parquet", *([f"day={DAY}/part-0.parquet"] if well_named_too else []))
    with pytest.raises(SourceError, match=f"{name} would not be read: a day's folder is written day=2026-01-03;"):
        files(root)


def test_folders_of_other_days_and_copies_that_are_kept_beside_do_no_harm(tmp_path: Path) -> None:
    others = ["day=2026-1-4/p.parquet", "day=2026-01-03.old/p.parquet", "_day=2026-01-03/p.parquet", "notes.txt"]
    assert files(touched(tmp_path, f"day={DAY}/part-0.parquet", *others)) == ["part-0.parquet"]


def test_rows_in_no_days_folder_are_named(tmp_path: Path) -> None:
    root = touched(tmp_path, f"day={DAY}/part-0.parquet", "part-1.parquet", "_part-2.parquet")
    with pytest.raises(SourceError, match=r"candidate_log: part-1\.parquet would not be read: in no day's folder"):
        files(root)


def test_a_name_that_is_not_utf_8_is_told_in_letters_that_can_be_printed(tmp_path: Path) -> None:
    root = touched(tmp_path, f"day={DAY}/part-0.parquet")
    try:
        touched(root, os.fsdecode(b"\xff.parquet"))
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    with pytest.raises(SourceError, match="would not be read") as error:
        files(root)
    assert r"\udcff.parquet" in str(error.value).encode().decode()


def test_a_missing_day_is_not_the_nearest_one_and_what_is_there_is_told(tmp_path: Path) -> None:
    (touched(tmp_path, "year=2026/p.parquet") / "candidate_log" / f"day={DAY}").mkdir()
    with pytest.raises(SourceError, match=r"days there: none \(saw day=2026-01-03, year=2026\); write"):
        files(tmp_path)
    with pytest.raises(SourceError, match="days there: 2026-01-03; write"):
        files(tmp_path, date(2026, 1, 4))


def test_home_and_variables_are_filled_in_and_one_that_is_not_set_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WHERE", "shop")
    monkeypatch.delenv("NOWHERE", raising=False)
    origin = "/declared/shop.yaml"
    assert beside(origin, "~/logs") == beside(origin, "$HOME/logs") == f"{tmp_path}/logs"
    assert beside(origin, "${WHERE}/logs") == "/declared/shop/logs"
    assert beside(origin, "s3://bucket/~/$WHERE") == "s3://bucket/~/$WHERE"
    (tmp_path / "candidates").mkdir()
    with pytest.raises(SourceError, match=r"no such folder; .* saw candidates there$"):
        files(tmp_path)
    with pytest.raises(SourceError, match=r"no such folder; .*not set in the environment: \$NOWHERE$"):
        files_of_day(beside(origin, "$NOWHERE/logs"), "candidate_log", DAY, origin)


def test_no_message_shows_a_password(shop: Cascade) -> None:
    for path in ("memory://me:secret@nowhere/logs", "nosuch://me:secret@host/logs"):
        with pytest.raises(SourceError) as error:
            ParquetReader(declared(shop, path)).read(DAY)
        assert "secret" not in str(error.value)
        assert "***@" in str(error.value)
