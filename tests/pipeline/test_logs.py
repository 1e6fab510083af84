"""A day's logs are judged and written by shard: the bytes are those of the whole day, and nothing is left over."""

import tempfile
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.fixtures.logs import make_logs
from tests.fixtures.shop import DAY, FAULTS, TASKS, declare, write
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.gates import blocking
from ukdsl_assets.lake.tables.lake import StagedPartition
from ukdsl_assets.logs.gates.day import Judged
from ukdsl_assets.pipeline.closed_impressions import closed_logs
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.logs import judge_and_stage
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
NIGHT = datetime.fromisoformat("2026-03-02T05:00:00+00:00")


@pytest.fixture
def cascade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cascade:
    """A good day in one file a log, and a temporary folder of the test's own."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    declared = declare(tmp_path)
    write(tmp_path, DAY, make_logs(declared, DAY, requests=60))
    return declared


def workspace_of(tmp_path: Path, shards: int, as_of: datetime | None = None) -> Workspace:
    return Workspace.open(Settings(lake=str(tmp_path / f"lake-{shards}"), shards=shards, threads=1, as_of=as_of))


def staged(cascade: Cascade, workspace: Workspace, day: date = DAY) -> tuple[Judged, list[StagedPartition]]:
    of = Day(workspace, cascade, day)
    return judge_and_stage(of, of.source(print), [720], NIGHT)


def files_below(*folders: Path) -> list[str]:
    return [str(path) for folder in folders for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("shards", [1, 4])
def test_what_is_published_is_what_the_whole_day_would_be(tmp_path: Path, cascade: Cascade, shards: int) -> None:
    workspace = workspace_of(tmp_path, shards)
    judged, found = staged(cascade, workspace)
    assert not blocking(judged.results)
    logs = make_logs(cascade, DAY, requests=60)
    for part, frame in zip(found, logs, strict=True):
        assert len(part.files) == shards
        assert part.data_version == workspace.lake.stage_frame(part.table, DAY, frame).data_version


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_refused_day_leaves_no_file_behind(tmp_path: Path, cascade: Cascade, fault: str, shards: int) -> None:
    spoil, named = FAULTS[fault]
    write(tmp_path, DAY, spoil(make_logs(cascade, DAY, requests=60)))
    workspace = workspace_of(tmp_path, shards)
    judged, found = staged(cascade, workspace)
    said = " ".join(f"{each.name}: {each.message}" for each in blocking(judged.results))
    assert all(word in said for word in named), said
    assert found == []
    assert files_below(tmp_path / f"lake-{shards}", tmp_path / "temporary") == []


@pytest.mark.parametrize("shards", [1, 4])
def test_a_day_that_cannot_be_written_leaves_no_file_behind(
    tmp_path: Path, cascade: Cascade, shards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, written = pl.DataFrame.write_parquet, []

    def write_until_the_disk_is_full(frame: pl.DataFrame, path: str, **options: Any) -> None:
        whole(frame, path, **options)
        written.append(path)
        if len(written) == 2 * shards:
            raise OSError("no space left")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", write_until_the_disk_is_full)
    with pytest.raises(OSError, match="no space left"):
        staged(cascade, workspace_of(tmp_path, shards))
    assert len(written) == 2 * shards
    assert files_below(tmp_path / f"lake-{shards}", tmp_path / "temporary") == []


@pytest.mark.parametrize("shards", [1, 3])
def test_a_clock_that_was_asked_for_hides_later_events(tmp_path: Path, cascade: Cascade, shards: int) -> None:
    events = make_logs(cascade, DAY, requests=60).event_log
    clock = events["occurred_at"].sort()[len(events) // 2]
    workspace = workspace_of(tmp_path, shards, clock)
    day = Day(workspace, cascade, DAY)
    _, found = judge_and_stage(day, day.source(print), [], clock)
    assert found[1].rows == events.filter(pl.col("occurred_at") < clock).height < len(events)


def test_a_closed_days_logs_are_the_same_rows_in_any_number_of_shards(tmp_path: Path, cascade: Cascade) -> None:
    cascade = declare(tmp_path, tasks=TASKS)
    logs = make_logs(cascade, DAY, requests=60)
    write(tmp_path, DAY, logs)
    clock = logs.event_log["occurred_at"].sort()[100]
    expected = {
        "candidate_log": logs.candidate_log.filter("shown"),
        "event_log": logs.event_log.filter(pl.col("occurred_at") < clock),
    }
    for shards in (1, 4):
        folder = tmp_path / f"closed-{shards}"
        folder.mkdir()
        files, verdict = closed_logs(Day(workspace_of(tmp_path, shards), cascade, DAY), clock, folder)
        assert verdict.passed
        assert verdict.message == f"{len(expected['event_log'])} events of {DAY} known at {clock}"
        for log, frame in expected.items():
            assert len(files[log]) == shards
            assert pl.read_parquet(files[log]).sort(frame.columns[:4]).equals(frame.sort(frame.columns[:4]))
        before, verdict = closed_logs(Day(workspace_of(tmp_path, shards), cascade, DAY - timedelta(1)), clock, folder)
        assert verdict.passed
        assert len(before["candidate_log"]) == shards
        assert pl.read_parquet(before["candidate_log"]).is_empty()


def test_rows_that_wait_in_a_tables_folder_when_a_run_is_killed_are_cleared_up_by_vacuum(
    tmp_path: Path, cascade: Cascade
) -> None:
    workspace = workspace_of(tmp_path, 2)
    for part in staged(cascade, workspace)[1]:
        workspace.lake.commit(part, {})
    table = (cascade.name, "candidate_log")
    folder = workspace.lake.writing_folder(table, DAY) / "left"
    folder.mkdir()
    (folder / "candidate_log-1").write_bytes(b"rows")
    assert workspace.lake.vacuum(table, 0) == [f"day={DAY}/left/candidate_log-1"]
    assert workspace.lake.scan(table, [DAY]).collect().height == 720
