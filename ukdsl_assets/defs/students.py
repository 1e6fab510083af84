"""Group 4, after teacher_augmented: both arms of every student, trained on a rolling window and warm-started."""

from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from ukdsl_assets.cascade import Cascade, Student
from ukdsl_assets.defs.gates import check_results, check_specs, refuse_if_blocked, result, told_plainly
from ukdsl_assets.defs.keys import STUDENTS, since, spec
from ukdsl_assets.defs.platform import Platform, Table
from ukdsl_assets.defs.progress import training_progress
from ukdsl_assets.defs.publishing import Events, day_of
from ukdsl_assets.learning.audit import no_withheld_request, parameters_finite, same_predictions
from ukdsl_assets.learning.students import (
    ARMS,
    Arm,
    Fit,
    FittedStudent,
    as_checkpoint,
    can_continue,
    fit_student,
    from_checkpoint,
    predict_student,
)
from ukdsl_assets.sql.withheld import withheld

GATES = {
    "parameters_finite": "Every parameter is a finite number.",
    "reloads_to_the_same_predictions": "The checkpoint read back predicts the same, bit by bit.",
    "no_withheld_request_in_training": "None of the requests trained on is withheld.",
}
DESCRIPTIONS = {
    "baseline": "Labels only, with the distilled arm's epochs, learning rate and steps: the equal-effort control.",
    "distilled": "Labels on impressions and the teacher's soft labels on considered rows.",
}
# Rows that a reloaded checkpoint is compared on.
COMPARED_ROWS = 4096


def student_assets(cascade: Cascade, platform: Platform) -> list[dg.AssetsDefinition]:
    """A checkpoint asset for each arm of each student."""
    return [arm_asset(cascade, platform, student, arm) for student in cascade.students for arm in ARMS]


def arm_asset(cascade: Cascade, platform: Platform, student: Student, arm: Arm) -> dg.AssetsDefinition:
    """[cascade, student, <arm>_checkpoint]"""
    table: Table = (cascade.name, student.name, f"{arm}_checkpoint")
    rows: Table = (cascade.name, student.name, "teacher_augmented")
    described = spec(
        cascade,
        table,
        STUDENTS,
        f"{student.architecture} of stage {student.stage} for {student.task}. {DESCRIPTIONS[arm]}",
        kinds={"pytorch"},
        deps=[since(rows, student.window_days)],
    )

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, GATES))
    def checkpoint(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            day = day_of(context)
            days = platform.window(rows, day, student.window_days)
            training = platform.lake.scan(rows, days).filter(~pl.col("withheld")).collect()
            previous, warm_start = newest_before(cascade, platform, student, arm, day)
            progress = training_progress(context.log.info, f"{student.name} {arm}")
            fit = fit_student(cascade, student, arm, training, previous, progress=progress)
            lineage = {str(each): platform.versions(each, rows) for each in days}
            content = {**record(cascade, student, arm, fit), "lineage": lineage, "warm_start": warm_start}
            saved = platform.checkpoints.save((*table[:2], arm), day, content, tensors=fit.student.tensors)
            reloaded = platform.checkpoints.load(saved.key, day, saved.version)
            sample = training.head(COMPARED_ROWS)
            results = [
                parameters_finite(fit.student.tensors),
                same_predictions(predict_student(fit.student, sample), predict_student(as_student(reloaded), sample)),
                no_withheld_request(fit.requests, withheld(fit.requests, cascade.withheld_share)),
            ]
            yield from check_results(table, results)
            refuse_if_blocked(table, results)
            platform.checkpoints.publish(saved)
            yield result(
                table,
                saved.version,
                {**fit.figures, "checkpoint": saved.version, "warm_start": warm_start or "none", "days": len(days)},
            )

    return checkpoint


def newest_before(
    cascade: Cascade, platform: Platform, student: Student, arm: Arm, day: date
) -> tuple[FittedStudent | None, str | None]:
    """The newest checkpoint strictly before the day that still fits the declaration, and its name."""
    key = (cascade.name, student.name, arm)
    before = platform.checkpoints.newest_before(key, day)
    if before is None:
        return None, None
    found = platform.checkpoints.load(key, before)
    previous = as_student(found)
    if not can_continue(previous, cascade, student, arm):
        return None, None
    return previous, f"{before}/{found.version}"


def as_student(checkpoint: Any) -> FittedStudent:
    """A student from its stored checkpoint."""
    return from_checkpoint(checkpoint.metadata, checkpoint.tensors)


def record(cascade: Cascade, student: Student, arm: Arm, fit: Fit) -> dict[str, Any]:
    """What the checkpoint's JSON says; the same for the same inputs, so no time and no run id."""
    return {
        "cascade": cascade.name,
        "student": student.name,
        "arm": arm,
        "architecture": student.architecture,
        "declaration": student.model_dump(mode="json"),
        "metrics": dict(fit.figures),
        **as_checkpoint(fit.student),
    }
