"""Verdicts on a teacher by the table `teacher_audit`: those of the day tell, and those of a release refuse.

A release is judged on withheld explored rows, which no training and no correction has seen, by the teacher as the
student has it: corrected where the student corrects it. Nothing is judged on few rows, and a failing gate of the
release refuses nothing where the student accepts it by name.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.corrections import BETTER_THAN_CONSTANT, ON_EXPLORATION
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.teachers import Teacher
from ukdsl_assets.gates import GateResult, demand
from ukdsl_assets.learning.metrics.least_positives import TO_AUDIT_ON_EXPLORATION, TO_COMPARE_WITH_A_CONSTANT
from ukdsl_assets.learning.teachers.exploration import IMPRESSIONS, MEANINGS, TRAILING, row_that_judges, too_few

# A gain in NE below this is none: it would take a hundred thousand positive labels to see it.
LEAST_GAIN = 0.001
_OLD = "teacher_audit of this day was published before it had the rows that judge; make the day again"

# Gates of a release that the teacher decides -> what they demand.
RULES = {
    ON_EXPLORATION: demand(
        "The teacher, as the student has it, agrees with explored rows that no training and no correction has seen.",
        "correct the teacher (`correction`), train it anew, or accept the gate by name (`accept`) of the student.",
    ),
    BETTER_THAN_CONSTANT: demand(
        "At their own level the teacher explains withheld impressions better than their mean label does.",
        "look at what the teacher reads and whether its events are complete; what knows no more than a constant "
        "teaches nothing. Where it is not judged, more labels tell.",
    ),
}


def audit_rules(cascade: Cascade, teacher: Teacher) -> dict[str, str]:
    """Names of the verdicts of `judge_exploration` and what they demand."""
    return {
        f"{task}_agrees_on_exploration": demand(
            f"{task}: the interval of the pooled days meets gates.teacher_exploration.",
            "correct the teacher (`correction: exploration`, or a rate that is known), train it anew, or accept it by "
            "name: `accept: [teacher_agrees_on_exploration]` of the student. This check itself keeps nothing back.",
        )
        for task in cascade.tasks_taught(teacher)
    }


def judge_exploration(cascade: Cascade, audit: pl.DataFrame) -> list[GateResult]:
    """Whether each task's 95% interval over the pooled days meets the bounds; labels that are delayed only tell.

    It is judged from `REQUESTS_TO_WEIGH` effective requests on, and `TO_AUDIT_ON_EXPLORATION` effective positive
    labels, seen or predicted: few where many were said are evidence too.
    """
    results = []
    for row in audit.filter(period=TRAILING).iter_rows(named=True):
        name = f"{row['task']}_agrees_on_exploration"
        delayed = cascade.task(row["task"]).delayed
        passed, message = _meets_bounds(cascade, row, "explored rows")
        told = f"{message}{'; labels of this task are delayed' if delayed else ''}; {correction_told(row)}"
        if passed is None:
            results.append(GateResult.not_judged(name, told, seen=_figures(row)))
        else:
            results.append(GateResult(name, passed, told, "WARN" if delayed else "ERROR", _figures(row)))
    return results


def judge_teacher_of(cascade: Cascade, student: Student, audit: pl.DataFrame | None) -> list[GateResult]:
    """The gates of a student's release that its teacher decides; `audit` is None for a day without one."""
    return [exploration_verdict(cascade, student, audit), constant_verdict(cascade, student, audit)]


def exploration_verdict(cascade: Cascade, student: Student, audit: pl.DataFrame | None) -> GateResult:
    """Whether the teacher, as the student has it, agrees with explored rows that it and its correction have not seen.

    It fails where the 95% interval lies outside of `gates.teacher_exploration`, and only tells where labels are delayed
    or where another cascade's teacher, whose level is its own, trains nothing that serves. Too few rows
    do not judge.
    """
    row = None if audit is None else row_that_judges(audit, student)
    if row is None:
        return GateResult.not_judged(ON_EXPLORATION, _OLD if audit is not None else "the day has no teacher_audit")
    passed, message = _meets_bounds(cascade, row, "explored rows that no training and no correction has seen")
    by = "" if row["corrected_by"] is None else f" corrected by {row['corrected_by']} ({row['correction']:+.3f})"
    message = f"teacher {student.teacher}, {student.task}{by}: {message}"
    if passed is None:
        return GateResult.not_judged(ON_EXPLORATION, message, seen=_figures(row))
    leave = _leave(cascade, student)
    if not passed:
        better = "correct it otherwise" if by else "correct it (`correction`)"
        message += f"; {better} or train it anew{_or_accept(student, ON_EXPLORATION)}"
    severity = "WARN" if leave else "ERROR"
    seen = _figures(row)
    return GateResult(ON_EXPLORATION, passed, message + leave, severity, seen)  # type: ignore[arg-type]


