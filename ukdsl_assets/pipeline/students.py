"""A day of a student: both arms trained on a rolling window, warm-started, saved and judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.gates import GateResult
from ukdsl_assets.lake.checkpoints.interrupted import StateFile
from ukdsl_assets.lake.checkpoints.store import Checkpoint
from ukdsl_assets.learning.students.fit import Fit, fit_student, training_only_tasks
from ukdsl_assets.learning.students.predict import baseline_shapes, predict_student
from ukdsl_assets.learning.students.student import Arm, FittedStudent, as_checkpoint, from_checkpoint, parameters_of
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.students.warm_start import continued
from ukdsl_assets.learning.teachers.on_the_fly import labelled_on_the_fly
from ukdsl_assets.learning.training.gates import (
    COMPARED_ROWS,
    RULES,
    no_withheld_request,
    parameters_finite,
    same_predictions,
    serves_the_main_task_alone,
)
from ukdsl_assets.learning.training.requests_read import RequestsRead, recorded
from ukdsl_assets.learning.training.rows import Reader
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.delays import corrected_readers, known_delays, labels_message, refuse_without_labels
from ukdsl_assets.pipeline.fingerprint import training_fingerprint
from ukdsl_assets.pipeline.teachers import loaded_teacher
from ukdsl_assets.pipeline.workspace import Table
from ukdsl_assets.selection.choice import chosen_of
from ukdsl_assets.selection.simplified import with_features

# Of teacher_augmented; no feature may be called so.
UNREAD = ("explored", "propensity", "teacher", "teacher_version", "withheld")

if TYPE_CHECKING:
    from ukdsl_assets.learning.training.trainer import Progress


@dataclass(frozen=True)
class TrainedArm:
    """A saved, not yet published checkpoint, the verdicts on it, and figures for the UI."""

    checkpoint: Checkpoint
    results: list[GateResult]
    figures: dict[str, Any]


@dataclass(frozen=True)
class TrainingInput:
    """What an arm's training reads.

    Attributes:
        days: of the window that are published.
        readers: of each shard's rows, labels corrected and teacher's labels given.
        requests: what the readers have read, by shard; filled as they are called.
        sample: some of the rows, withheld or not, without labels of a teacher on the fly.
        lineage: data versions of all that is read, by day and model.
        messages: what became of delayed labels, for people and for the checkpoint's JSON.
    """

    days: list[date]
    readers: list[Reader]
    requests: Mapping[int, RequestsRead]
    sample: pl.LazyFrame
    lineage: dict[str, Any]
    messages: dict[str, str]


def train_arm(
    day: Day, student: Student, arm: Arm, progress: "Progress | None" = None, name: str | None = None
) -> TrainedArm:
    """Train on the window's rows that are not withheld, save, and judge what was saved.

    Args:
        student: as it is trained: see `as_selected`.
        name: of the checkpoint, where it is not that of the arm.

    Raises:
        LakeError: a table or checkpoint that it reads is missing; a student that waits for labels has none yet.
        TrainingError: see `fit_student`.
    """
    settings, key = day.settings, day.table(student.name, name or arm)
    read = training_input(day, student, arm)
    previous, warm_start = started_from(day, student, arm, key)
    # An interrupted training of the same input goes on where it stood.
    keeper = StateFile(settings.checkpoints, key, fingerprint(day.cascade, student, arm, read.lineage, warm_start))
    training = Training.of(
        day.cascade,
        student,
        arm,
        read.readers,
        previous=previous,
        threads=settings.training_threads,
        device=settings.device,
        progress=progress,
        keeper=keeper,
    )
    fit = fit_student(training)
    record = {**facts(day.cascade, student, arm, fit), "lineage": read.lineage, "warm_start": warm_start}
    tensors = None if fit.student.text else fit.student.tensors
    saved = day.checkpoints.save(key, day.date, record | read.messages, tensors=tensors, text=fit.student.text)
    keeper.clear()
    figures = {
        **fit.figures,
        "checkpoint": saved.version,
        "warm_start": warm_start or "none",
        "days": ", ".join(map(str, read.days)),
        "features": ", ".join(feature.name for feature in training.features),
        **read.messages,
    }
    return TrainedArm(saved, judge_arm(day, student, arm, saved, fit.student, read), figures)


def training_input(day: Day, student: Student, arm: Arm) -> TrainingInput:
    """The readers of the window's rows that are not withheld, and the record of what they read."""
    rows = day.table(student.name, "teacher_augmented")
    partitions = {each: day.on(each).partition(rows) for each in day.window(rows, student.window_days)}
    refuse_without_labels(day, student)
    version = max(partition.version for partition in partitions.values())
    lineage: dict[str, Any] = {str(each): partition.data_version for each, partition in partitions.items()}
    requests: dict[int, RequestsRead] = {}
    shards = day.lake.scan_shards(rows, [*partitions], version)
    readers = recorded(not_withheld(shards), day.cascade.withheld_share, requests)
    delays = known_delays(day, student)
    readers = corrected_readers(day.cascade, student, delays, readers)
    if delays is not None:
        lineage["delays"] = delays.versions
    for teacher in teachers_on_the_fly(day.cascade, student, arm):
        checkpoint = day.checkpoints.load(teacher[:2], day.date)
        teaching, threads = loaded_teacher(checkpoint), day.settings.threads
        readers = [labelled_on_the_fly(read, teaching, student.task, threads) for read in readers]
        lineage["/".join(teacher)] = checkpoint.version
    # The first rows, withheld or not: for the first that are not, every row of the shard would be read.
    sample = shards[0].head(COMPARED_ROWS)
    return TrainingInput(
        [*partitions], readers, requests, sample, lineage, labels_message(day.cascade, student, delays)
    )


