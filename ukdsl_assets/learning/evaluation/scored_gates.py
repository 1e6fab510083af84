"""Verdicts on all that a student's stage scores: on the whole, on the student's own choice, and on explored rows."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import EXPLORED, EXPLORED_TRAILING, OWN, SCORED
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.gates import GateResult, demand, finite
from ukdsl_assets.learning.evaluation.explored import SUMS, ExploredSums, interval
from ukdsl_assets.learning.evaluation.margin import held_to_margin
from ukdsl_assets.learning.evaluation.table import days_of
from ukdsl_assets.learning.metrics.least_positives import (
    REQUESTS_TO_WEIGH,
    ROWS_TO_RELEASE,
    TO_AUDIT_ON_EXPLORATION,
)

# Name of each gate -> what it demands.
RULES = {
    "calibrated_on_scored": demand(
        "The served head agrees with the teacher on all that its stage scored; only told, unless a head `scored` "
        "serves.",
        "serve a head `scored` (heads: [impression, consideration, scored]) and log probes for it to learn its level.",
    ),
    "calibrated_on_own_choice": demand(
        "It agrees with the teacher on what it would itself hand on, at two standard errors.",
        "add loss.listwise, log probes and serve a head `scored`; where few rows judge, evaluation_days pools days.",
    ),
    "normalized_entropy_on_scored_kept": demand(
        "Its NE on all that its stage scored exceeds the baseline's by at most the bound.",
        "lower loss.rejected, since heavy rows cost order; train longer, or log more probes.",
    ),
    "calibrated_on_exploration": demand(
        "Its 95% interval on withheld explored rows meets gates.student_exploration.",
        "correct its teacher by what explored rows say (`correction: exploration`), or see whether `explored` and "
        "`propensity` are logged rightly.",
    ),
}
NO_TEACHER = "no withheld row that stage {stage} rejected has a teacher's label; "
_LOG_PROBES = "log probes (has_probes) to judge"
_NO_PROBE = (
    "the cascade has probes, and no day that is judged has one; see whether probes with deepest_stage {stage} were "
    "logged on these days"
)
_OTHER_TEACHER = "probes have that of a logged teacher of the next stage alone; take one to judge"
# Head that learns the level of all that its stage scores.
_SCORED_HEAD = "scored"


def judge_scored(cascade: Cascade, student: Student, table: pl.DataFrame) -> list[GateResult]:
    """The gates of `RULES`, from a student's evaluation table of the day; none reads the truth.

    Calibrations are held to the bounds at two standard errors: probes are few and of large weights. A head that learnt
    from what the next stage scored cannot be right on all that was scored and on its own choice at once, and it is the
    choice that follows from serving it. So the first gate blocks only where a head `scored` serves. Agreement with a
    teacher of another cascade only tells. A gate without rows, with too few, or whose error is as wide
    as its bounds is not judged, and only tells.
    """
    serving = student.served_heads[-1]
    foreign = cascade.teacher(student.teacher).foreign and bool(student.teacher_tasks)
    told = foreign or serving != _SCORED_HEAD
    whole = _row(table, serving, SCORED, "teacher")
    on_scored = [
        _calibrated(cascade, student, "calibrated_on_scored", "all that its stage scored", whole),
        _calibrated(
            cascade, student, "calibrated_on_own_choice", "its own choice", _row(table, serving, OWN, "teacher")
        ),
        _entropy_kept(cascade, student, serving, whole),
    ]
    severe = (told, foreign, foreign)
    on_scored = [replace(each, severity="WARN") if only else each for each, only in zip(on_scored, severe, strict=True)]
    return [*on_scored, _calibrated_on_exploration(cascade, student, table, serving)]


def trailing_or_day(table: pl.DataFrame, arm: str, head: str, reference: str = "label") -> Mapping[str, Any] | None:
    """The row of explored rows of an arm's head, pooled over the trailing days if there is one; None without any."""
    rows = (_row(table, head, domain, reference, arm) for domain in (EXPLORED_TRAILING, EXPLORED))
    return next((row for row in rows if row is not None), None)


