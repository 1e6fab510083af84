"""Verdicts on teachers and students, from figures and bounds that the cascade declares."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.gates import GateResult, demand, finite
from ukdsl_assets.learning.evaluation import scored_gates
from ukdsl_assets.learning.evaluation.margin import held_to_margin
from ukdsl_assets.learning.evaluation.product_gates import judge_product
from ukdsl_assets.learning.evaluation.table import days_of, figure
from ukdsl_assets.learning.metrics.least_positives import ROWS_TO_RELEASE, TO_RELEASE

# Name of each gate -> what it demands.
RULES = {
    "calibrated_on_consideration": demand(
        "The distilled student agrees with its teacher on withheld considered rows.",
        "train longer (epochs, window_days), raise loss.consideration, or serve a head of its own for these rows "
        "(heads); a day that differs from the days before it also does this.",
    ),
    "calibrated_on_impression": demand(
        "It agrees with the labels of withheld impressions, at two standard errors.",
        "see whether events are complete and the attribution window is right; with one head, serve two "
        "(heads: [impression, consideration]), so that soft labels do not move this level.",
    ),
    "normalized_entropy_on_impression_kept": demand(
        "Its NE on impressions exceeds the baseline's by at most the bound.",
        "lower loss.consideration, or give the student more capacity or features; where it is not judged, judge by "
        "more requests (evaluation_days, withheld_share).",
    ),
    "normalized_entropy_on_consideration_kept": demand(
        "Its NE on considered rows exceeds it by at most the bound.",
        "raise loss.consideration or train longer; look at the teacher (teacher_audit); where it is not judged, "
        "judge by more requests (evaluation_days, withheld_share).",
    ),
    **scored_gates.RULES,
}


def judge_student(cascade: Cascade, student: Student, table: pl.DataFrame) -> list[GateResult]:
    """The gates between a distilled student and its release, from its evaluation table of the day.

    Calibration on labels fails only beyond two standard errors of the table; a change of NE is held to its bound as
    `held_to_margin` says, so that rows which are too few to tell are not judged. With fewer than `TO_RELEASE` positive
    labels or `ROWS_TO_RELEASE` rows of withheld impressions neither is judged, and nothing is released that nothing was
    judged by. Labels that are delayed are few by nature, so that with these the teacher alone judges, unless the whole
    interval lies beyond the bound. With fewer withheld considered rows than that the gates on them are not judged,
    whoever teaches. A student whose served head labels alone train need not agree with another cascade's teacher, whose
    level is its own: that only tells, and then labels must be enough, delayed or not.
    """
    # Of the trained heads the last learnt from considered rows; a head `scored` is on the level of all that was scored.
    serving = student.trained_heads[-1]
    foreign = cascade.teacher(student.teacher).foreign and bool(student.teacher_tasks)
    few_labels, few_considered = _few_labels(table), _few_considered(table, serving)
    by_teacher_alone = cascade.task(student.task).delayed and not foreign
    kept = "normalized_entropy_on_impression_kept"
    if few_labels:
        message, counts = few_labels
        if by_teacher_alone:
            message += _BY_TEACHER_ALONE
        on_impression = [
            GateResult.not_judged("calibrated_on_impression", message, "WARN", counts),
            GateResult.not_judged(kept, message, "WARN" if by_teacher_alone else "ERROR", counts),
        ]
    else:
        entropy = _entropy_kept(cascade, table, kept, IMP, "impression", "label")
        low = entropy.seen["low"]
        if by_teacher_alone and not entropy.passed and low is not None and low <= entropy.seen["margin"]:
            entropy = replace(entropy, severity="WARN", message=entropy.message + _BY_TEACHER_ALONE)
        on_impression = [_calibrated_on_impression(cascade, student, table), entropy]
    kept = "normalized_entropy_on_consideration_kept"
    if few_considered:
        message, counts = few_considered
        names = ("calibrated_on_consideration", kept)
        on_consideration = [GateResult.not_judged(name, message, "ERROR", counts) for name in names]
    else:
        entropy = _entropy_kept(cascade, table, kept, CD, serving, "teacher")
        on_consideration = [_calibrated_on_consideration(cascade, table, serving), entropy]
        on_consideration = [replace(each, severity="WARN") if foreign else each for each in on_consideration]
    results = [on_consideration[0], *on_impression, on_consideration[1]]
    if cascade.task(student.task).given:
        results = judge_product(cascade, student, table, results)
    return [*results, *scored_gates.judge_scored(cascade, student, table)]


_BY_TEACHER_ALONE = "; labels of this task are delayed, so that agreement with the teacher decides alone"


def refusals(results: Sequence[GateResult], accept: Collection[str] = ()) -> list[str]:
    """Why a release is refused: the messages of the gates that failed and block, with their names; empty for none.

    Args:
        accept: names of gates that refuse nothing: see `accepted`.
    """
    return [_said(each) for each in results if each.blocks and each.judged and each.name not in accept]


def not_judged(results: Sequence[GateResult], accept: Collection[str] = ()) -> list[str]:
    """Why nothing can be decided: the same of the gates that block since there was too little to judge them by."""
    return [_said(each) for each in results if each.blocks and not each.judged and each.name not in accept]


def accepted(results: Sequence[GateResult], accept: Collection[str]) -> list[str]:
    """The gates that would keep the checkpoint from release and that the declaration accepts by name, told alike."""
    return [_said(each) for each in results if each.blocks and each.name in accept]


def _said(result: GateResult) -> str:
    return f"{result.name}: {result.message}"


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
        f"{positives} positive labels of {TO_RELEASE} needed, among {rows} withheld impressions of "
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
    return f"{rows} withheld considered rows of {ROWS_TO_RELEASE} needed; {_MORE}", {"rows": rows}


def _entropy_kept(
    cascade: Cascade, table: pl.DataFrame, name: str, domain: str, head: str, reference: str
) -> GateResult:
    where = {"arm": "distilled", "head": head, "domain": domain, "reference": reference}
    change, error = (figure(table, column, **where) for column in ("ne_change", "ne_change_error"))
    bound = cascade.gates.normalized_entropy
    days = days_of(table.filter(**where).row(0, named=True), cascade.evaluation_days)
    told = (
        f"NE of head {head} on {domain} against {reference} is {change:+.3%} +- {error:.3%} of the baseline's; "
        f"expected at most {bound:+.3%} (gates.normalized_entropy) at the upper end of its 95% interval"
    )
    return held_to_margin(name, change, error, bound, told, days, "ERROR")


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
