"""A day of a student: both arms trained on a rolling window, warm-started, saved and judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.gates import GateResult
from ukdsl_assets.lake.checkpoints.interrupted import StateFile
from ukdsl_assets.lake.checkpoints.store import Checkpoint
from ukdsl_assets.lake.storage import to_json
from ukdsl_assets.learning.code_version import code_version
from ukdsl_assets.learning.students.fit import Fit, fit_student, tasks_of
from ukdsl_assets.learning.students.predict import baseline_shapes, predict_student
from ukdsl_assets.learning.students.student import Arm, FittedStudent, as_checkpoint, from_checkpoint, parameters_of
from ukdsl_assets.learning.students.warm_start import continued
from ukdsl_assets.learning.teachers import trained as teacher_models
from ukdsl_assets.learning.teachers.on_the_fly import labelled_on_the_fly
from ukdsl_assets.learning.training.gates import (
    no_withheld_request,
    parameters_finite,
    same_predictions,
    serves_the_main_task_alone,
)
from ukdsl_assets.learning.training.requests_read import RequestsRead, recorded
from ukdsl_assets.learning.training.rows import Reader
from ukdsl_assets.pipeline.delays import corrected_readers, known_delays, refuse_without_labels, told_of_labels
from ukdsl_assets.pipeline.workspace import Table, Workspace
from ukdsl_assets.selection.choice import chosen_of
from ukdsl_assets.selection.simplified import with_features

# Rows that a reloaded checkpoint is compared on.
COMPARED_ROWS = 4096


@dataclass(frozen=True)
class TrainedArm:
    """A saved, not yet published checkpoint, the verdicts on it, and figures for the UI."""

    checkpoint: Checkpoint
    results: list[GateResult]
    figures: dict[str, Any]


def train_arm(
    workspace: Workspace,
    cascade: Cascade,
    student: Student,
    arm: Arm,
    day: date,
    progress: Any = None,
    name: str | None = None,
) -> TrainedArm:
    """Train on the window's rows that are not withheld, save, and judge what was saved.

    Args:
        name: of the checkpoint, where it is not that of the arm.
    """
    rows: Table = (cascade.name, student.name, "teacher_augmented")
    days = workspace.window(rows, day, student.window_days)
    used = {each: workspace.partition(rows, each) for each in days}
    version = max(partition.version for partition in used.values())
    refuse_without_labels(cascade, workspace, student, day)
    delays = known_delays(workspace, cascade, student, day)
    requests: dict[int, RequestsRead] = {}
    readers = recorded(shard_readers(workspace, rows, days, version), cascade.withheld_share, requests)
    readers = corrected_readers(cascade, student, delays, readers)
    key = (cascade.name, student.name, name or arm)
    previous, warm_start = newest_before(cascade, workspace, student, arm, key, day)
    lineage: dict[str, Any] = {str(each): partition.data_version for each, partition in used.items()}
    if delays is not None:
        lineage["delays"] = delays.versions
    settings = workspace.settings
    for teacher in loaded_teacher(cascade, student, arm):
        found = workspace.checkpoints.load(teacher[:2], day)
        teaching = teacher_models.from_checkpoint(found.metadata, found.tensors, found.text)
        readers = [labelled_on_the_fly(read, teaching, student.task, settings.threads) for read in readers]
        lineage["/".join(teacher)] = found.version
    # An interrupted training of the same input goes on where it stood.
    state = StateFile(settings.checkpoints, key, fingerprint(cascade, student, arm, lineage, warm_start))
    fit = fit_student(
        cascade, student, arm, readers, previous, settings.training_threads, settings.device, progress, state
    )
    labels = told_of_labels(cascade, student, delays)
    content = {**record(cascade, student, arm, fit), "lineage": lineage, "warm_start": warm_start, **labels}
    tensors = None if fit.student.text else fit.student.tensors
    saved = workspace.checkpoints.save(key, day, content, tensors=tensors, text=fit.student.text)
    state.clear()
    reloaded = as_student(workspace.checkpoints.load(saved.key, day, saved.version))
    sample = readers[0]().head(COMPARED_ROWS)
    return TrainedArm(
        checkpoint=saved,
        results=[
            parameters_finite(parameters_of(fit.student)),
            same_predictions(predict_student(fit.student, sample), predict_student(reloaded, sample)),
            no_withheld_request(requests.values()),
            *(
                [serves_the_main_task_alone(reloaded.tensors, baseline_shapes(reloaded))]
                if tasks_of(student, arm)
                else []
            ),
        ],
        figures={
            **fit.figures,
            "checkpoint": saved.version,
            "warm_start": warm_start or "none",
            "days": ", ".join(map(str, days)),
            "features": ", ".join(feature.name for feature in cascade.features_of(student)),
            **labels,
        },
    )


def loaded_teacher(cascade: Cascade, student: Student, arm: Arm) -> list[Table]:
    """The checkpoint of the teacher that labels an arm's rows while it is trained; none where labels are logged."""
    on_the_fly = student.labels == "on_the_fly" and arm == "distilled"
    return [(cascade.name, student.teacher, "teacher_checkpoint")] if on_the_fly else []


