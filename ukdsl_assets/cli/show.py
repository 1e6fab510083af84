"""What `ukdsl run` prints at its end: each student's result at a glance, a line a day, and where all of it is."""

import json
import math
import os
import shlex
from datetime import date
from pathlib import Path
from typing import Any

from ukdsl_assets.cli.common import console, hints, is_stdout
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.errors import redacted
from ukdsl_assets.settings import Settings

# A result at a glance is read on a terminal of this width, and is no wider on a wider one or in a file.
MOST_CHARACTERS = 80


def show_run(
    settings: Settings, cascade: Cascade, days: list[date], json_file: Path | None, details: bool = False
) -> bool:
    """Print the last day's result and all days' decisions; decisions and figures of all days go to the JSON file.

    Where that is `-` they are printed, and nothing else is.

    Args:
        details: whether the last day's tables stand before it.

    Returns:
        Whether the last day released nothing of some student: it was refused, not judged or stays withdrawn.
    """
    # Late, as in all commands: `ukdsl --help` needs none of it.
    from ukdsl_assets.cli.details import show_details
    from ukdsl_assets.lake.checkpoints.store import CheckpointStore
    from ukdsl_assets.lake.storage import Storage
    from ukdsl_assets.lake.tables.lake import Lake
    from ukdsl_assets.learning.evaluation.explored import SUMS
    from ukdsl_assets.learning.evaluation.table import COLUMNS
    from ukdsl_assets.reports.contents import evaluation_of, read_champion
    from ukdsl_assets.reports.decisions import UNRELEASED, read_decisions
    from ukdsl_assets.reports.glance import day_lines, glance_of, legend_lines, student_lines
    from ukdsl_assets.reports.html import report_place
    from ukdsl_assets.reports.printed import days_that_judged

    evaluation = evaluation_of(settings, cascade, days, SUMS, "positives")
    store, lake = CheckpointStore(settings.checkpoints), Lake(settings.tables, settings.shards)
    decisions = read_decisions(store, cascade, days)
    of_last = [decision for decision in decisions if decision.day == days[-1]]
    unreleased = any(decision.outcome in UNRELEASED for decision in of_last)
    result = {
        "cascade": cascade.name,
        "note": cascade.note,
        "decisions": [decision.as_record() for decision in decisions],
        "evaluation": _plain(evaluation.select(*COLUMNS).to_dicts()),
    }
    if is_stdout(json_file):
        print(json.dumps(result, indent=1))
        return unreleased
    last = evaluation.filter(day=days[-1])
    if details:
        show_details(lake, store, cascade, days[-1], last, of_last)
    glances = []
    for student, decision in zip(cascade.students, of_last, strict=True):
        rows = last.filter(student=student.name)
        judged, compared = days_that_judged(cascade, rows), read_champion(lake, cascade, student, days[-1])
        glances.append(glance_of(decision, rows, student.served_heads[-1], judged, compared))
    note = f" ({cascade.note})" if cascade.note else ""
    console.print(f"{cascade.name}{note}, {days[-1]}\n", style="bold", highlight=False)
    width = min(console.width, MOST_CHARACTERS)
    for line in student_lines(cascade, glances, width):
        console.print(line.text, style=line.style or None, highlight=False, soft_wrap=True)
    console.print()
    # A legend and what to do next are for who sees this for the first time.
    for text in [*legend_lines(glances, width), ""]:
        hints.print(text, style="dim", highlight=False, soft_wrap=True)
    for text in day_lines(decisions):
        console.print(text, highlight=False)
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n")
        console.print(f"decisions and evaluation of {len(days)} day(s): {json_file}", highlight=False, soft_wrap=True)
    # What was set for this command must be set for the UI too.
    own = "".join(
        f"{name}={shlex.quote(value)} " for name, value in sorted(os.environ.items()) if name.startswith("UKDSL_")
    )
    report = Storage(settings.lake).uri(*report_place(cascade.name, days[-1]))
    console.print(redacted(f"report: {report}"), highlight=False, soft_wrap=True)
    more = "" if details else "\nall tables: the same command with --details"
    hints.print(redacted(f"open the UI: {own}ukdsl ui{more}"), highlight=False, soft_wrap=True)
    return unreleased


def _plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as JSON knows them: days as text, undefined figures as null."""

    def plain(value: Any) -> Any:
        if isinstance(value, date):
            return value.isoformat()
        return None if isinstance(value, float) and math.isnan(value) else value

    return [{key: plain(value) for key, value in row.items()} for row in rows]