def judge_arm(
    day: Day, student: Student, arm: Arm, saved: Checkpoint, fitted: FittedStudent, read: TrainingInput
) -> list[GateResult]:
    """The gates of an arm that was saved and not yet published, in the order of `arm_rules`."""
    reloaded = as_student(day.checkpoints.load(saved.key, day.date, saved.version))
    sample = read.sample.collect()
    results = [
        parameters_finite(parameters_of(fitted)),
        same_predictions(predict_student(fitted, sample), predict_student(reloaded, sample)),
        no_withheld_request(read.requests.values()),
    ]
    if training_only_tasks(student, arm):
        results.append(serves_the_main_task_alone(reloaded.tensors, baseline_shapes(reloaded)))
    return results


def arm_rules(student: Student, arm: Arm) -> dict[str, str]:
    """Gates of `judge_arm`, in their order, and what they demand."""
    of_tasks = "serves_the_main_task_alone"
    return {name: demands for name, demands in RULES.items() if name != of_tasks or training_only_tasks(student, arm)}


def teachers_on_the_fly(cascade: Cascade, student: Student, arm: Arm) -> list[Table]:
    """The checkpoint of the teacher that labels an arm's rows while it is trained; none where labels are logged."""
    on_the_fly = student.labels == "on_the_fly" and arm == "distilled"
    return [(cascade.name, student.teacher, "teacher_checkpoint")] if on_the_fly else []


def fingerprint(
    cascade: Cascade, student: Student, arm: Arm, lineage: Mapping[str, Any], warm_start: str | None
) -> str:
    """Of an arm's training: declarations, rows, where it starts from, and the code.

    Args:
        lineage: data versions of what is read; warm_start: the checkpoint that it continues.
    """
    declared = {
        "arm": arm,
        "student": declared_for_training(student),
        "features": [feature.model_dump(mode="json") for feature in cascade.features_of(student)],
        "lineage": lineage,
        "from": warm_start,
    }
    return training_fingerprint(declared, f"{student.name} {arm}")


def shard_readers(day: Day, table: Table, days: list[date], version: int) -> list[Reader]:
    """What reads the training rows: each shard of the table over all days, and not the withheld ones."""
    return not_withheld(day.lake.scan_shards(table, days, version))


def not_withheld(shards: Sequence[pl.LazyFrame]) -> list[Reader]:
    """What reads the rows of each shard that may be trained on, without the columns that no training reads."""
    return [shard.filter(~pl.col("withheld")).drop(UNREAD).collect for shard in shards]


def started_from(day: Day, student: Student, arm: Arm, key: Table) -> tuple[FittedStudent | None, str | None]:
    """The newest checkpoint strictly before the day, as far as it fits the declaration, and its name."""
    newest = day.checkpoints.load_newest(key, day.date)
    if newest is None:
        return None, None
    previous = continued(as_student(newest), day.cascade, student, arm)
    return (None, None) if previous is None else (previous, f"{newest.day}/{newest.version}")


def as_selected(day: Day, student: Student) -> Student:
    """A student with `features: selected` as it is trained: with what the newest selection before the day chose.

    Before there is one, with all candidates. Reading what is published, and not the day's own selection, lets both be
    made at once, and a rerun of a day finds what its first run found.
    """
    if student.features != "selected":
        return student
    table = day.table(student.name, "feature_union")
    candidates = tuple(feature.name for feature in day.cascade.candidates_of(student))
    newest = day.newest_before(table)
    chosen = candidates if newest is None else chosen_of(day.lake.scan(table, [newest]).collect())
    # A choice from other candidates than today's is none.
    return with_features(student, chosen if set(chosen) <= set(candidates) else candidates)


def as_student(checkpoint: Checkpoint) -> FittedStudent:
    """A student from its stored checkpoint."""
    return from_checkpoint(checkpoint.metadata, checkpoint.tensors or {}, checkpoint.text)


def declared_for_training(student: Student) -> dict[str, Any]:
    """A student's declaration without what decides on its release, of which a checkpoint knows nothing."""
    return student.model_dump(mode="json", exclude={"release", "accept"})


def facts(cascade: Cascade, student: Student, arm: Arm, fit: Fit) -> dict[str, Any]:
    """What the checkpoint's JSON says; the same for the same inputs, so no time and no run id."""
    return {
        "cascade": cascade.name,
        "note": cascade.note,
        "student": student.name,
        "arm": arm,
        "declaration": declared_for_training(student),
        "metrics": dict(fit.figures),
        **as_checkpoint(fit.student),
    }