def fingerprint(
    cascade: Cascade, student: Student, arm: Arm, lineage: Mapping[str, Any], warm_start: str | None
) -> str:
    """Hash of everything that a training depends on: declarations, rows, where it starts from, and the code.

    Args:
        lineage: data versions of what is read; warm_start: the checkpoint that it continues.
    """
    declared = {
        "arm": arm,
        "student": student.model_dump(mode="json"),
        "features": [feature.model_dump(mode="json") for feature in cascade.features_of(student)],
        "lineage": lineage,
        "from": warm_start,
        "code": code_version(),
    }
    return sha256(to_json(declared, f"{student.name} {arm}")).hexdigest()[:16]


def shard_readers(workspace: Workspace, table: Table, days: list[date], version: int) -> list[Reader]:
    """What reads the training rows: each shard of the table over all days, and not the withheld ones."""
    shards = workspace.lake.scan_shards(table, days, version)
    return [shard.filter(~pl.col("withheld")).collect for shard in shards]


def newest_before(
    cascade: Cascade, workspace: Workspace, student: Student, arm: Arm, key: Table, day: date
) -> tuple[FittedStudent | None, str | None]:
    """The newest checkpoint strictly before the day, as far as it fits the declaration, and its name."""
    before = workspace.checkpoints.newest_before(key, day)
    if before is None:
        return None, None
    found = workspace.checkpoints.load(key, before)
    previous = continued(as_student(found), cascade, student, arm)
    return (None, None) if previous is None else (previous, f"{before}/{found.version}")


def as_selected(workspace: Workspace, cascade: Cascade, student: Student, day: date) -> Student:
    """A student with `features: selected` as it is trained: with what the newest selection before the day chose.

    Before there is one, with all candidates. Reading what is published, and not the day's own selection, lets both be
    made at once, and a rerun of a day finds what its first run found.
    """
    if student.features != "selected":
        return student
    table: Table = (cascade.name, student.name, "feature_union")
    candidates = tuple(feature.name for feature in cascade.candidates_of(student))
    newest = max((each for each in workspace.lake.partitions(table) if each < day), default=None)
    chosen = candidates if newest is None else chosen_of(workspace.lake.scan(table, [newest]).collect())
    # A choice from other candidates than today's is none.
    return with_features(student, chosen if set(chosen) <= set(candidates) else candidates)


def as_student(checkpoint: Checkpoint) -> FittedStudent:
    """A student from its stored checkpoint."""
    return from_checkpoint(checkpoint.metadata, checkpoint.tensors or {}, checkpoint.text)


def record(cascade: Cascade, student: Student, arm: Arm, fit: Fit) -> dict[str, Any]:
    """What the checkpoint's JSON says; the same for the same inputs, so no time and no run id."""
    return {
        "cascade": cascade.name,
        "note": cascade.note,
        "student": student.name,
        "arm": arm,
        "declaration": student.model_dump(mode="json"),
        "metrics": dict(fit.figures),
        **as_checkpoint(fit.student),
    }
