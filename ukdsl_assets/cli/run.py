"""`ukdsl run`: materialize days, those that are asked for or those that are missing or stale."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ukdsl_assets.cli.common import (
    CascadeName,
    check_output,
    complaints,
    console,
    find_cascade,
    own_terminal,
    parse_days,
    read_settings,
    text_width,
)
from ukdsl_assets.cli.progress import RunProgress, sigterm_as_ctrl_c
from ukdsl_assets.errors import DeclarationError

if TYPE_CHECKING:
    from ukdsl_assets.declaration.cascade import Cascade
    from ukdsl_assets.settings import Settings

ScaleOption = Annotated[
    Literal["small", "default", "large"] | None, typer.Option(help="Size of simulated days (UKDSL_SCALE).")
]


def run(
    cascade: CascadeName,
    days: Annotated[
        str | None, typer.Option(help="One day, or the first and the last: 2026-01-01..2026-01-07.")
    ] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="Only days that are missing or stale; of all days, or of --days.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which days would be made, and make none.")] = False,
    scale: ScaleOption = None,
    as_of: Annotated[str | None, typer.Option(help="Simulated clock (UTC), to find late events (UKDSL_AS_OF).")] = None,
    details: Annotated[bool, typer.Option("--details", help="Print all tables of the last day, too.")] = False,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", help="Write decisions and evaluation of all days here; - prints them in place of all else."
        ),
    ] = None,
) -> None:
    """Materialize days in order, by the same graph that the UI shows, and print what became of each student.

    Ends with 0 where every student of the last day is released; 3 where one is refused or not judged; 1 where a gate of
    a table or a step failed; 2 for wrong arguments or a wrong declaration; 130 where Ctrl-C or SIGTERM stopped it.
    """
    sigterm_as_ctrl_c()
    settings = read_settings(scale=scale, as_of=as_of)
    cascades, declared = find_cascade(settings, cascade)
    wanted = _asked_for(settings, declared, days, missing)
    check_output("--json", json_file, or_print=True)
    if dry_run or not wanted:
        if dry_run and not missing:
            console.print(f"{cascade}: would make {len(wanted)} day(s): {', '.join(map(str, wanted))}", highlight=False)
        return
    with own_terminal() as terminal, RunProgress(terminal, cascade, wanted) as progress:
        # These imports take seconds: by now something is said.
        from ukdsl_assets.defs.run import open_job, run_days

        job = open_job(settings, cascades, declared, progress.told)
        progress.begin(len(job.nodes))
        for day in run_days(job, declared, wanted, settings.steps_in_threads):
            progress.day_done(day)
    from ukdsl_assets.cli.show import show_run

    if show_run(settings, declared, wanted, json_file, details):
        raise typer.Exit(3)


def _asked_for(settings: "Settings", cascade: "Cascade", days: str | None, missing: bool) -> list[date]:
    """The days to make, in order; with `--missing` says which they are and why, and which have no logs.

    Raises:
        DeclarationError: neither days nor `--missing`.
    """
    if not missing:
        if days is None:
            raise DeclarationError(
                f"--days: expected the days to make, such as {cascade.first_day} or {cascade.first_day}..LAST, or "
                "--missing for those that are missing or stale"
            )
        return parse_days(cascade, days)
    from ukdsl_assets.pipeline.missing import look_for_missing
    from ukdsl_assets.pipeline.workspace import Workspace
    from ukdsl_assets.reports.standing import missing_lines

    range_of_days = None if days is None else parse_days(cascade, days)
    with complaints.status("looking at logs and tables ..."):
        found = look_for_missing(Workspace.open(settings), cascade, range_of_days)
    for line in missing_lines(cascade.name, found, text_width()):
        console.print(line, highlight=False, soft_wrap=True)
    return [each.day for each in found.to_make]
