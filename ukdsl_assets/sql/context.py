"""What a template of dbt_like_sql may name: identifiers of the declaration in Jinja, values as bound parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from math import exp
from typing import Any

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import (
    CLOSED_IMPRESSIONS,
    GIVEN_PROBABILITY,
    delay_column,
    label_column,
    prediction_column,
    truth_column,
)
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.teachers import Teacher
from ukdsl_assets.frames.splits import BUCKETS, SALT


@dataclass(frozen=True)
class TaskNames:
    """A task: its label column (`name`), the labels that must be 1 for it to have one, its truth column, and the
    column of its event's delay (None: the task is not delayed)."""

    name: str
    conditions: tuple[str, ...]
    truth: str
    delay: str | None


@dataclass(frozen=True)
class PredictionNames:
    """A logged prediction: its column, that of the next stage that predicts the same task (None: none does), the
    stage just before that one, and the stages from its own and from that next one on."""

    stage: str
    task: str
    column: str
    teacher: str | None
    before_teacher: str | None
    truth: str
    reached_by: tuple[str, ...]
    teacher_reached_by: tuple[str, ...]


@dataclass(frozen=True)
class TeacherNames:
    """A teacher: the stages whose candidates it labels, the stage whose rejected candidates it labels where they are
    probes (of a logged teacher; None: none), and the (label, logged) column pairs of a logged teacher."""

    name: str
    reached_by: tuple[str, ...]
    probes: str | None
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class StudentNames:
    """A student: the stage that rejects for it (its own, None if it is the last), the column of its label, that of its
    teacher's label, those of its features and of what its selection may choose from, those of them that only what was
    shown has, the stages from its own on, whether its teacher labels only what has no label, whether its teacher is
    corrected, the table that its labels are of, whether they are to be corrected for those that are yet to come, and
    columns that only training reads: further tasks' labels, the teacher's labels of further tasks, who predicts each
    task that its own is given, and (none or one) the teacher's hidden layer."""

    name: str
    rejected_by: str | None
    task: str
    reached_by: tuple[str, ...]
    teacher_label: str
    features: tuple[str, ...]
    features_of_shown: tuple[str, ...]
    unlabeled_only: bool
    labels: str
    labels_corrected: bool
    corrected: bool
    label_tasks: tuple[str, ...]
    taught_labels: tuple[str, ...]
    given: tuple[tuple[str, str], ...]
    representation: tuple[str, ...]


def template_context(
    cascade: Cascade, student: Student | None = None, teacher: Teacher | None = None
) -> dict[str, Any]:
    """The names that a template may use; `student` and `teacher` are absent for models of scope cascade.

    Without `teacher`, a student's own is taken.
    """
    if student is not None and teacher is None:
        teacher = cascade.teacher(student.teacher)
    context: dict[str, Any] = {
        "identifiers": cascade.identifiers,
        "has_bid": cascade.has_bid,
        "has_probes": cascade.has_probes,
        "has_truth": cascade.has_truth,
        "stages": tuple(stage.name for stage in cascade.stages),
        "tasks": tuple(
            TaskNames(
                t.name, cascade.conditions_of(t.name), truth_column(t.name), delay_column(t.name) if t.delayed else None
            )
            for t in cascade.tasks
        ),
        "delayed": bool(cascade.delayed_tasks),
        "predictions": _predictions(cascade),
        "features": tuple(feature.name for feature in cascade.features),
        "feature_types": {feature.name: _sql_type(feature) for feature in cascade.features},
    }
    if teacher is not None:
        logged = cascade.predictions_of(teacher.stage) if teacher.logged else ()
        context["teacher"] = TeacherNames(
            name=teacher.name,
            reached_by=context["stages"][cascade.depth(teacher.stage) :],
            probes=_probes_of(cascade, teacher),
            labels=tuple((label_column(task), prediction_column(teacher.stage, task)) for task in logged),
        )
    if student is not None:
        features = tuple(feature.name for feature in cascade.columns_of(student))
        reached_by = context["stages"][cascade.depth(student.stage) :]
        # Another cascade's teacher has not seen the labels of here, so its own add to them.
        foreign = cascade.teacher(student.teacher).foreign
        context["student"] = StudentNames(
            name=student.name,
            rejected_by=student.stage if student.stage != context["stages"][-1] else None,
            task=student.task,
            reached_by=reached_by,
            teacher_label=label_column(student.task),
            features=features,
            features_of_shown=tuple(each.name for each in cascade.columns_of(student) if each.served_as is not None),
            unlabeled_only=bool(student.teacher_tasks) and not foreign,
            labels=CLOSED_IMPRESSIONS if student.delayed_feedback == "wait" else "impressions",
            labels_corrected=student.delayed_feedback == "correct",
            corrected=student.correction != "none",
            label_tasks=student.label_tasks,
            taught_labels=tuple(label_column(task) for task in student.taught_tasks if task != student.task),
            given=_given(cascade, student),
            representation=("representation",) if "representation" in student.heads else (),
        )
    return context


