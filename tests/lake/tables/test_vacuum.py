"""A vacuum beside commits, and what it leaves of a table's log and history."""

import datetime as dt
import json
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.storage import Storage
from ukdsl_assets.lake.tables.lake import Lake

MONDAY, TUESDAY = dt.date(2026, 1, 5), dt.date(2026, 1, 6)
TABLE = ("simulated_ads", "impressions")


def publish(lake: Lake, day: dt.date, value: int) -> int:
    return lake.commit(lake.stage_frame(TABLE, day, pl.DataFrame({"value": [value]})), {"value": str(value)}).version


def at_access(number: int, patch: pytest.MonkeyPatch, do: Callable[[], None]) -> Callable[[], bool]:
    """Does something at the n-th access to the lake's storage from now on; what is given back says whether it came."""
    own, accesses = Storage.path, count()
    done = []

    def path(storage: Storage, *parts: str) -> str:
        if next(accesses) == number:
            done.append(number)
            do()
        return own(storage, *parts)

    patch.setattr(Storage, "path", path)
    return lambda: bool(done)


def tried(do: Callable[[], object]) -> bool:
    try:
        do()
    except LakeError as error:
        assert "Stage the partition again" in str(error) or "being removed by a vacuum" in str(error)  # noqa: PT017
        return False
    return True


@pytest.mark.parametrize("within", ["commit", "vacuum"])
def test_a_vacuum_of_no_age_beside_a_commit_never_takes_a_published_day(tmp_path: Path, within: str) -> None:
    """At every access of the one to the storage, the other is done as a whole."""
    outcomes = set()
    for number in count():
        lake, other = Lake(str(tmp_path / str(number))), Lake(str(tmp_path / str(number)))
        publish(lake, MONDAY, 0)
        staged = other.stage_frame(TABLE, MONDAY, pl.DataFrame({"value": [1]}))
        committed: list[bool] = []

        def commit() -> None:
            committed.append(tried(lambda: other.commit(staged, {})))  # noqa: B023

        def vacuum() -> None:
            lake.vacuum(TABLE, 0)  # noqa: B023

        outer, inner = (commit, vacuum) if within == "commit" else (vacuum, commit)
        with pytest.MonkeyPatch.context() as patch:
            came = at_access(number, patch, inner)
            outer()
        if not came():
            break
        assert lake.scan(TABLE, [MONDAY]).collect()["value"].to_list() == [int(committed[0])]
        outcomes.add(committed[0])
    assert outcomes == {True, False}, "the two never met"
    assert number > 8