def explored_told(row: Mapping[str, Any] | None) -> tuple[str, str]:
    """Calibration on explored rows with its interval and counts, and why it is not judged (empty if it is), for people.

    Args:
        row: of `trailing_or_day`.
    """
    if row is None or not row["rows"]:
        return "", "no withheld explored row with a label"
    sums = ExploredSums(*row[SUMS])
    low, high = interval(row["calibration"], row["calibration_error"])
    days = f" of {row['days']} day(s)" if row.get("days") else ""
    counts = f"{row['rows']:,} rows ({sums.effective_rows:,.0f} effective){days}, {row['positives']} positive"
    needed = (
        (sums.effective_requests, REQUESTS_TO_WEIGH, "requests"),
        (max(sums.effective_positives, sums.effective_predicted), TO_AUDIT_ON_EXPLORATION, "positive labels"),
    )
    few = [f"{seen:.0f} effective {what} of {least} needed" for seen, least, what in needed if seen < least]
    if not math.isfinite(low):
        few = few or ["no positive label"]
        return f"explored rows: {counts}", ", ".join(few)
    return f"explored rows: calibration {row['calibration']:.2f} ({low:.2f} to {high:.2f}) on {counts}", ", ".join(few)


def _row(
    table: pl.DataFrame, head: str, domain: str, reference: str, arm: str = "distilled"
) -> Mapping[str, Any] | None:
    found = table.filter(arm=arm, head=head, domain=domain, reference=reference)
    return found.row(0, named=True) if len(found) else None


def _no_teacher(cascade: Cascade, student: Student) -> str:
    """Why nothing stands for what the stage rejected, and what would."""
    teacher = cascade.teacher(student.teacher)
    taught = teacher.logged and cascade.depth(teacher.stage) == cascade.depth(student.stage) + 1
    why = _LOG_PROBES if not cascade.has_probes else _NO_PROBE if taught else _OTHER_TEACHER
    return (NO_TEACHER + why).format(stage=student.stage)


def _few(row: Mapping[str, Any]) -> str | None:
    """Why a comparison with the teacher is not judged; None where it is."""
    few = row["rows"] < ROWS_TO_RELEASE
    return f"{row['rows']} withheld rows with a teacher's label of {ROWS_TO_RELEASE} needed" if few else None


def _calibrated(cascade: Cascade, student: Student, name: str, where: str, row: Mapping[str, Any] | None) -> GateResult:
    if row is None:
        return GateResult.not_judged(name, _no_teacher(cascade, student))
    if few := _few(row):
        return GateResult.not_judged(name, few)
    calibration, error = row["calibration"], row["calibration_error"]
    lowest, highest = cascade.gates.student_calibration
    message = (
        f"calibration {calibration:.3f} +- {error:.3f} against the teacher on {where}, {row['rows']} labelled "
        f"rows; expected {lowest} to {highest} (gates.student_calibration) at two standard errors"
    )
    seen = {"calibration": finite(calibration), "standard_error": finite(error), "rows": row["rows"]}
    meets = calibration + 2 * error >= lowest and calibration - 2 * error <= highest
    if meets and 4 * error > highest - lowest:
        return GateResult.not_judged(name, f"{message}; its error is as wide as that", seen=seen)
    return GateResult(name, meets, message, seen=seen)


def _entropy_kept(cascade: Cascade, student: Student, head: str, row: Mapping[str, Any] | None) -> GateResult:
    name = "normalized_entropy_on_scored_kept"
    if row is None:
        return GateResult.not_judged(name, _no_teacher(cascade, student))
    if few := _few(row):
        return GateResult.not_judged(name, few)
    change, error, bound = row["ne_change"], row["ne_change_error"], cascade.gates.normalized_entropy
    told = (
        f"NE of head {head} on {SCORED} against teacher is {change:+.3%} +- {error:.3%} of the baseline's; expected at "
        f"most {bound:+.3%} (gates.normalized_entropy) at the upper end of its 95% interval"
    )
    # Probes are few and of large weights: rows that cannot tell only tell so.
    verdict = held_to_margin(name, change, error, bound, told, days_of(row, cascade.evaluation_days), "ERROR")
    return verdict if verdict.judged else replace(verdict, severity="WARN")


def _calibrated_on_exploration(cascade: Cascade, student: Student, table: pl.DataFrame, head: str) -> GateResult:
    name, delayed = "calibrated_on_exploration", cascade.task(student.task).delayed
    row = trailing_or_day(table, "distilled", head)
    told, few = explored_told(row)
    if few or row is None:
        return GateResult.not_judged(name, few + (f"; {told}" if told else ""))
    lowest, highest = cascade.gates.student_exploration
    low, high = interval(row["calibration"], row["calibration_error"])
    return GateResult(
        name=name,
        passed=low <= highest and high >= lowest,
        severity="WARN" if delayed else "ERROR",
        message=f"{told}; expected an interval that meets {lowest} to {highest} (gates.student_exploration)"
        + ("; labels of this task are delayed and cannot block" if delayed else ""),
        seen={
            "calibration": finite(row["calibration"]),
            "calibration_low": finite(low),
            "calibration_high": finite(high),
        }
        | {"rows": row["rows"], "positives": row["positives"], "effective_rows": row["effective_rows"]},
    )
