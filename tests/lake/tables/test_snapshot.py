"""A table's log is read once for as long as it stays as it is, and whatever befalls it is seen by the next reader."""

import datetime as dt
import os
import shutil
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.tables import snapshot
from ukdsl_assets.lake.tables.lake import Lake

MONDAY, TUESDAY = dt.date(2026, 1, 5), dt.date(2026, 1, 6)
TABLE = ("simulated_ads", "impressions")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path))


def publish(lake: Lake, day: dt.date, value: int) -> int:
    return lake.commit(lake.stage_frame(TABLE, day, pl.DataFrame({"value": [value]})), {"value": str(value)}).version


def publish_elsewhere(root: str, day: dt.date, value: int) -> None:
    publish(Lake(root), day, value)


def values(lake: Lake, *days: dt.date, version: int | None = None) -> list[int]:
    return lake.scan(TABLE, days, version).collect()["value"].to_list()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """The versions that were asked for whenever a log was read."""
    asked: list[int | None] = []

    def counted(uri: str, version: int | None = None) -> DeltaTable:
        asked.append(version)
        return DeltaTable(uri, version=version)

    monkeypatch.setattr(snapshot, "DeltaTable", counted)
    return asked


def test_a_log_that_stays_is_read_once_by_every_reader_of_the_process(lake: Lake, opened: list[int | None]) -> None:
    first = publish(lake, MONDAY, 1)
    opened.clear()
    for reader in (lake, Lake(lake.root)):
        assert values(reader, MONDAY) == [1]
        assert reader.partitions(TABLE) == [MONDAY]
        assert reader.row_counts(TABLE, [MONDAY]) == {MONDAY: 1}
        assert [each.version for each in reader.history(TABLE, MONDAY)] == [first]
        assert reader.publication(TABLE, MONDAY).metadata == {"value": "1"}
        assert values(reader, MONDAY, version=first) == [1]
    assert opened == [None, first]
    publish(lake, TUESDAY, 2)
    assert values(lake, MONDAY, TUESDAY) == [1, 2]
    assert opened == [None, first, None]


def test_what_another_process_publishes_is_seen_by_the_next_read(lake: Lake) -> None:
    publish(lake, MONDAY, 1)
    assert values(lake, MONDAY) == [1]
    writer = get_context("spawn").Process(target=publish_elsewhere, args=(lake.root, MONDAY, 2))
    writer.start()
    writer.join()
    assert values(lake, MONDAY) == [2]


def test_a_table_that_was_made_anew_with_as_many_commits_is_read_anew(lake: Lake) -> None:
    publish(lake, MONDAY, 1)
    assert values(lake, MONDAY) == [1]
    shutil.rmtree(lake.table_uri(TABLE))
    assert lake.partitions(TABLE) == []
    publish(lake, MONDAY, 2)
    assert values(lake, MONDAY) == [2]


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: os.truncate(file, file.stat().st_size - 1)])
@pytest.mark.parametrize("number", [0, 1])
def test_a_commit_that_is_damaged_after_it_was_read_is_refused(
    lake: Lake, number: int, damage: Callable[[Path], None]
) -> None:
    for day in (MONDAY, TUESDAY):
        publish(lake, day, 1)
        assert values(lake, day) == [1]
    commit = Path(lake.table_uri(TABLE), "_delta_log", f"{number:020d}.json")
    content = commit.read_bytes()
    damage(commit)
    with pytest.raises(LakeError, match=commit.name):
        values(lake, TUESDAY)
    commit.write_bytes(content)
    assert values(lake, MONDAY, TUESDAY) == [1, 1]


def test_an_unreadable_log_is_told_and_not_answered_from_memory(lake: Lake) -> None:
    publish(lake, MONDAY, 1)
    assert values(lake, MONDAY) == [1]
    log = Path(lake.table_uri(TABLE), "_delta_log")
    shutil.rmtree(log)
    log.write_text("a file in its place")
    with pytest.raises(LakeError, match="_delta_log cannot be listed"):
        values(lake, MONDAY)


def test_two_lakes_with_tables_of_one_name_are_two(tmp_path: Path) -> None:
    lakes = [Lake(str(tmp_path / name)) for name in ("one", "two")]
    for number, each in enumerate(lakes):
        publish(each, MONDAY, number)
    assert [values(each, MONDAY) for each in lakes] == [[0], [1]]
