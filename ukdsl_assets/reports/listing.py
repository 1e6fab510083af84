"""What is declared, and what of it is in the lake, for the terminal and as JSON."""

from collections.abc import Mapping
from typing import Any

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.pipeline.stale import dated_tables
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.reports.standing import wrapped


def read_listing(workspace: Workspace, cascade: Cascade, own: bool) -> dict[str, Any]:
    """What a cascade declares and which of its tables are published, as JSON values; reads the tables' logs alone.

    Args:
        own: whether it is of the user's folder, not shipped.

    Raises:
        LakeError: a table's log cannot be read.
    """
    lake = workspace.lake
    tables = []
    for table in dated_tables(cascade, workspace):
        if days := lake.partitions(table):
            named = {
                "table": "/".join(table),
                "days": len(days),
                "first_day": str(days[0]),
                "newest_day": str(days[-1]),
            }
            tables.append(named | {"rows_of_newest_day": lake.row_counts(table, days[-1:])[days[-1]]})
    return {
        "cascade": cascade.name,
        "own": own,
        "file": cascade.origin,
        "description": " ".join(cascade.description.split()),
        "note": cascade.note,
        "first_day": str(cascade.first_day),
        "last_day": str(cascade.last_day) if cascade.last_day else None,
        "stages": [stage.name for stage in cascade.stages],
        "tasks": [task.name for task in cascade.tasks],
        "teachers": [{"teacher": each.name, "kind": each.kind, "stage": each.stage} for each in cascade.teachers],
        "students": [
            {"student": each.name, "stage": each.stage, "task": each.task, "teacher": each.teacher}
            | {"architecture": each.architecture.kind}
            for each in cascade.students
        ],
        "tables": tables,
    }


def listing_lines(listing: Mapping[str, Any], width: int, tables: bool) -> list[str]:
    """A cascade in lines of at most `width` characters; with `tables` a line for each that is published."""
    note = f" ({listing['note']})" if listing["note"] else ""
    last = listing["last_day"] or "now"
    lines = wrapped(f"{listing['cascade']}{note}: {listing['description']}", width)
    lines += wrapped(f"days {listing['first_day']} to {last}; stages {' -> '.join(listing['stages'])}", width, "  ")
    lines += wrapped(f"tasks {', '.join(listing['tasks'])}", width, "  ")
    for teacher in listing["teachers"]:
        lines += wrapped(f"teacher {teacher['teacher']}: {teacher['kind']}, {teacher['stage']}", width, "  ")
    for student in listing["students"]:
        what = f"{student['stage']}, {student['task']}, of {student['teacher']}, {student['architecture']}"
        lines += wrapped(f"student {student['student']}: {what}", width, "  ")
    published = listing["tables"]
    if not published:
        return [*lines, "  no table is published yet"]
    newest = max(table["newest_day"] for table in published)
    most = max(table["days"] for table in published)
    lines += wrapped(f"{len(published)} tables are published, of up to {most} day(s), the newest {newest}", width, "  ")
    if tables:
        prefix = f"{listing['cascade']}/"
        for table in published:
            told = f"{table['days']} day(s) to {table['newest_day']}, {table['rows_of_newest_day']:,} rows then"
            lines += wrapped(f"{table['table'].removeprefix(prefix)}: {told}", width, "    ")
    return lines
