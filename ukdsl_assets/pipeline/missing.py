"""Which days of a cascade are to be made: not there, not finished, or made of what has changed since."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.lake.tables.reading import Table
from ukdsl_assets.logs.source import WatchedSource
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.logs import LOGS, files_now
from ukdsl_assets.pipeline.page_policy import estimated_policies, off_policy_table
from ukdsl_assets.pipeline.stale import Stale, stale_among
from ukdsl_assets.pipeline.workspace import Workspace

# A student's tables that stand at the end of a day.
LAST = ("evaluation", "champion_comparison")


@dataclass(frozen=True)
class Unmade:
    """A day to make, and why: `missing` of what is not there, else stale."""

    day: date
    reason: str
    missing: bool


@dataclass(frozen=True)
class Found:
    """What was found of some days.

    Attributes:
        first, last: of the days that were looked at; None where there are none.
        finished: published days that have every table, in order, stale ones too.
        to_make: in order.
        stale: why the stale ones are, partition by partition.
        without_logs: days that cannot be made, since their logs have no files.
    """

    first: date | None
    last: date | None
    finished: list[date]
    to_make: list[Unmade]
    stale: list[Stale]
    without_logs: list[date]


def look_for_missing(
    workspace: Workspace, cascade: Cascade, days: Sequence[date] | None = None, stale_of: int | None = None
) -> Found:
    """The days of a cascade that are to be made.

    A day is missing while one of its logs, its tables or its students' `evaluation` and `champion_comparison` is not
    published. Reads commits and lists files; no row of a table or log is read.

    Args:
        days: in order; None for all from the declared first day to the newest: the declared last one, yesterday (UTC)
            for logs that are files, the newest published for others, whose days nobody can count.
        stale_of: how many of the newest finished days to look at for what is stale; None for all.

    Raises:
        SourceError: the logs' store cannot be reached.
        LakeError: a table's log cannot be read, or has lost a day that was published.
    """
    lake = workspace.lake
    published = {table: set(lake.partitions(table)) for table in tables_of_a_day(cascade, workspace)}
    if days is None:
        days = all_days(workspace, cascade)
    lacking = {day: [table for table, there in published.items() if day not in there] for day in days}
    finished = [day for day, tables in lacking.items() if not tables]
    stale = stale_among(workspace, cascade, finished if stale_of is None else finished[-stale_of:])
    to_make, without_logs = [], []
    for day, tables in lacking.items():
        if tables and (cascade.name, "candidate_log") in tables and not _has_logs(workspace, cascade, day):
            without_logs.append(day)
        elif tables:
            to_make.append(Unmade(day, _lacks(tables, len(published)), missing=True))
    why: dict[date, list[Stale]] = {}
    for each in stale:
        why.setdefault(each.day, []).append(each)
    to_make += [Unmade(day, _changed(found), missing=False) for day, found in why.items()]
    to_make.sort(key=lambda each: each.day)
    first, last = (days[0], days[-1]) if days else (None, None)
    return Found(first, last, finished, to_make, stale, without_logs)


def tables_of_a_day(cascade: Cascade, workspace: Workspace) -> list[Table]:
    """Keys of the tables that every finished day has."""
    models = [model.table for model in workspace.models.values() if model.scope == "cascade"]
    return [
        *((cascade.name, name) for name in (*LOGS, *models)),
        *((cascade.name, student.name, name) for student in cascade.students for name in LAST),
        *(off_policy_table(cascade, of) for of in estimated_policies(cascade)),
    ]


def all_days(workspace: Workspace, cascade: Cascade) -> list[date]:
    """The days that a cascade can have, in order: from the declared first to the newest, see `look_for_missing`."""
    last = cascade.last_day
    if last is None:
        source = Day(workspace, cascade, cascade.first_day).source(lambda line: None)
        if isinstance(source, WatchedSource):
            last = datetime.now(UTC).date() - timedelta(days=1)
        else:
            last = max(workspace.lake.partitions((cascade.name, "candidate_log")), default=cascade.first_day)
    return [cascade.first_day + timedelta(days=count) for count in range((last - cascade.first_day).days + 1)]


def _has_logs(workspace: Workspace, cascade: Cascade, day: date) -> bool:
    """Whether a source of files has the day's; any other may."""
    return all(files_now(Day(workspace, cascade, day).source(lambda line: None), day).values())


def _lacks(tables: Sequence[Table], of: int) -> str:
    if len(tables) == of:
        return "not made yet"
    names = ["/".join(table[1:]) for table in tables]
    return f"unfinished, without {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _changed(found: Sequence[Stale]) -> str:
    """The first reason of a day: in the order of the graph logs come first, since all else is made of them."""
    order: Mapping[str, int] = {name: place for place, name in enumerate(LOGS)}
    first = min(found, key=lambda each: order.get(each.table[-1], len(order)))
    return f"{'/'.join(first.table[1:])}: {first.reason}"
