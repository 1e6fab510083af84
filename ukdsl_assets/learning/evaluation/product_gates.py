"""Gates on a student whose task is given another: on the product of both, and on considered rows by what is given."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, GIVEN, PRODUCT
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.gates import GateResult, demand, finite
from ukdsl_assets.learning.evaluation.margin import held_to_margin
from ukdsl_assets.learning.evaluation.table import days_of
from ukdsl_assets.learning.metrics.least_positives import ROWS_TO_RELEASE, TO_RELEASE

CALIBRATED, KEPT = "product_calibrated_on_impressions", "product_normalized_entropy_kept"
# Gates that are judged by rows GIVEN in place of CD.
_CONSIDERED = ("calibrated_on_consideration", "normalized_entropy_on_consideration_kept")


def product_rules(cascade: Cascade, student: Student) -> dict[str, str]:
    """Name of each gate that only such students have -> what it demands; empty for others."""
    given = " and ".join(cascade.conditions_of(student.task))
    if not given:
        return {}
    both = f"p({given}) times p({student.task} | {given})"
    return {
        CALIBRATED: demand(
            f"Over all withheld impressions {both} agrees with the labels, at two standard errors.",
            "see which of the two is off in the report; give the other student its own head, or wait for late labels "
            "(delayed_feedback).",
        ),
        KEPT: demand(
            f"The NE of {both} over all withheld impressions exceeds the baseline's by at most the bound.",
            "keep `loss: {considered_rows: ...}` at its default, train on a longer window; where it is not judged, "
            "judge by more requests (evaluation_days, withheld_share).",
        ),
    }


def judge_product(
    cascade: Cascade, student: Student, table: pl.DataFrame, results: Sequence[GateResult]
) -> list[GateResult]:
    """The gates of a student whose task is given another: `results`, those on considered rows by GIVEN, and two more.

    A mean over considered rows counts rows that hardly anybody clicks as often as others, and an error there costs
    nothing; so it only tells, and the rows weighted by what is given decide. Where the evaluation has no such rows
    (neither teacher nor stage predicts what is given) the unweighted ones stay. The product is not judged on fewer than
    `TO_RELEASE` positive labels; its calibration only tells where labels are delayed.

    Args:
        table: the student's evaluation of the day; results: its gates, in the order in which they are shown.
    """
    serving = student.served_heads[-1]
    # Considered rows are judged by the head that learnt from them.
    by_given = _row(table, student.trained_heads[-1], GIVEN, "teacher")
    plain = _row(table, student.trained_heads[-1], CD, "teacher")
    judged = [
        _by_given(cascade, student, result, by_given, plain)
        if result.name in _CONSIDERED and by_given is not None and by_given["rows"] >= ROWS_TO_RELEASE
        else result
        for result in results
    ]
    return [*judged, *_on_product(cascade, student, _row(table, serving, PRODUCT, "label"))]


def _row(table: pl.DataFrame, head: str, domain: str, reference: str) -> Mapping[str, Any] | None:
    rows = table.filter(arm="distilled", head=head, domain=domain, reference=reference)
    return rows.row(0, named=True) if len(rows) else None


def _by_given(
    cascade: Cascade, student: Student, result: GateResult, row: Mapping[str, Any], plain: Mapping[str, Any] | None
) -> GateResult:
    """A gate on considered rows, judged by the weighted ones; its severity is that of the unweighted."""
    given = " and ".join(cascade.conditions_of(student.task))
    rows = f"on considered rows weighted by p({given})"
    if result.name == _CONSIDERED[0]:
        lowest, highest = cascade.gates.student_calibration
        unweighted = f" (unweighted, of rows without a {given} too: {plain['calibration']:.3f})" if plain else ""
        return GateResult(
            name=result.name,
            passed=lowest <= row["calibration"] <= highest,
            severity=result.severity,
            message=f"calibration {row['calibration']:.3f} +- {row['calibration_error']:.3f} against the teacher {rows}"
            f"{unweighted}; expected {lowest} to {highest} (gates.student_calibration)",
            seen={"calibration": finite(row["calibration"]), "standard_error": finite(row["calibration_error"])},
        )
    return _entropy_kept(cascade, result.name, row, f"against the teacher {rows}", result.severity)


def _on_product(cascade: Cascade, student: Student, row: Mapping[str, Any] | None) -> list[GateResult]:
    given, delayed = " and ".join(cascade.conditions_of(student.task)), cascade.task(student.task).delayed
    if row is None:
        why = f"no impression with a prediction of {given}, by a student of its stage or by the stage"
        return [GateResult.not_judged(name, why) for name in (CALIBRATED, KEPT)]
    positives, counts = int(row["positives"]), {"positive": int(row["positives"]), "rows": int(row["rows"])}
    if positives < TO_RELEASE or row["rows"] < ROWS_TO_RELEASE:
        why = (
            f"{positives} positive labels of {TO_RELEASE} needed, among {row['rows']} withheld impressions "
            f"of {ROWS_TO_RELEASE} needed"
        )
        return [GateResult.not_judged(name, why, seen=counts) for name in (CALIBRATED, KEPT)]
    calibration, error = row["calibration"], row["calibration_error"]
    lowest, highest = cascade.gates.student_calibration
    product = f"p({given}) times p({student.task} | {given}) over all {row['rows']:,} withheld impressions"
    calibrated = GateResult(
        name=CALIBRATED,
        passed=calibration + 2 * error >= lowest and calibration - 2 * error <= highest,
        severity="WARN" if delayed else "ERROR",
        message=f"{product}: {calibration:.3f} +- {error:.3f} expected for each {student.task} seen, "
        f"of which there are {positives}; "
        f"expected {lowest} to {highest} (gates.student_calibration) at two standard errors"
        + ("; labels of this task are delayed and cannot block" if delayed else ""),
        seen={"calibration": finite(calibration), "standard_error": finite(error)} | counts,
    )
    kept = _entropy_kept(cascade, KEPT, row, f"of {product} against labels", "ERROR")
    # Labels that are delayed are few by nature: they refuse what is worse for certain, and else only tell.
    if delayed and not kept.passed and not (kept.judged and (kept.seen["low"] or 0) > kept.seen["margin"]):
        kept = replace(kept, severity="WARN", message=kept.message + "; labels of this task are delayed: it only tells")
    return [calibrated, kept]


def _entropy_kept(
    cascade: Cascade, name: str, row: Mapping[str, Any], of_what: str, severity: Any = "ERROR"
) -> GateResult:
    change, error, bound = row["ne_change"], row["ne_change_error"], cascade.gates.normalized_entropy
    told = (
        f"NE {of_what} is {change:+.3%} +- {error:.3%} of the baseline's; expected at most {bound:+.3%} "
        "(gates.normalized_entropy) at the upper end of its 95% interval"
    )
    return held_to_margin(name, change, error, bound, told, days_of(row, cascade.evaluation_days), severity)
