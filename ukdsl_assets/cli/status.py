"""`ukdsl status`: what serves, and which published days were made of what has changed since."""

from datetime import date, timedelta
from typing import Annotated

import typer

from ukdsl_assets.cli.common import CascadeName, complaints, console, find_cascade, read_settings


def status(
    cascade: CascadeName,
    days: Annotated[int, typer.Option(help="How many of the newest published days to look at.", min=1)] = 30,
) -> None:
    """Tell what is released of each student, and which published days are stale.

    A day is stale whose log files, events or tables have changed since they were read.
    """
    from ukdsl_assets.pipeline.stale import look_for_stale
    from ukdsl_assets.pipeline.workspace import Workspace
    from ukdsl_assets.reports.printed import stale_table, standing

    settings = read_settings()
    _, declared = find_cascade(settings, cascade)
    with complaints.status("looking at logs and tables ..."):
        workspace = Workspace.open(settings)
        watched, found = look_for_stale(workspace, declared, days)
    if not watched:
        console.print(f"{cascade}: no day is published below {settings.lake}. Make one: ukdsl run {cascade} --days DAY")
        return
    for student in declared.students:
        key, store = (cascade, student.name), workspace.checkpoints
        console.print(standing(student.name, store.released(key), store.release_history(key, last=1)), highlight=False)
    late = sorted({each.day for each in found})
    span = f"{len(watched)} published day(s), {watched[0]} to {watched[-1]}"
    if not late:
        console.print(f"{cascade}: {span}; none is stale", highlight=False)
        return
    console.print(stale_table(f"{cascade}: {span}; {len(late)} stale", [(e.day, e.table, e.reason) for e in found]))
    console.print("Make them again, in order:")
    for first, last in _spans(late):
        console.print(f"ukdsl run {cascade} --days {first if first == last else f'{first}..{last}'}", highlight=False)


def _spans(days: list[date]) -> list[tuple[date, date]]:
    """First and last day of each run of days without a gap; the days are in order."""
    spans: list[tuple[date, date]] = []
    for day in days:
        begun = spans.pop() if spans and day - spans[-1][1] == timedelta(days=1) else (day, day)
        spans.append((begun[0], day))
    return spans
