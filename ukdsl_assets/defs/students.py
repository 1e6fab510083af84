"""Group 5: both arms of every student, trained on a rolling window and warm-started."""

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.defs.closed_impressions import delay_dependencies
from ukdsl_assets.defs.graph.checks import check_results, check_specs, refuse_if_blocked, result, told_plainly
from ukdsl_assets.defs.graph.keys import STUDENTS, since, spec
from ukdsl_assets.defs.graph.publishing import Events, day_of
from ukdsl_assets.learning.students.fit import tasks_of
from ukdsl_assets.learning.students.student import ARMS, Arm
from ukdsl_assets.pipeline.progress import training_progress
from ukdsl_assets.pipeline.students import as_selected, loaded_teacher, train_arm
from ukdsl_assets.pipeline.workspace import Table, Workspace

GATES = {
    "parameters_finite": "Every parameter is a finite number.",
    "reloads_to_the_same_predictions": "The checkpoint read back predicts the same, bit by bit.",
    "no_withheld_request_in_training": "None of the requests trained on is withheld.",
}
SERVED_GATE = {"serves_the_main_task_alone": "The checkpoint's layers are the baseline's, no more."}
DESCRIPTIONS = {
    "baseline": "Labels only, with the distilled arm's epochs, learning rate and steps: the equal-effort control.",
    "distilled": "Labels on impressions and the teacher's soft labels on considered rows.",
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
        f"{student.architecture.kind} of stage {student.stage} for {student.task}. {DESCRIPTIONS[arm]}",
        kinds={"pytorch" if student.architecture.is_network else "lightgbm"},
        deps=[
            since(rows, student.window_days),
            *(dg.AssetKey(each) for each in loaded_teacher(cascade, student, arm)),
            *delay_dependencies(cascade, student),
        ],
    )

    gates = gates_of(student, arm)

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, gates))
    def checkpoint(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            day = day_of(context)
            progress = training_progress(context.log.info, f"{student.name} {arm}")
            trained = train_arm(workspace, cascade, as_selected(workspace, cascade, student, day), arm, day, progress)
            yield from check_results(table, trained.results)
            refuse_if_blocked({table: trained.results})
            workspace.checkpoints.publish(trained.checkpoint)
            yield result(table, trained.checkpoint.version, trained.figures)

    return checkpoint


def gates_of(student: Student, arm: Arm) -> dict[str, str]:
    """What the results of `train_arm` are called, and demand."""
    return GATES | (SERVED_GATE if tasks_of(student, arm) else {})
