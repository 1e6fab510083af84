"""`ukdsl report`: a day of a cascade as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from ukdsl_assets.errors import DeclarationError


def report(
    cascade: Annotated[str, typer.Argument(metavar="CASCADE", help="Name of a declared cascade, e.g. simulated_ads.")],
    day: Annotated[str, typer.Option(help="The day to report on, e.g. 2026-01-07.")],
    output: Annotated[Path | None, typer.Option(help="HTML file to write; the lake's own place if left out.")] = None,
) -> None:
    """Make the report of a materialized day: one HTML file without network, to read, send or print."""
    # Late, since cli.py registers this command.
    from ukdsl_assets.cli import _cascade, _settings, console, parse_days
    from ukdsl_assets.reports.figures_data import read_report
    from ukdsl_assets.reports.html import render_report, write_report

    settings = _settings()
    _, declared = _cascade(settings, cascade)
    if ".." in day:
        raise DeclarationError(f"--day: expected one day such as 2026-01-01, saw {day!r}")
    wanted = parse_days(declared, day)[0]
    if output is None:
        where = write_report(settings, declared, wanted).uri
    elif not output.parent.is_dir():
        raise DeclarationError(f"--output: no folder {output.parent}; make it first")
    else:
        output.write_text(render_report(read_report(settings, declared, wanted)), encoding="utf-8")
        where = str(output)
    console.print(f"{declared.name}, {wanted}: {where}", highlight=False, soft_wrap=True)
