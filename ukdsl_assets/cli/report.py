"""`ukdsl report`: a day of a cascade as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from ukdsl_assets.cli.common import CascadeName, check_output, console, find_cascade, parse_day, read_settings
from ukdsl_assets.errors import redacted


def report(
    cascade: CascadeName,
    day: Annotated[str, typer.Option(help="The day to report on, e.g. 2026-01-07.")],
    output: Annotated[Path | None, typer.Option(help="HTML file to write; the lake's own place if left out.")] = None,
) -> None:
    """Make the report of a materialized day: one HTML file without network, to read, send or print."""
    from ukdsl_assets.reports.contents import read_report
    from ukdsl_assets.reports.html import render_report, write_report

    settings = read_settings()
    _, declared = find_cascade(settings, cascade)
    wanted = parse_day(declared, day)
    check_output("--output", output)
    if output is None:
        where = write_report(settings, declared, wanted).uri
    else:
        output.write_text(render_report(read_report(settings, declared, wanted)), encoding="utf-8")
        where = str(output)
    console.print(redacted(f"{declared.name}, {wanted}: {where}"), highlight=False, soft_wrap=True)