def parameters_for(
    cascade: Cascade,
    day: date,
    student: Student | None = None,
    teacher: Teacher | None = None,
    teacher_version: str | None = None,
    teacher_shift: float | None = None,
    known_until: datetime | None = None,
) -> dict[str, Any]:
    """Every value that a model may bind, by the name it has after `$`.

    day; stages, tasks (lists of names); per stage stage_<name> and rate_<name>; per task task_<name>, event_<name>
    and window_<name>; withheld_salt and withheld_buckets (a request is withheld if its hash, in [0, 10,000), is
    below); and where given student, teacher (names; a student's own by default), teacher_version, teacher_odds (exp of
    the shift of its logits) and known_until (with a time zone: when the event log was read).
    """
    values: dict[str, Any] = {
        "day": day,
        "stages": [stage.name for stage in cascade.stages],
        "tasks": [task.name for task in cascade.tasks],
        "withheld_salt": SALT,
        "withheld_buckets": cascade.withheld_share * BUCKETS,
    }
    for stage in cascade.stages:
        values |= {f"stage_{stage.name}": stage.name, f"rate_{stage.name}": stage.consideration_rate}
    for task in cascade.tasks:
        values |= {f"task_{task.name}": task.name, f"event_{task.name}": task.event}
        values[f"window_{task.name}"] = task.attribution_window
    if student is not None:
        values["student"] = student.name
        values["teacher"] = student.teacher
    if teacher is not None:
        values["teacher"] = teacher.name
    if teacher_version is not None:
        values["teacher_version"] = teacher_version
    if teacher_shift is not None:
        values["teacher_odds"] = exp(teacher_shift)
    if known_until is not None:
        values["known_until"] = known_until
    return values


def families(context: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The columns behind each name in angle brackets that a header may use."""
    columns = {
        "<prediction>": tuple(prediction.column for prediction in context["predictions"]),
        "<task>": tuple(task.name for task in context["tasks"]),
        "<feature>": context["student"].features if "student" in context else context["features"],
        "<bid>": ("bid",) if context["has_bid"] else (),
        "<probed>": ("probed",) if context["has_probes"] else (),
        "<probe_rate>": ("probe_rate",) if context["has_probes"] else (),
        "<delay>": tuple(task.delay for task in context["tasks"] if task.delay),
        "<known_until>": ("known_until",) if _has_known_until(context) else (),
    }
    if "student" in context:
        columns["<label_task>"] = context["student"].label_tasks
        columns["<taught_label>"] = context["student"].taught_labels
        columns["<given_probability>"] = (GIVEN_PROBABILITY,) if context["student"].given else ()
        columns["<representation>"] = context["student"].representation
    if "teacher" in context:
        columns["<teacher_label>"] = tuple(label for label, _ in context["teacher"].labels)
    return columns


def _has_known_until(context: Mapping[str, Any]) -> bool:
    return context["student"].labels_corrected if "student" in context else context["delayed"]


def _given(cascade: Cascade, student: Student) -> tuple[tuple[str, str], ...]:
    """Who predicts each task that a student's is given, as (table, column): its teacher, or else its stage.

    Empty for a task that is given none, and where neither predicts one of them.
    """
    taught, logged = cascade.tasks_taught(cascade.teacher(student.teacher)), cascade.predictions_of(student.stage)
    tasks = cascade.conditions_of(student.task)
    if any(task not in (*taught, *logged) for task in tasks):
        return ()
    return tuple(
        ("teacher_labels", label_column(task))
        if task in taught
        else ("considered", prediction_column(student.stage, task))
        for task in tasks
    )


def _probes_of(cascade: Cascade, teacher: Teacher) -> str | None:
    """The stage whose probes a teacher labels: the one before a logged teacher's."""
    depth = cascade.depth(teacher.stage)
    return cascade.stages[depth - 1].name if cascade.has_probes and teacher.logged and depth else None


def _predictions(cascade: Cascade) -> tuple[PredictionNames, ...]:
    columns = [
        (s.name, task, prediction_column(s.name, task))
        for s in cascade.stages
        for task in cascade.predictions_of(s.name)
    ]
    predictions, stages = [], tuple(stage.name for stage in cascade.stages)
    for position, (stage, task, column) in enumerate(columns):
        later = next((each for each in columns[position + 1 :] if each[1] == task), None)
        before = cascade.stages[cascade.depth(later[0]) - 1].name if later else None
        teacher = later[2] if later else None
        own, next_one = (stages[cascade.depth(each) :] if each else () for each in (stage, later and later[0]))
        predictions.append(PredictionNames(stage, task, column, teacher, before, truth_column(task), own, next_one))
    return tuple(predictions)


def _sql_type(feature: Any) -> str:
    if feature.of_ids:
        of_one = "BIGINT" if feature.values == "integer" else "VARCHAR"
        return f"{of_one}[]" if feature.kind == "multi_valued" else of_one
    return "FLOAT" if feature.kind == "numeric" else "FLOAT[]"
