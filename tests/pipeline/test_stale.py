"""Which days are stale: pure on records of what was published, and on a real lake and folder of logs."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.fixtures.logs import make_logs
from tests.fixtures.published_logs import publish_logs
from tests.fixtures.shop import DAY, declare, write
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.lake.tables.reading import Publication
from ukdsl_assets.pipeline.stale import Newest, Reading, look_for_stale, stale_days, stale_partitions
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

CANDIDATES, EVENTS, SHOWN, JUDGED = (
    ("shop", "candidate_log"),
    ("shop", "event_log"),
    ("shop", "impressions"),
    ("shop", "click", "evaluation"),
)
NIGHT = datetime(2026, 3, 2, 5, tzinfo=UTC)
WINDOW = timedelta(days=3)
LATER = datetime(2026, 4, 1, tzinfo=UTC)


def published(data_version: str, metadata: dict[str, str] | None = None, version: int = 1) -> Publication:
    return Publication(version, NIGHT, data_version, 1, metadata or {})


def read(log: str, files: str | None = None, known: datetime = NIGHT, cut: bool = False) -> Publication:
    record = {"known_until": known.isoformat()}
    record |= {f"files:{log}": files} if files is not None else {}
    return published("v", record | ({"cut_at": known.isoformat()} if cut else {}))


def of_files(candidates: str, events: str) -> Reading:
    return Reading({"candidate_log": candidates, "event_log": events}, LATER)


def logs_as(candidates: str, events: str, cut: bool = False) -> Newest:
    return {
        CANDIDATES: {DAY: read("candidate_log", candidates, cut=cut)},
        EVENTS: {DAY: read("event_log", events, cut=cut)},
    }


def test_a_day_whose_files_are_as_they_were_is_not_stale_however_late_it_is() -> None:
    assert stale_partitions(logs_as("a", "b"), {DAY: of_files("a", "b")}, WINDOW) == []


def test_a_replaced_file_makes_the_log_that_it_is_of_stale() -> None:
    (found,) = stale_partitions(logs_as("a", "b"), {DAY: of_files("a", "c")}, WINDOW)
    assert (found.table, found.day) == (EVENTS, DAY)
    assert "files have changed" in found.reason


def test_a_day_whose_files_are_gone_is_not_stale() -> None:
    assert stale_partitions(logs_as("a", "b"), {DAY: of_files("", "")}, WINDOW) == []
    assert stale_partitions(logs_as("a", "b"), {DAY: of_files("a", "")}, WINDOW) == []


@pytest.mark.parametrize(
    ("counted", "now", "stale"),
    [
        (NIGHT, NIGHT, False),
        (NIGHT, NIGHT + timedelta(hours=1), True),
        (NIGHT, LATER, True),
        # The window of the day's last request closes on the fifth.
        (datetime(2026, 3, 5, tzinfo=UTC), LATER, False),
        (datetime(2026, 3, 4, 23, tzinfo=UTC), LATER, True),
        (LATER, NIGHT, False),
    ],
)
def test_events_that_may_have_come_make_a_source_without_files_stale(
    counted: datetime, now: datetime, stale: bool
) -> None:
    newest: Newest = {EVENTS: {DAY: read("event_log", known=counted)}}
    assert bool(stale_partitions(newest, {DAY: Reading({}, now)}, WINDOW)) == stale


def test_a_reading_that_was_cut_is_stale_though_its_files_are_as_they_were() -> None:
    cut = logs_as("a", "b", cut=True)
    (found,) = stale_partitions(cut, {DAY: of_files("a", "b")}, WINDOW)
    assert found.table == EVENTS
    assert "2026-03-05 00:00" in found.reason
    assert "2026-03-02 05:00" in found.reason


def test_a_table_is_stale_when_what_it_was_made_of_was_published_anew() -> None:
    earlier = DAY - timedelta(days=1)
    newest: Newest = {
        SHOWN: {DAY: published("new", {"input:shop/event_log": "e"}), earlier: published("same")},
        EVENTS: {DAY: published("e")},
        JUDGED: {
            DAY: published("j", {"input:shop/impressions": "old", f"input:shop/impressions/{earlier}": "same"}),
            DAY + WINDOW: published("j", {f"input:shop/impressions/{DAY}": "old", "input:distilled": "a checkpoint"}),
        },
    }
    found = stale_partitions(newest, {}, WINDOW)
    assert [(each.table, each.day) for each in found] == [(JUDGED, DAY), (JUDGED, DAY + WINDOW)]
    assert found[0].reason == "made of shop/impressions as it was before (old, now new)"
    assert f"shop/impressions of {DAY} as it was" in found[1].reason


def test_a_days_key_follows_its_inputs_and_its_publications_and_nothing_else() -> None:
    def keys(version: int, files: str, other: str = "b") -> dict[date, str]:
        newest: Newest = {CANDIDATES: {DAY: published("v", {"files:candidate_log": "a"}, version)}}
        return stale_days(stale_partitions(newest, {DAY: of_files(files, other)}, WINDOW))

    assert keys(1, "a") == {}
    assert keys(1, "b") == keys(1, "b", other="c")
    assert len({keys(1, "b")[DAY], keys(1, "c")[DAY], keys(2, "b")[DAY]}) == 3


@pytest.fixture
def read_day(tmp_path: Path) -> tuple[Workspace, Cascade]:
    """A folder of one day's logs, read into a lake."""
    cascade = declare(tmp_path)
    logs = make_logs(cascade, DAY, requests=20)
    write(tmp_path, DAY, logs)
    workspace = Workspace.open(Settings(lake=str(tmp_path / "lake"), threads=1))
    publish_logs(workspace, cascade, logs, NIGHT)
    return workspace, cascade


def test_a_late_file_is_seen_and_a_rerun_settles_it(tmp_path: Path, read_day: tuple[Workspace, Cascade]) -> None:
    workspace, cascade = read_day
    assert look_for_stale(workspace, cascade) == ([DAY], [])
    logs = make_logs(cascade, DAY, requests=20)
    late = tmp_path / "event_log" / f"day={DAY}" / "late.parquet"
    logs.event_log[:1].write_parquet(late)
    (found,) = look_for_stale(workspace, cascade)[1]
    assert found.table == EVENTS
    publish_logs(workspace, cascade, logs, NIGHT)
    assert look_for_stale(workspace, cascade) == ([DAY], [])
    late.unlink()
    assert len(look_for_stale(workspace, cascade)[1]) == 1


@pytest.mark.parametrize("log", ["candidate_log", "event_log"])
def test_a_file_that_was_written_again_with_its_size_is_seen(
    tmp_path: Path, read_day: tuple[Workspace, Cascade], log: str
) -> None:
    workspace, cascade = read_day
    path = tmp_path / log / f"day={DAY}" / "part-0.parquet"
    os.utime(path, (path.stat().st_mtime + 1,) * 2)
    (found,) = look_for_stale(workspace, cascade)[1]
    assert found.table == ("shop", log)
    (path.parent / "_SUCCESS").touch()
    os.utime(path, (path.stat().st_mtime - 1,) * 2)
    assert look_for_stale(workspace, cascade)[1] == [], "a writer's own file is no log"


def test_logs_that_were_cleared_away_make_nothing_stale(tmp_path: Path, read_day: tuple[Workspace, Cascade]) -> None:
    workspace, cascade = read_day
    for log in ("candidate_log", "event_log"):
        (tmp_path / log / f"day={DAY}" / "part-0.parquet").unlink()
    assert look_for_stale(workspace, cascade) == ([DAY], [])
