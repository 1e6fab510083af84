"""`ukdsl diagnose`: how far each stage's logged predictions are off, from the logs alone."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ukdsl_assets.cli.common import (
    CascadeName,
    check_output,
    complaints,
    console,
    find_cascade,
    hints,
    is_stdout,
    parse_day,
    parse_days,
    read_settings,
)
from ukdsl_assets.errors import DeclarationError, redacted


def diagnose(
    cascade: CascadeName,
    day: Annotated[str | None, typer.Option(help="The day to look at, e.g. 2026-01-01.")] = None,
    days: Annotated[str | None, typer.Option(help="Or several together: 2026-01-01..2026-01-07.")] = None,
    html: Annotated[Path | None, typer.Option(help="HTML file to write; the lake's own place if left out.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every figure here; - prints them in place of all else.")
    ] = None,
) -> None:
    """Tell how far each stage over- or under-predicts, from the logs alone: nothing is trained, no table is written."""
    from rich.text import Text

    from ukdsl_assets.lake.storage import Storage
    from ukdsl_assets.pipeline.diagnosis import diagnosed
    from ukdsl_assets.reports.diagnosis import printed_diagnosis
    from ukdsl_assets.reports.diagnosis_page import render_diagnosis

    settings = read_settings()
    _, declared = find_cascade(settings, cascade)
    if (day is None) == (days is None):
        raise DeclarationError("diagnose: expected one of --day 2026-01-01 and --days 2026-01-01..2026-01-07")
    wanted = [parse_day(declared, day)] if day is not None else parse_days(declared, days or "")
    check_output("--html", html)
    check_output("--json", json_file, or_print=True)
    with complaints.status("reading the logs ...") as line:
        done = diagnosed(settings, declared, wanted, lambda words: line.update(Text(words)))
        page = render_diagnosis(done)
    if html is None:
        storage = Storage(settings.lake)
        place = ("reports", cascade, f"day={wanted[-1]}", "diagnosis.html")
        storage.write(storage.path(*place), page.encode())
        where = storage.uri(*place)
    else:
        html.write_text(page, encoding="utf-8")
        where = str(html)
    figures = json.dumps(done.as_json(), indent=1)
    if is_stdout(json_file):
        print(figures)
        return
    for told in printed_diagnosis(done):
        console.print(told, highlight=False, soft_wrap=True)
    console.print(redacted(f"\nWith pictures: {where}"), highlight=False, soft_wrap=True)
    if declared.students:
        next_step = f"Next, train and judge its students:\n  ukdsl run {cascade} --days {wanted[-1]}"
    else:
        next_step = f"Next: declare a student under `students` of\n  {declared.origin or cascade}"
    hints.print(next_step, highlight=False, soft_wrap=True)
    if json_file is not None:
        json_file.write_text(figures + "\n")
        console.print(f"Every figure: {json_file}", highlight=False, soft_wrap=True)
