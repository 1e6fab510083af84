"""A day of logs: read, judged and staged."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from itertools import chain
from typing import Any

import polars as pl

from ukdsl_assets.errors import LogsError
from ukdsl_assets.gates import blocking
from ukdsl_assets.lake.tables.staging import StagedPartition, write_parts, write_rows
from ukdsl_assets.logs.by_shard import shard_in_order, whole_day
from ukdsl_assets.logs.contract import DayOfLogs, LogName
from ukdsl_assets.logs.gates.day import DayGates, Judged, ShardCounts, unread
from ukdsl_assets.logs.source import DividedSource, LogSource, OrderedSource, WatchedSource
from ukdsl_assets.logs.waiting import Waiting, put, together
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.shards import discarded_on_error, scratch, tables_by_shard

LOGS: tuple[LogName, ...] = ("candidate_log", "event_log")
# What a commit says of the reading: fingerprint of a log's files, and the clock that was asked for, if any.
FILES, CUT_AT = "files:", "cut_at"


def judge_and_stage(
    day: Day, source: LogSource, trailing_rows: Sequence[int], clock: datetime
) -> tuple[Judged, list[StagedPartition]]:
    """Read a day, judge both logs and write them, a shard at a time; nothing is visible until it is committed.

    Args:
        trailing_rows: rows of candidate_log on each published day of the week before; may be empty.
        clock: until when events count, if the settings ask for a clock.

    Returns:
        The verdicts, and both logs staged; none if a gate blocks.
    """
    gates, shards = DayGates(day.cascade, day.date), day.lake.shards
    tables = [day.table(log) for log in LOGS]
    try:
        with scratch(day) as folder:
            # A clock that was asked for knows nothing of what came after it, whatever the source holds.
            until = None if day.settings.as_of is None else clock
            if isinstance(source, OrderedSource) and shards == 1 and not day.workspace.engine.apart:
                work = partial(_judged_in_parts, gates, source.read_in_order(day.date), until)
            else:
                work = partial(_judged, gates, _read(day, source, folder), until)
            staged, counted = tables_by_shard(day, tables, work, range(shards))
        with discarded_on_error(day, *staged):
            for counts in chain.from_iterable(counted):
                gates.add(counts)
            judged = gates.judged(trailing_rows, source)
    except LogsError as error:
        return unread(error), []
    # Both tables are judged before either is published.
    if blocking(judged.results):
        for part in staged:
            day.lake.discard(part)
        return judged, []
    return judged, staged


def _read(day: Day, source: LogSource, folder: str) -> Callable[[int], DayOfLogs]:
    """What gives each shard of the day, once all of it is read; the folder is where rows wait.

    Raises:
        SourceError, ContractError: of the first part that has one, in the words of `LogSource.read_in_parts`.
    """
    engine, shards = day.workspace.engine, day.lake.shards
    if shards == 1 and not engine.apart:
        return partial(_same, whole_day(source.read_in_parts(day.date)))
    if engine.apart and isinstance(source, DividedSource) and not (engine.remote and source.local):
        waiting = _read_by_part(day, source, folder)
    else:
        waiting = put(source.read_in_parts(day.date), shards, folder)
    return partial(shard_in_order, waiting)


def _read_by_part(day: Day, source: DividedSource, folder: str) -> Waiting:
    parts: list[Any] = []
    wrong: LogsError | None = None
    for log in LOGS:
        try:
            parts += source.parts(log, day.date)
        except LogsError as error:
            # Told once the parts before it are read, of which one may have an error of its own.
            wrong = error
            break
    waiting: list[Waiting] = []
    work = partial(_put, source, day.lake.shards, folder)
    for done in day.workspace.engine.map(work, parts, f"reading the logs of {day.cascade.name}, day {day.date}"):
        if isinstance(done, LogsError):
            wrong = done
            break
        waiting.append(done)
    if wrong is not None:
        raise wrong
    return together(waiting)


def _put(source: DividedSource, shards: int, folder: str, part: Any) -> Waiting | LogsError:
    """Errors of the logs come back as answers: where they are read is no matter of theirs."""
    try:
        return put(source.read_part(part), shards, folder)
    except LogsError as error:
        return error


def _same(logs: DayOfLogs, shard: int) -> DayOfLogs:
    return logs


def _judged(
    gates: DayGates, read: Callable[[int], DayOfLogs], clock: datetime | None, shard: int, paths: Sequence[str]
) -> list[ShardCounts]:
    """Judge a shard and write both of its files."""
    (candidates, events), counts = gates.counted(read(shard))
    for path, rows in zip(paths, (candidates, _until(clock, events)), strict=True):
        write_rows(path, rows)
    return [counts]


def _judged_in_parts(
    gates: DayGates, parts: Iterator[DayOfLogs], clock: datetime | None, shard: int, paths: Sequence[str]
) -> list[ShardCounts]:
    """Judge a day that comes in order, part by part, and write each as soon as it is judged."""
    counted: list[ShardCounts] = []
    events: list[pl.DataFrame] = []

    def candidates() -> Iterator[pl.DataFrame]:
        for part in parts:
            logs, counts = gates.counted(part)
            counted.append(counts)
            events.append(_until(clock, logs.event_log))
            yield logs.candidate_log

    write_parts(paths[0], candidates())
    write_rows(paths[1], pl.concat(events))
    return counted


def _until(clock: datetime | None, events: pl.DataFrame) -> pl.DataFrame:
    return events if clock is None else events.filter(pl.col("occurred_at") < clock)


def files_now(source: LogSource, day: date) -> dict[str, str]:
    """Fingerprint of a day's files by log, for a source that has files; taken before they are read."""
    return {log: source.fingerprint(log, day) for log in LOGS} if isinstance(source, WatchedSource) else {}


def reading_of(
    staged: Sequence[StagedPartition], clock: datetime, files: Mapping[str, str] | None = None, cut: bool = False
) -> dict[str, str]:
    """Tells whoever reads both logs whether they are of one reading, until when it knows what happened, and of what.

    Args:
        files: of `files_now`.
        cut: whether events from the clock on were left out, though the source may have held some.
    """
    record = {"reading": "-".join(part.data_version for part in staged), "known_until": clock.isoformat()}
    record |= {f"{FILES}{log}": fingerprint for log, fingerprint in (files or {}).items()}
    return record | ({CUT_AT: clock.isoformat()} if cut else {})
