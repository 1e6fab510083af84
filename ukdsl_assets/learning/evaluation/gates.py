"""Verdicts on teachers and students, from figures and bounds that the cascade declares."""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.gates import GateResult, finite
from ukdsl_assets.learning.evaluation.table import figure
from ukdsl_assets.learning.metrics.least_positives import TO_RELEASE

# Name of each gate -> what it demands.
RULES = {
    "calibrated_on_consideration": "The distilled student agrees with its teacher on withheld considered rows.",
    "calibrated_on_impression": "It agrees with the labels of withheld impressions, at two standard errors.",
    "normalized_entropy_on_impression_kept": "Its NE on impressions exceeds the baseline's by at most the bound.",
    "normalized_entropy_on_consideration_kept": "Its NE on considered rows exceeds it by at most the bound.",
}


def judge_student(cascade: Cascade, student: Student, table: pl.DataFrame) -> list[GateResult]:
    """The gates between a distilled student and its release, from its evaluation table of the day.

    Changes of NE and the calibration on labels fail only beyond two standard errors of the table; with fewer than ten
    positive labels among the withheld impressions neither is judged. A student whose served head labels alone train
    need not agree with another cascade's teacher, whose level is its own: that only tells, so that with fewer than ten
    positive labels its gate of NE on impressions fails, as it does for every student without a single one, unless
    labels are delayed. Without any withheld considered row the gates on them fail, whoever teaches: nothing is
    released that nothing was judged by.
    """
    serving = student.served_heads[-1]
    needed = not cascade.task(student.task).delayed
    foreign = cascade.teacher(student.teacher).foreign and bool(student.teacher_tasks)
    results = [
        _calibrated_on_consideration(cascade, table, serving),
        _too_few_labels("calibrated_on_impression", table) or _calibrated_on_impression(cascade, student, table),
        _too_few_labels("normalized_entropy_on_impression_kept", table, needed, alone=foreign)
        or _entropy_kept(cascade, table, "impression", IMP, "impression", "label"),
        _entropy_kept(cascade, table, "consideration", CD, serving, "teacher"),
    ]
    on_consideration = ("calibrated_on_consideration", "normalized_entropy_on_consideration_kept")
    if not figure(table, "rows", arm="distilled", head=serving, domain=CD, reference="teacher"):
        nothing = "no withheld considered row to judge by; materialize a day with more requests"
        return [GateResult(each.name, False, nothing) if each.name in on_consideration else each for each in results]
    return [replace(each, severity="WARN") if foreign and each.name in on_consideration else each for each in results]


def refusals(results: Sequence[GateResult]) -> list[str]:
    """Why a release is refused: the messages of the gates that block, with their names; empty for none."""
    return [f"{result.name}: {result.message}" for result in results if result.blocks]


def _too_few_labels(gate: str, table: pl.DataFrame, needed: bool = False, alone: bool = False) -> GateResult | None:
    """The verdict that there is nothing to judge by; None where there are labels enough.

    Args:
        needed: whether without any positive label nothing tells what the student does to shown rows; with
            `alone`, whether no other gate can refuse it. It then blocks.
    """
    where = {"arm": "distilled", "head": "impression", "domain": IMP, "reference": "label"}
    rows, mean = (figure(table, column, **where) for column in ("rows", "mean_reference"))
    positives = rows * mean if rows else 0.0
    if positives >= TO_RELEASE:
        return None
    message = (
        f"not judged: {positives:.0f} positive labels among {rows:.0f} withheld impressions, fewer than {TO_RELEASE}"
    )
    counts = {"positive": positives, "rows": int(rows)}
    blocks = alone or (needed and positives == 0)
    if alone:
        message += "; agreement with another cascade's teacher only tells, so nothing judges this student"
    if blocks:
        message += (
            "; see whether events arrive and the attribution window is right, or judge by more requests: materialize "
            "more days with a larger evaluation_days, or raise withheld_share"
        )
    return GateResult(gate, not blocks, message, "ERROR" if blocks else "WARN", counts)


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
