"""A day of files that is read by workers is the day that one process reads: rows, verdicts and errors."""

import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from tests.fixtures.engines import PicklingEngine, with_pickling_engine
from tests.fixtures.logs import make_logs
from tests.fixtures.shop import DAY, FAULTS, declare
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.errors import EngineError, SourceError
from ukdsl_assets.gates import blocking
from ukdsl_assets.lake.storage import Storage
from ukdsl_assets.lake.tables.staging import StagedPartition
from ukdsl_assets.logs.contract import DayOfLogs
from ukdsl_assets.logs.gates.day import Judged
from ukdsl_assets.logs.sources import parquet
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.logs import judge_and_stage
from ukdsl_assets.pipeline.shards import scratch
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

NIGHT = datetime.fromisoformat("2026-03-02T05:00:00+00:00")
READING = f"reading the logs of shop, day {DAY}"
ROWS = 50  # of a slice


@pytest.fixture
def cascade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cascade:
    """Logs whose requests lie in several files each, and a file in several row groups."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(parquet, "ROWS_AT_ONCE", ROWS)
    declared = declare(tmp_path)
    write_spread(tmp_path, make_logs(declared, DAY, requests=30))
    return declared


def write_spread(folder: Path, logs: DayOfLogs) -> None:
    """Shuffled rows in three files a log: row groups as long as a slice, twice as long, and of another length."""
    for name, frame in logs._asdict().items():
        target = folder / name / f"day={DAY}"
        target.mkdir(parents=True, exist_ok=True)
        rows = frame.sample(fraction=1, shuffle=True, seed=1)
        cut = rows.height // 6
        for part, (of_file, group) in enumerate(
            ((rows[:cut], ROWS), (rows[cut : 5 * cut], 2 * ROWS), (rows[5 * cut :], ROWS - 1))
        ):
            of_file.write_parquet(target / f"part-{part}.parquet", row_group_size=group)


def made(
    folder: Path, cascade: Cascade, shards: int, apart: bool, as_of: datetime | None = None
) -> tuple[Judged, list[StagedPartition], PicklingEngine | None]:
    lake = folder / f"lake-{shards}-{apart}"
    workspace, engine = Workspace.open(Settings(lake=str(lake), shards=shards, threads=1, as_of=as_of)), None
    if apart:
        workspace, engine = with_pickling_engine(workspace)
    day = Day(workspace, cascade, DAY)
    judged, staged = judge_and_stage(day, day.source(print), [360], as_of or NIGHT)
    left = [path.parent.name for path in lake.rglob("*") if path.is_file()]
    assert set(left) == ({f"day={DAY}"} if staged else set())
    assert list((folder / "temporary").iterdir()) == []
    return judged, staged, engine


def told(judged: Judged) -> tuple[object, ...]:
    """Verdicts without the figures behind them, whose sums may end in another bit."""
    return (*((each.name, each.passed, each.judged, each.message) for each in judged.results), judged.rows)


@pytest.mark.parametrize("shards", [1, 8])
def test_what_workers_read_is_what_one_process_reads(tmp_path: Path, cascade: Cascade, shards: int) -> None:
    judged, staged, _ = made(tmp_path, cascade, shards, apart=False)
    by_workers, parts, engine = made(tmp_path, cascade, shards, apart=True)
    assert not blocking(judged.results)
    assert told(by_workers) == told(judged)
    assert [part.data_version for part in parts] == [part.data_version for part in staged]
    lake = Workspace.open(Settings(lake=str(tmp_path / "whole"), shards=shards)).lake
    for part, frame in zip(parts, make_logs(cascade, DAY, requests=30), strict=True):
        assert part.data_version == lake.stage_frame(part.table, DAY, frame).data_version
    # Of 60, 240 and 60 candidates: in two parts, in three, and in one whose row groups end where no slice does.
    assert engine
    source = parquet.ParquetReader(cascade)
    candidates, events = (len(source.parts(log, DAY)) for log in ("candidate_log", "event_log"))
    assert (candidates, events > 2) == (2 + 3 + 1, True)
    assert engine.mapped == {READING: candidates + events, f"shop/candidate_log and shop/event_log, day {DAY}": shards}


def test_a_clock_that_was_asked_for_hides_the_same_events(tmp_path: Path, cascade: Cascade) -> None:
    times = make_logs(cascade, DAY, requests=30).event_log["occurred_at"].sort()
    clock = times[40]
    (_, one, _), (_, other, _) = (made(tmp_path, cascade, 3, apart, clock) for apart in (False, True))
    assert 0 < other[1].rows == (times < clock).sum() < len(times)
    assert [part.data_version for part in other] == [part.data_version for part in one]


@pytest.mark.parametrize("fault", ["duplicated key", "event without candidate"])
def test_a_refused_day_is_told_alike_and_leaves_no_file(tmp_path: Path, cascade: Cascade, fault: str) -> None:
    spoil, _ = FAULTS[fault]
    write_spread(tmp_path, spoil(make_logs(cascade, DAY, requests=30)))
    (judged, _, _), (by_workers, staged, _) = (made(tmp_path, cascade, 4, apart) for apart in (False, True))
    assert blocking(judged.results)
    assert told(by_workers) == told(judged)
    assert by_workers.unread == judged.unread
    assert staged == []


def without(column: str) -> Callable[[Path], None]:
    return lambda file: pl.read_parquet(file, hive_partitioning=False).drop(column).write_parquet(file)


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-50])


def of_another_type(file: Path) -> None:
    """In the last of its slices alone."""
    frame = pl.read_parquet(file, hive_partitioning=False)
    last = pl.int_range(pl.len()) == pl.len() - 1
    ids = pl.when(last).then(1.5).otherwise(1.0)
    frame.with_columns(item=ids).write_parquet(file, row_group_size=ROWS)


def gone(file: Path) -> None:
    for other in file.parent.iterdir():
        other.unlink()


WRONG: dict[str, dict[str, Callable[[Path], None]]] = {
    "cut off": {"candidate_log/part-1": cut_off},
    "two files": {"candidate_log/part-2": cut_off, "candidate_log/part-1": of_another_type},
    "both logs": {"event_log/part-0": without("event"), "candidate_log/part-2": without("price")},
    "no events, and a candidate file": {"event_log/part-0": gone, "candidate_log/part-1": of_another_type},
    "no events": {"event_log/part-0": gone},
    "no candidates": {"candidate_log/part-0": gone, "event_log/part-0": cut_off},
    "events": {"event_log/part-1": cut_off},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_logs_that_cannot_be_read_are_told_in_the_same_words(tmp_path: Path, cascade: Cascade, wrong: str) -> None:
    for place, spoil in WRONG[wrong].items():
        log, name = place.split("/")
        spoil(tmp_path / log / f"day={DAY}" / f"{name}.parquet")
    (judged, _, _), (by_workers, staged, _) = (made(tmp_path, cascade, 4, apart) for apart in (False, True))
    assert judged.unread
    assert by_workers == judged
    assert staged == []


def test_a_source_that_cannot_be_divided_is_read_here_and_judged_by_workers(
    tmp_path: Path, cascade: Cascade, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, staged, _ = made(tmp_path, cascade, 4, apart=False)
    monkeypatch.delattr(parquet.ParquetReader, "read_part")
    _, parts, engine = made(tmp_path, cascade, 4, apart=True)
    assert [part.data_version for part in parts] == [part.data_version for part in staged]
    assert engine
    assert list(engine.mapped.values()) == [4]


def test_a_file_that_is_written_again_between_is_named(tmp_path: Path, cascade: Cascade) -> None:
    source = parquet.ParquetReader(cascade)
    part = source.parts("candidate_log", DAY)[1]
    assert list(source.read_part(part))
    # As many rows, in another number of row groups.
    pl.read_parquet(part.name, hive_partitioning=False).write_parquet(part.name, row_group_size=1)
    with pytest.raises(SourceError, match=r"part-0\.parquet: written again while it was read"):
        list(source.read_part(part))


def test_what_a_killed_run_left_waiting_is_cleared_up_by_vacuum(tmp_path: Path, cascade: Cascade) -> None:
    day = Day(Workspace.open(Settings(lake=str(tmp_path / "lake"), threads=1)), cascade, DAY)
    with scratch(day) as folder:
        left = Path(folder) / "candidate_log-1"
        left.write_bytes(b"rows")
        lake = Storage(day.settings.lake)
        assert lake.sweep_unfinished() == 0
        two_days_ago = time.time() - 48 * 3600
        os.utime(left, (two_days_ago, two_days_ago))
        assert lake.sweep_unfinished() == 1
    assert not Path(folder).exists()


def test_workers_that_cannot_write_leave_no_file(
    tmp_path: Path, cascade: Cascade, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, written = pl.DataFrame.write_parquet, []

    def write_until_the_disk_is_full(frame: pl.DataFrame, path: str, **options: object) -> None:
        whole(frame, path, **options)  # type: ignore[arg-type]
        written.append(path)
        if len(written) == 6:
            raise EngineError("no space left")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", write_until_the_disk_is_full)
    workspace, _ = with_pickling_engine(Workspace.open(Settings(lake=str(tmp_path / "lake"), shards=4, threads=1)))
    day = Day(workspace, cascade, DAY)
    with pytest.raises(EngineError, match="no space left"):
        judge_and_stage(day, day.source(print), [360], NIGHT)
    assert len(written) == 6
    assert [path for path in (tmp_path / "lake").rglob("*") if path.is_file()] == []
