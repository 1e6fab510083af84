"""Group 5: both arms of every student, trained on a rolling window and warm-started."""

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.defs.closed_impressions import delay_dependencies
from ukdsl_assets.defs.graph.checks import check_results, check_specs, errors_as_failures, refuse_if_blocked, result
from ukdsl_assets.defs.graph.keys import STUDENTS, asset_key, since, spec
from ukdsl_assets.defs.graph.publishing import Events, day_of
from ukdsl_assets.learning.students.student import ARMS, Arm
from ukdsl_assets.pipeline.progress import training_progress
from ukdsl_assets.pipeline.students import arm_rules, as_selected, teachers_on_the_fly, train_arm
from ukdsl_assets.pipeline.workspace import Table, Workspace

DESCRIPTIONS = {
    "baseline": "The equal-effort control: labels only, with the distilled arm's epochs, learning rate and steps.",
    "distilled": "The student: labels on impressions, and the teacher's soft labels on considered rows.",
}


def student_assets(cascade: Cascade, workspace: Workspace) -> list[dg.AssetsDefinition]:
    """A checkpoint asset for each arm of each student."""
    return [arm_asset(cascade, workspace, student, arm) for student in cascade.students for arm in ARMS]


def arm_asset(cascade: Cascade, workspace: Workspace, student: Student, arm: Arm) -> dg.AssetsDefinition:
    """[cascade, student, <arm>_checkpoint]"""
    table: Table = (cascade.name, student.name, f"{arm}_checkpoint")
    rows: Table = (cascade.name, student.name, "teacher_augmented")
    described = spec(
        cascade,
        table,
        STUDENTS,
        f"{DESCRIPTIONS[arm]} {student.architecture.kind} of stage {student.stage} for {student.task}.",
        kinds={"pytorch" if student.architecture.is_network else "lightgbm"},
        deps=[
            since(rows, student.window_days),
            *(asset_key(key) for key in teachers_on_the_fly(cascade, student, arm)),
            *delay_dependencies(cascade, student),
        ],
    )

    checks = check_specs(cascade, table, arm_rules(student, arm))

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=checks)
    def checkpoint(context: dg.AssetExecutionContext) -> Events:
        with errors_as_failures():
            day = day_of(context, workspace, cascade)
            progress = training_progress(context.log.info, f"{student.name} {arm}")
            trained = train_arm(day, as_selected(day, student), arm, progress)
            yield from check_results(table, trained.results)
            refuse_if_blocked({table: trained.results})
            day.checkpoints.publish(trained.checkpoint)
            yield result(table, trained.checkpoint.version, trained.figures)

    return checkpoint
