"""What `ukdsl run` prints at its end: the last day's tables of each student, its release, and where all of it is."""

import json
import math
import os
import shlex
from datetime import date
from pathlib import Path
from typing import Any

from ukdsl_assets.cli.common import console
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.errors import redacted
from ukdsl_assets.settings import Settings


def show_run(settings: Settings, cascade: Cascade, days: list[date], json_file: Path | None) -> bool:
    """Print the last day's tables, where the lake is and how to open the UI; all days' figures go to the JSON file.

    Returns:
        Whether the last day released nothing of some student: it was refused or not judged.
    """
    # Late, as in all commands: `ukdsl --help` needs none of it.
    from ukdsl_assets.lake.checkpoints.store import CheckpointStore
    from ukdsl_assets.lake.storage import Storage
    from ukdsl_assets.lake.tables.lake import Lake
    from ukdsl_assets.learning.evaluation.explored import SUMS
    from ukdsl_assets.learning.evaluation.table import COLUMNS
    from ukdsl_assets.pipeline.exploration import judged_teacher
    from ukdsl_assets.reports.champion import champion_sentences
    from ukdsl_assets.reports.contents import evaluation_of, read_champion
    from ukdsl_assets.reports.html import report_place
    from ukdsl_assets.reports.printed import (
        LEGEND,
        days_that_judged,
        decision_on,
        evaluation_table,
        headline,
        judging_rows,
        teacher_first,
        teacher_told,
        withheld_requests,
    )
    from ukdsl_assets.reports.product import LEGEND as PRODUCT_LEGEND
    from ukdsl_assets.reports.selection_section import selection_sentences

    evaluation = evaluation_of(settings, cascade, days, SUMS, "positives")
    note = f" ({cascade.note})" if cascade.note else ""
    store, lake = CheckpointStore(settings.checkpoints), Lake(settings.tables, settings.shards)
    unreleased = False
    for student in cascade.students:
        key, last = (cascade.name, student.name), evaluation.filter(student=student.name, day=days[-1])
        requests = withheld_requests([days_that_judged(cascade, last)], days[-1])
        title = f"{cascade.name}{note}, {student.name}: {requests}, seed {student.seed}"
        of_teacher, serving = judged_teacher(lake, cascade, student, days[-1]), student.served_heads[-1]
        if off := teacher_first(of_teacher, student.accept):
            console.print(off, style="bold red", markup=False, highlight=False)
        console.print(evaluation_table(title, judging_rows(last, serving), console.width))
        console.print(headline(serving, last), highlight=False)
        if told := teacher_told(of_teacher):
            console.print(told, markup=False, highlight=False)
        if student.selection is not None:
            union = lake.scan((*key, "feature_union"), days[-1:]).collect()
            console.print(" ".join(selection_sentences(student, union)[:2]), highlight=False)
        if labels := store.facts((*key, "distilled"), days[-1]).get("labels"):
            console.print(f"Labels of {labels}.", highlight=False)
        if (compared := read_champion(lake, cascade, student, days[-1])) is not None:
            console.print("\n".join(champion_sentences(student, compared, days[-1])), highlight=False)
        decision = decision_on(str(days[-1]), store.release_history(key))
        console.print(f"{decision}\n", highlight=False)
        unreleased |= decision.startswith(("Refused", "Not judged"))
    console.print(LEGEND)
    if any(cascade.task(student.task).given for student in cascade.students):
        console.print(PRODUCT_LEGEND)
    if json_file is not None:
        json_file.write_text(json.dumps(_plain(evaluation.select(*COLUMNS).to_dicts()), indent=1) + "\n")
        console.print(f"Evaluation of {len(days)} day(s): {json_file}")
    # What was set for this command must be set for the UI too.
    own = "".join(
        f"{name}={shlex.quote(value)} " for name, value in sorted(os.environ.items()) if name.startswith("UKDSL_")
    )
    report = Storage(settings.lake).uri(*report_place(cascade.name, days[-1]))
    places = f"Lake: {settings.lake}\nReport: {report}\nOpen the UI: {own}make ui"
    console.print(redacted(places), highlight=False, soft_wrap=True)
    return unreleased


def _plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as JSON knows them: days as text, undefined figures as null."""

    def plain(value: Any) -> Any:
        if isinstance(value, date):
            return value.isoformat()
        return None if isinstance(value, float) and math.isnan(value) else value

    return [{key: plain(value) for key, value in row.items()} for row in rows]