def test_a_vacuum_that_was_killed_stops_no_other_commit_and_is_cleared_up_a_day_later(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    publish(lake, MONDAY, 0)
    staged = lake.stage_frame(TABLE, MONDAY, pl.DataFrame({"value": [1]}))
    mark = Path(lake.table_uri(TABLE), "_publications/sweeping-x.json")
    mark.write_text(json.dumps([staged.files[0].path]))
    with pytest.raises(LakeError, match=r"is being removed by a vacuum.*Stage the partition again"):
        lake.commit(staged, {})
    publish(lake, MONDAY, 2)
    lake.vacuum(TABLE)
    assert mark.exists()
    os.utime(mark, (0, 0))
    lake.vacuum(TABLE)
    assert not mark.exists()


def months_ago(lake: Lake) -> list[Path]:
    """All commits become 90 days old."""
    commits = sorted(Path(lake.table_uri(TABLE), "_delta_log").glob("*.json"))
    for commit in commits:
        then = (dt.datetime.now(dt.UTC) - dt.timedelta(days=90)).timestamp()
        os.utime(commit, (then, then))
    return commits


@pytest.mark.parametrize("recorded", [True, False], ids=["with records", "from before there were records"])
def test_history_outlives_the_commits_that_a_vacuum_removes(tmp_path: Path, recorded: bool) -> None:
    lake = Lake(str(tmp_path))
    versions = [publish(lake, MONDAY, 0), publish(lake, MONDAY, 1), publish(lake, TUESDAY, 2)]
    if not recorded:
        for record in Path(lake.table_uri(TABLE), "_publications").glob("*/*.json"):
            record.unlink()
    before = {day: lake.history(TABLE, day) for day in (MONDAY, TUESDAY)}
    assert [each.version for each in before[MONDAY]] == [versions[1], versions[0]]
    old = months_ago(lake)
    lake.vacuum(TABLE)
    assert not any(commit.exists() for commit in old[:-1])
    for day, history in before.items():
        assert [(each.version, each.metadata, each.data_version) for each in lake.history(TABLE, day)] == [
            (each.version, each.metadata, each.data_version) for each in history
        ]
        assert lake.publication(TABLE, day) == lake.history(TABLE, day)[0]
        assert lake.scan(TABLE, [day]).collect().height == 1
    publish(lake, MONDAY, 3)
    assert [each.metadata["value"] for each in lake.history(TABLE, MONDAY)] == ["3", "1", "0"]


def test_what_a_table_knew_before_there_were_records_is_kept_when_a_day_is_published_again(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    publish(lake, MONDAY, 0)
    publish(lake, TUESDAY, 1)
    for record in Path(lake.table_uri(TABLE), "_publications").glob("*/*.json"):
        record.unlink()
    publish(lake, MONDAY, 2)
    for commit in months_ago(lake):
        commit.write_bytes(commit.read_bytes().replace(b"data_version", b"no_longer_so"))  # nothing in the log tells
    assert [each.metadata["value"] for each in lake.history(TABLE, MONDAY)] == ["2", "0"]
    assert lake.publication(TABLE, TUESDAY).metadata == {"value": "1"}


def test_a_publication_of_which_nothing_is_known_is_told(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    publish(lake, MONDAY, 0)
    for record in Path(lake.table_uri(TABLE), "_publications").glob("*/*.json"):
        record.unlink()
    months_ago(lake)
    table = DeltaTable(lake.table_uri(TABLE))
    table.create_checkpoint()
    table.cleanup_metadata()
    Path(lake.table_uri(TABLE), f"_delta_log/{table.version():020d}.json").unlink(missing_ok=True)
    assert lake.history(TABLE, MONDAY) == []
    with pytest.raises(LakeError, match=r"nothing is known of its making.*ukdsl run simulated_ads --days 2026-01-05"):
        lake.publication(TABLE, MONDAY)
    with pytest.raises(LakeError, match="has no day 2026-01-06"):
        lake.publication(TABLE, TUESDAY)


def test_the_log_gets_a_checkpoint_once_a_version(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    publish(lake, MONDAY, 0)
    checkpoints = Path(lake.table_uri(TABLE), "_delta_log")
    lake.vacuum(TABLE)
    [checkpoint] = checkpoints.glob("*.checkpoint.parquet")
    written = checkpoint.stat().st_mtime_ns
    lake.vacuum(TABLE)
    assert checkpoint.stat().st_mtime_ns == written
    publish(lake, MONDAY, 1)
    lake.vacuum(TABLE)
    assert len([*checkpoints.glob("*.checkpoint.parquet")]) == 2


def test_a_writer_killed_after_its_commit_is_in_the_history(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    publish(lake, MONDAY, 0)
    version = publish(lake, MONDAY, 1)
    folder = Path(lake.table_uri(TABLE), "_publications/day=2026-01-05")
    [settled] = folder.glob(f"{version:020d}-*")
    settled.rename(claim := settled.with_name(settled.name.replace(f"{version:020d}", "claimed")))
    assert [each.metadata["value"] for each in lake.history(TABLE, MONDAY)] == ["1", "0"]
    publish(lake, TUESDAY, 0)
    publish(lake, MONDAY, 2)  # who takes its place settles it
    assert not claim.exists()
    assert [each.metadata["value"] for each in lake.history(TABLE, MONDAY)] == ["2", "1", "0"]
