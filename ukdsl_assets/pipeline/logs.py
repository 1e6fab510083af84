"""A day of logs: read, judged and staged."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

import polars as pl

from ukdsl_assets.gates import blocking
from ukdsl_assets.lake.tables.staging import StagedPartition, removed_on_error
from ukdsl_assets.logs.contract import DayOfLogs, LogName
from ukdsl_assets.logs.gates.day import Judged, read_and_judge
from ukdsl_assets.logs.source import LogSource, WatchedSource
from ukdsl_assets.pipeline.day import Day

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
    lake = day.lake
    paths: dict[str, list[str]] = {"candidate_log": [], "event_log": []}

    def write(shard: DayOfLogs) -> None:
        candidates, events = shard
        if day.settings.as_of is not None:
            # A clock that was asked for knows nothing of what came after it, whatever the source holds.
            events = events.filter(pl.col("occurred_at") < clock)
        for (name, written), frame in zip(paths.items(), (candidates, events), strict=True):
            written.append(lake.write_shard(day.table(name), day.date, len(written), lake.shards, frame))

    folder = lake.writing_folder(day.table("candidate_log"), day.date)
    with removed_on_error(paths["candidate_log"]), removed_on_error(paths["event_log"]):
        judged = read_and_judge(source, day.cascade, day.date, trailing_rows, write, lake.shards, folder)
    # Both tables are judged before either is published.
    if blocking(judged.results):
        for path in (path for written in paths.values() for path in written):
            Path(path).unlink()
        return judged, []
    return judged, [lake.stage_files(day.table(name), day.date, written) for name, written in paths.items()]


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
