"""Verdicts on teachers and students, from figures and bounds that the cascade declares."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.gates import GateResult, finite
from ukdsl_assets.learning.evaluation.table import figure
from ukdsl_assets.learning.metrics.least_positives import ROWS_TO_RELEASE, TO_RELEASE

# Name of each gate -> what it demands.
RULES = {
    "calibrated_on_consideration": "The distilled student agrees with its teacher on withheld considered rows.",
    "calibrated_on_impression": "It agrees with the labels of withheld impressions, at two standard errors.",
    "normalized_entropy_on_impression_kept": "Its NE on impressions exceeds the baseline's by at most the bound.",
    "normalized_entropy_on_consideration_kept": "Its NE on considered rows exceeds it by at most the bound.",
}


def judge_student(cascade: Cascade, student: Student, table: pl.DataFrame) -> list[GateResult]:
    """The gates between a distilled student and its release, from its evaluation table of the day.

    Changes of NE and the calibration on labels fail only beyond two standard errors of the table, which says nothing
    of few rows. So with fewer than `TO_RELEASE` positive labels or `ROWS_TO_RELEASE` rows of withheld impressions
    neither is judged, and that of NE fails: nothing is released that nothing was judged by. Labels that are delayed are
    few by nature, so that with these the teacher alone judges. With fewer withheld considered rows than that the gates
    on them fail, whoever teaches. A student whose served head labels alone train need not agree with another cascade's
    teacher, whose level is its own: that only tells, and then labels must be enough, delayed or not.
    """
    serving = student.served_heads[-1]
    foreign = cascade.teacher(student.teacher).foreign and bool(student.teacher_tasks)
    few_labels, few_considered = _few_labels(table), _few_considered(table, serving)
    if few_labels:
        message, counts = few_labels
        by_teacher_alone = cascade.task(student.task).delayed and not foreign
        if by_teacher_alone:
            message += "; labels of this task are delayed, so that agreement with the teacher decides alone"
        on_impression = [
            GateResult("calibrated_on_impression", True, message, "WARN", counts),
            GateResult(
                "normalized_entropy_on_impression_kept",
                by_teacher_alone,
                message,
                "WARN" if by_teacher_alone else "ERROR",
                counts,
            ),
        ]
    else:
        entropy = _entropy_kept(cascade, table, "impression", IMP, "impression", "label")
        on_impression = [_calibrated_on_impression(cascade, student, table), entropy]
    if few_considered:
        names = ("calibrated_on_consideration", "normalized_entropy_on_consideration_kept")
        message, counts = few_considered
        on_consideration = [GateResult(name, False, message, "ERROR", counts) for name in names]
    else:
        entropy = _entropy_kept(cascade, table, "consideration", CD, serving, "teacher")
        on_consideration = [_calibrated_on_consideration(cascade, table, serving), entropy]
        on_consideration = [replace(each, severity="WARN") if foreign else each for each in on_consideration]
    return [on_consideration[0], *on_impression, on_consideration[1]]


def refusals(results: Sequence[GateResult]) -> list[str]:
    """Why a release is refused: the messages of the gates that block, with their names; empty for none."""
    return [f"{result.name}: {result.message}" for result in results if result.blocks]


_MORE = "judge by more requests: materialize more days with a larger evaluation_days, or raise withheld_share"

# A message and the figures behind it.
_Told = tuple[str, dict[str, Any]]


def _few_labels(table: pl.DataFrame) -> _Told | None:
    """Why withheld impressions judge nothing; None where there are labels enough."""
    where = {"arm": "distilled", "head": "impression", "domain": IMP, "reference": "label"}
    rows = int(figure(table, "rows", **where))
    positives = _positives(table.filter(**where).row(0, named=True))
    if positives >= TO_RELEASE and rows >= ROWS_TO_RELEASE:
        return None
    message = (
        f"not judged: {positives} positive labels of {TO_RELEASE} needed, among {rows} withheld impressions of "
        f"{ROWS_TO_RELEASE} needed; see whether events arrive and the attribution window is right, or {_MORE}"
    )
    return message, {"positive": positives, "rows": rows}


def _positives(row: Mapping[str, Any]) -> int:
    """Positive labels of a row of the table; of tables made before it counted them, from the mean label."""
    if row.get("positives") is not None:
        return int(row["positives"])
    mean = row["mean_reference"] or 0.0
    return round(row["rows"] * mean) if math.isfinite(mean) else 0


def _few_considered(table: pl.DataFrame, serving: str) -> _Told | None:
    """Why withheld considered rows judge nothing; None where there are enough."""
    rows = int(figure(table, "rows", arm="distilled", head=serving, domain=CD, reference="teacher"))
    if rows >= ROWS_TO_RELEASE:
        return None
    return f"not judged: {rows} withheld considered rows of {ROWS_TO_RELEASE} needed; {_MORE}", {"rows": rows}


def _entropy_kept(
    cascade: Cascade, table: pl.DataFrame, name: str, domain: str, head: str, reference: str
) -> GateResult:
    where = {"arm": "distilled", "head": head, "domain": domain, "reference": reference}
    change, error = (figure(table, column, **where) for column in ("ne_change", "ne_change_error"))
    bound = cascade.gates.normalized_entropy
    return GateResult(
        name=f"normalized_entropy_on_{name}_kept",
        passed=change - 2 * error <= bound,
        message=f"NE of head {head} on {domain} against {reference} is {change:+.3%} +- {error:.3%} of the baseline's; "
        f"expected at most {bound:+.3%} (gates.normalized_entropy) at two standard errors",
        seen={"ne_change": finite(change), "standard_error": finite(error)},
    )


def _calibrated_on_impression(cascade: Cascade, student: Student, table: pl.DataFrame) -> GateResult:
    """Agreement with a teacher is no evidence of calibration; labels of withheld impressions are."""
    where = {"arm": "distilled", "head": "impression", "domain": IMP, "reference": "label"}
    calibration, error = (figure(table, column, **where) for column in ("calibration", "calibration_error"))
    lowest, highest = cascade.gates.student_calibration
    return GateResult(
        name="calibrated_on_impression",
        passed=calibration + 2 * error >= lowest and calibration - 2 * error <= highest,
        severity="WARN" if cascade.task(student.task).delayed else "ERROR",
        message=f"calibration {calibration:.3f} +- {error:.3f} against labels; expected {lowest} to {highest} "
        "(gates.student_calibration) at two standard errors"
        + ("; labels of this task are delayed and cannot block" if cascade.task(student.task).delayed else ""),
        seen={"calibration": finite(calibration), "standard_error": finite(error)},
    )


def _calibrated_on_consideration(cascade: Cascade, table: pl.DataFrame, serving: str) -> GateResult:
    """The bounds hold without leave: a teacher's predictions vary little, unlike labels."""
    where = {"arm": "distilled", "head": serving, "domain": CD, "reference": "teacher"}
    calibration, error = (figure(table, column, **where) for column in ("calibration", "calibration_error"))
    lowest, highest = cascade.gates.student_calibration
    return GateResult(
        name="calibrated_on_consideration",
        passed=lowest <= calibration <= highest,
        message=f"calibration {calibration:.3f} +- {error:.3f} against the teacher; expected {lowest} to {highest} "
        "(gates.student_calibration)",
        seen={"calibration": finite(calibration), "standard_error": finite(error)},
    )