def constant_verdict(cascade: Cascade, student: Student, audit: pl.DataFrame | None) -> GateResult:
    """Whether the teacher, at their level, explains withheld impressions better than their mean label does.

    It passes where NE is below 1 by two standard errors, and fails where it is not although an NE of 1 - `LEAST_GAIN`
    would be seen; between the two, and on fewer than `TO_COMPARE_WITH_A_CONSTANT` positive labels, it is not judged. It
    only tells where labels are delayed, and where the declaration allows a cross-domain teacher to be worse.
    """
    rows = None if audit is None or "ne" not in audit.columns else audit.filter(task=student.task, period=IMPRESSIONS)
    if rows is None or not len(rows):
        return GateResult.not_judged(
            BETTER_THAN_CONSTANT, _OLD if audit is not None else "the day has no teacher_audit"
        )
    row = rows.row(0, named=True)
    ne, error, positives = row["ne"], row["ne_error"], row["positives"]
    where = f"{row['rows']} withheld impressions of {row['days']} day(s), {positives} positive"
    seen = {name: row[name] for name in ("rows", "positives", "days", "ne", "ne_error")}
    if ne is None or positives < TO_COMPARE_WITH_A_CONSTANT:
        return GateResult.not_judged(BETTER_THAN_CONSTANT, f"{where} of {TO_COMPARE_WITH_A_CONSTANT} needed", seen=seen)
    message = f"teacher {student.teacher}, {student.task}: NE {ne:.4f} +- {error:.4f} at their level on {where}"
    if ne + 2 * error < 1:
        return GateResult(BETTER_THAN_CONSTANT, True, message, seen=seen)
    if ne - 2 * error < 1 - LEAST_GAIN:
        return GateResult.not_judged(BETTER_THAN_CONSTANT, f"{message}; too few to tell it from 1", seen=seen)
    teacher = cascade.teacher(student.teacher)
    allowed = "; the declaration allows it (allow_worse_than_constant)"
    leave = allowed if teacher.foreign and teacher.allow_worse_than_constant else _leave(cascade, student)
    message += (
        "; expected below 1, the NE of the constant that predicts their mean label: what knows no more teaches "
        f"nothing. Look at what it reads{_or_accept(student, BETTER_THAN_CONSTANT)}"
    )
    severity = "WARN" if leave else "ERROR"
    return GateResult(BETTER_THAN_CONSTANT, False, message + leave, severity, seen)  # type: ignore[arg-type]


def corrections_told(audit: pl.DataFrame) -> dict[str, str]:
    """Task -> what `correction: exploration` adds to its logits by the table, or why nothing, for people."""
    return {row["task"]: correction_told(row) for row in audit.filter(period=TRAILING).iter_rows(named=True)}


def correction_told(row: Mapping[str, Any]) -> str:
    """What a row of period trailing adds to a task's logits, or why nothing, for people."""
    # Tables that were published before the column existed do not have it.
    if why := row.get("not_corrected"):
        return f"not corrected, because of {why}"
    if row["correction"] == 0:
        shift, error = row["logit_shift"], row["logit_shift_error"]
        return f"not corrected, because the shift of {shift:+.3f} is within its error of {error:.3f}"
    return f"a correction adds {row['correction']:+.3f} to its logits"


def _meets_bounds(cascade: Cascade, row: Mapping[str, Any], rows: str) -> tuple[bool | None, str]:
    """Whether a row's interval meets gates.teacher_exploration, None where it has too few rows; and what was seen."""
    labels = max(row["effective_positives"], row["effective_predicted"])
    few = too_few(row["effective_requests"], {"positive": labels}, TO_AUDIT_ON_EXPLORATION)
    if few or row["calibration"] is None:
        counted = f"{row['positives']} positive labels in {row['rows']} {rows}{_elsewhere(row)}"
        return None, counted + (f"; {few}" if few else "")
    low, high = row["calibration_low"], row["calibration_high"]
    lowest, highest = cascade.gates.teacher_exploration
    return low <= highest and high >= lowest, (
        f"calibration {row['calibration']:.3f} ({low:.3f} to {high:.3f}) on {row['rows']} {rows}{_elsewhere(row)}, of "
        f"{row['days']} day(s), {row['positives']} positive; expected {lowest} to {highest} (gates.teacher_exploration)"
    )


def _elsewhere(row: Mapping[str, Any]) -> str:
    """That rows in other slots are not among these; of tables before the column existed nothing is known."""
    elsewhere = row.get("elsewhere")
    if not elsewhere:
        return ""
    return f" (of {row['rows'] + elsewhere}: the others were shown otherwise than they are scored, as in other slots)"


def _figures(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in tuple(MEANINGS)[4:]}


def _or_accept(student: Student, gate: str) -> str:
    """The advice to accept a failing gate, to follow another; empty where the student does."""
    return "" if gate in student.accept else f", or accept this by name: `accept: [{gate}]`"


def _leave(cascade: Cascade, student: Student) -> str:
    """Why a failing gate refuses nothing; empty where it does."""
    if cascade.task(student.task).delayed:
        return "; labels of this task are delayed and cannot block"
    if cascade.teacher(student.teacher).foreign and student.teacher_tasks:
        return "; the teacher is of another cascade and trains nothing that serves, so that this only tells"
    return ""
