"""Which published days were made of what has changed since: log files, events that came later, tables before them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CLOSED_IMPRESSIONS
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.lake.tables.reading import Publication, Table
from ukdsl_assets.logs.clock import known_until
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.logs import CUT_AT, FILES, LOGS, files_now
from ukdsl_assets.pipeline.workspace import Workspace

# The newest published days that are looked at, unless more are asked for.
WATCHED_DAYS = 30
OF_A_TEACHER = ("teacher_labels", "teacher_audit", "teacher_evaluation")
OF_A_STUDENT = (
    *("simplified_student", "impression_importance", "consideration_importance", "feature_union"),
    *("selection_comparison", "evaluation", "calibration_by_group", "champion_comparison", "off_policy"),
)
# shop/impressions, or shop/click/teacher_augmented/2026-03-01 where it is not of the table's own day.
_INPUT = re.compile(r"input:(?P<table>.+?)(/(?P<day>\d{4}-\d{2}-\d{2}))?")

Newest = Mapping[Table, Mapping[date, Publication]]


@dataclass(frozen=True)
class Reading:
    """What a rerun of a day's logs would read now.

    Attributes:
        files: log -> fingerprint of its files, empty where there are none; no log for a source without files.
        known_until: the moment (UTC) until which events would be known.
    """

    files: Mapping[str, str]
    known_until: datetime


@dataclass(frozen=True)
class Stale:
    """A partition that a rerun of its day would make of other inputs.

    Attributes:
        state: changes with what is published and with what it would be made of now, and with nothing else.
    """

    table: Table
    day: date
    reason: str
    state: str


def stale_partitions(newest: Newest, readings: Mapping[date, Reading], window: timedelta) -> list[Stale]:
    """The stale partitions by day and table; whoever was made of a stale one is told once that one is made again.

    Args:
        newest: table -> day -> its newest publication, with the metadata that `committed` and `reading_of` keep.
        readings: day -> what its logs hold now; days that are not given have their tables alone compared.
        window: the longest attribution window; events of a day count until it has closed after the day.

    A day whose log files are all gone is not stale: nobody could make it again. Neither is a table whose publication
    has no record, or which names an input that is not among the tables.
    """
    versions = {(table, day): made.data_version for table, days in newest.items() for day, made in days.items()}
    found = []
    for table, days in newest.items():
        for day, made in days.items():
            reasons = _changed_inputs(made, day, versions)
            if table[-1] in LOGS and day in readings:
                reasons += _later_reading(table[-1], made, readings[day], _end_of(day) + window)
            for reason, seen in reasons:
                state = sha256(f"{table} {day} {made.version} {seen}".encode()).hexdigest()[:16]
                found.append(Stale(table, day, reason, state))
    return sorted(found, key=lambda each: (each.day, each.table))


def stale_days(found: Iterable[Stale]) -> dict[date, str]:
    """The stale days in order, each with a key that changes when its stale partitions or what they are made of do."""
    states: dict[date, list[str]] = {}
    for each in found:
        states.setdefault(each.day, []).append(each.state)
    return {day: sha256(" ".join(sorted(of_day)).encode()).hexdigest()[:16] for day, of_day in sorted(states.items())}


def look_for_stale(workspace: Workspace, cascade: Cascade, days: int = WATCHED_DAYS) -> tuple[list[date], list[Stale]]:
    """The newest published days of a cascade, and what is stale of them: `stale_partitions` of the lake and the logs.

    Reads commits and lists files; no row of a table or log is read.

    Raises:
        SourceError: the logs' store cannot be reached.
        LakeError: a table's log cannot be read, or has lost a day that was published.
    """
    lake, logs = workspace.lake, (cascade.name, "candidate_log")
    lake.refuse_lost(logs)
    watched = lake.partitions(logs)[-days:]
    return watched, stale_among(workspace, cascade, watched)


def stale_among(workspace: Workspace, cascade: Cascade, watched: Sequence[date]) -> list[Stale]:
    """What is stale of some published days, in order; reads and raises as `look_for_stale`."""
    newest = {table: _newest(workspace.lake, table, watched) for table in dated_tables(cascade, workspace)}
    window = max(task.attribution_window for task in cascade.tasks)
    readings = {day: reading_now(Day(workspace, cascade, day)) for day in watched}
    return stale_partitions(newest, readings, window)


def dated_tables(cascade: Cascade, workspace: Workspace) -> list[Table]:
    """Keys of all tables by day that the cascade's assets publish, and of some that they do not."""
    models = workspace.models.values()
    own = [*LOGS, CLOSED_IMPRESSIONS, "off_policy", *(model.table for model in models if model.scope == "cascade")]
    of_students = [*OF_A_STUDENT, *(model.table for model in models if model.scope == "student")]
    return [
        *((cascade.name, name) for name in own),
        *((cascade.name, teacher.name, name) for teacher in cascade.teachers for name in OF_A_TEACHER),
        *((cascade.name, student.name, name) for student in cascade.students for name in of_students),
    ]


def reading_now(day: Day) -> Reading:
    """What a rerun of the day's logs would read; raises SourceError when the logs' store cannot be reached."""
    files = files_now(day.source(lambda line: None), day.date)
    return Reading(files, known_until(day.cascade, day.settings, day.date))


def _newest(lake: Lake, table: Table, watched: Sequence[date]) -> dict[date, Publication]:
    published = set(lake.partitions(table)).intersection(watched)
    lake.refuse_lost(table, set(watched) - published)
    return lake.newest_publications(table, sorted(published))


def _changed_inputs(made: Publication, day: date, versions: Mapping[tuple[Table, date], str]) -> list[tuple[str, str]]:
    """Reasons, and what each has seen, of tables that have been published anew since they were read."""
    found = []
    for name, version in made.metadata.items():
        named = _INPUT.fullmatch(name)
        if named is None:
            continue
        key = tuple(named["table"].split("/")), date.fromisoformat(named["day"]) if named["day"] else day
        now = versions.get(key, version)
        if now != version:
            of_day = f" of {key[1]}" if key[1] != day else ""
            found.append((f"made of {named['table']}{of_day} as it was before ({version}, now {now})", f"{key} {now}"))
    return found


def _later_reading(log: str, made: Publication, now: Reading, closes: datetime) -> list[tuple[str, str]]:
    """Reasons, and what each has seen, for which the log would be read otherwise today."""
    before, cut = made.metadata.get(f"{FILES}{log}"), made.metadata.get(CUT_AT)
    if not all(now.files.values()):
        return []
    if now.files and before is not None:
        if now.files[log] != before:
            return [("its files have changed since they were read", now.files[log])]
        if cut is None:
            return []  # A file that is as it was holds no later event.
    known = made.metadata.get("known_until")
    if log != "event_log" or known is None:
        return []
    counted, until = datetime.fromisoformat(known), min(now.known_until, closes)
    if counted >= until:
        return []
    reason = f"events count until {closes:%Y-%m-%d %H:%M} UTC and were read at {counted:%Y-%m-%d %H:%M}"
    # Until the window has closed it would be stale again at every look.
    return [(reason, str(until.date()))]


def _end_of(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC) + timedelta(days=1)
