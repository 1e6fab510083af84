"""`ukdsl check-logs`: judge days of logs against the contract, for people and as JSON."""

import json
import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ukdsl_assets.cli.common import (
    CascadeName,
    check_output,
    complaints,
    console,
    find_cascade,
    is_stdout,
    parse_day,
    parse_days,
    read_settings,
    speech,
    text_width,
)
from ukdsl_assets.cli.run import ScaleOption
from ukdsl_assets.errors import DeclarationError

if TYPE_CHECKING:
    from ukdsl_assets.logs.gates.day import Judged


def check_logs(
    cascade: CascadeName,
    day: Annotated[str | None, typer.Option(help="The day to judge, e.g. 2026-01-01.")] = None,
    days: Annotated[
        str | None, typer.Option(help="Or the first and the last to judge: 2026-01-01..2026-01-07.")
    ] = None,
    scale: ScaleOption = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all verdicts here; - prints them in place of all else.")
    ] = None,
) -> None:
    """Judge days of logs against the contract; writes nothing to the lake. Exit code 1 if a gate fails.

    One line a day, and what failed; with --verbose all gates.
    """
    from rich.text import Text

    from ukdsl_assets.gates import blocking
    from ukdsl_assets.lake.tables.lake import Lake
    from ukdsl_assets.logs.sources.open import open_source
    from ukdsl_assets.pipeline.check_logs import judged_days

    settings = read_settings(scale=scale)
    _, declared = find_cascade(settings, cascade)
    if (day is None) == (days is None):
        raise DeclarationError("--day or --days: expected one of them, such as --days 2026-01-01..2026-01-07")
    wanted = [parse_day(declared, day)] if day is not None else parse_days(declared, str(days))
    to_stdout = is_stdout(json_file)
    check_output("--json", json_file, or_print=True)
    verdicts: list[dict[str, Any]] = []
    failed = failed_days = 0
    # A simulated cascade's state goes to a folder that is thrown away.
    with tempfile.TemporaryDirectory() as scratch, complaints.status("reading the logs ...") as line:
        source = open_source(declared, settings, scratch, lambda words: line.update(Text(words)))
        for judged_day, judged in judged_days(Lake(settings.tables, settings.shards), declared, source, wanted):
            # Of logs that cannot be read one sentence says why, and nothing was judged.
            count = 1 if judged.unread else len(blocking(judged.results))
            failed, failed_days = failed + count, failed_days + bool(count)
            verdicts += _as_json(cascade, judged_day, judged)
            if judged.unread and len(wanted) == 1:
                complaints.print(f"{cascade}, {judged_day}: {judged.unread}", highlight=False, soft_wrap=True)
            elif not to_stdout:
                _show(cascade, judged_day, judged, alone=len(wanted) == 1)
    if json_file is not None:
        text = json.dumps(verdicts, indent=1)
        print(text) if to_stdout else json_file.write_text(text + "\n", encoding="utf-8")
    # Of one day without logs all has been said.
    if not to_stdout and not (judged.unread and len(wanted) == 1):
        of_days = f" on {failed_days} of {len(wanted)} day(s)" if len(wanted) > 1 else ""
        console.print(f"{failed} gate(s) failed{of_days}" if failed else "The logs keep the contract.", highlight=False)
    if failed:
        raise typer.Exit(1)


def _show(cascade: str, day: date, judged: "Judged", alone: bool) -> None:
    """A line of a day, or of each log of the one day that was asked for; a table of each log where a gate of it failed,
    or of all with `--verbose`."""
    from ukdsl_assets.reports.gates import gate_table, log_line, logs_line
    from ukdsl_assets.reports.standing import wrapped

    if judged.unread:
        console.print("\n".join(wrapped(f"{day}  {judged.unread}", text_width())), highlight=False, soft_wrap=True)
        return
    if not alone:
        console.print(logs_line(day, judged.results, judged.rows), highlight=False)
    for log, results in (("candidate_log", judged.candidate_log), ("event_log", judged.event_log)):
        if alone:
            console.print(log_line(f"{log} of {cascade}, {day}", results, judged.rows[log]), highlight=False)
        failed = [result for result in results if result.blocks]
        if shown := results if speech.verbose else failed:
            console.print(gate_table(f"{log} of {cascade}, {day}", shown), width=text_width())


def _as_json(cascade: str, day: date, judged: "Judged") -> list[dict[str, Any]]:
    return [
        {"cascade": cascade, "day": str(day), "log": log, "gate": result.name, "severity": result.severity}
        | {"passed": result.passed, "judged": result.judged, "blocks": result.blocks, "message": result.message}
        for log, results in (("candidate_log", judged.candidate_log), ("event_log", judged.event_log))
        for result in results
    ]
