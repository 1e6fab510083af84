"""A day of an SQL model: run, judged and staged."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.teachers import LoggedTeacher
from ukdsl_assets.errors import LakeError, SqlModelError
from ukdsl_assets.gates import GateResult
from ukdsl_assets.lake.tables.staging import StagedPartition, removed_on_error
from ukdsl_assets.learning.teachers.exploration import correction_of
from ukdsl_assets.logs.gates.drift import label_rate
from ukdsl_assets.pipeline.workspace import Table, Workspace
from ukdsl_assets.sql.context import parameters_for, template_context
from ukdsl_assets.sql.gates import audit_model
from ukdsl_assets.sql.render import RenderedModel, in_order, render
from ukdsl_assets.sql.run import run_sharded

SQL_GATES = {
    "keys_unique": "The declared keys identify a row.",
    "column_rules": "Every column keeps the rules in the header of its SQL file.",
}
# Judges the files of a staged partition.
Audit = Callable[[date, Sequence[str]], list[GateResult]]


def check_models(cascade: Cascade, workspace: Workspace) -> None:
    """Refuse SQL files that read a table which nobody makes, read each other in a circle, or are of no use.

    Raises:
        SqlModelError: names the file and what was expected.
    """
    teacher = next((each for each in cascade.teachers if each.logged), None)
    student = next(iter(cascade.students), None)
    rendered = []
    for model in workspace.models.values():
        if model.scope == "teacher" and model.table != "teacher_labels":
            raise SqlModelError(f"{model.path}: scope: teacher is for the table teacher_labels, saw `{model.table}`")
        if model.scope == "cascade":
            rendered.append(render(model, template_context(cascade)))
        elif model.scope == "teacher" and teacher is not None:
            rendered.append(render(model, template_context(cascade, teacher=teacher)))
        elif model.scope == "student" and student is not None:
            rendered.append(render(model, template_context(cascade, student)))
    in_order(
        rendered,
        {"candidate_log", "event_log", "teacher_labels", "closed_impressions"}
        - {each.model.table for each in rendered},
    )


@dataclass(frozen=True)
class MadeTable:
    """A staged partition, the verdicts on it, and the data versions of what it was made from."""

    staged: StagedPartition
    results: list[GateResult]
    inputs: dict[str, str]


def make_table(
    workspace: Workspace,
    cascade: Cascade,
    rendered: RenderedModel,
    table: Table,
    upstream: Mapping[str, Table],
    day: date,
    student: Student | None = None,
    teacher: LoggedTeacher | None = None,
    audit: Audit | None = None,
) -> MadeTable:
    """Run a model on the day's published inputs, judge the files, and stage them."""
    found = {name: workspace.partition(key, day) for name, key in upstream.items()}
    same_reading(workspace, [found[name].table for name in ("candidate_log", "event_log") if name in found], day)
    versions = {"/".join(partition.table): partition.data_version for partition in found.values()}
    corrected = workspace.versions(day, *correction_tables(cascade, student))
    # What a row was taught by: the labels and, where they are corrected, what they are corrected by.
    taught_by = [found["teacher_labels"].data_version, *corrected.values()] if "teacher_labels" in found else []
    shift = teacher_shift(workspace, cascade, student, day) if student else None
    clock = read_at(workspace, found["event_log"].table, day) if "event_log" in found else None
    values = parameters_for(cascade, day, student, teacher, "+".join(taught_by) or None, shift, clock)
    inputs = {name: partition.files for name, partition in found.items()}
    lake, threads = workspace.lake, workspace.settings.threads
    files = run_sharded(rendered, inputs, values, lambda *shard: lake.new_file(table, day, *shard), threads)
    with removed_on_error(files):
        results = audit_model(rendered, files, values) + (audit(day, files) if audit else [])
        return MadeTable(lake.stage_files(table, day, files), results, versions | corrected)


def correction_tables(cascade: Cascade, student: Student | None) -> list[Table]:
    """What a student's rows depend on beside the tables that the SQL names: the audit that corrects its teacher."""
    if student is None or student.correction == "none":
        return []
    return [(cascade.name, student.teacher, "teacher_audit")]


def teacher_shift(workspace: Workspace, cascade: Cascade, student: Student, day: date) -> float | None:
    """What is added to the teacher's logits on a day; None for a teacher that is taken at its word."""
    tables = correction_tables(cascade, student)
    return correction_of(workspace.lake.scan(tables[0], [day]).collect(), student.task) if tables else None


def read_at(workspace: Workspace, events: Table, day: date) -> datetime:
    """Until when the published event log of a day knows what happened.

    Raises:
        LakeError: when its commit does not say.
    """
    clock = workspace.lake.history(events, day)[0].metadata.get("known_until")
    if clock is None:
        raise LakeError(
            f"{'/'.join(events)}, day {day}: its commit has no `known_until`. Make the day again: ukdsl run "
            f"{events[0]} --days {day}"
        )
    return datetime.fromisoformat(clock)


def same_reading(workspace: Workspace, logs: Sequence[Table], day: date) -> None:
    """Refuse logs of which a killed run has published one and not the other.

    Raises:
        LakeError: when the logs' newest commits are not of one reading.
    """
    readings = {workspace.lake.history(table, day)[0].metadata["reading"] for table in logs}
    if len(readings) > 1:
        raise LakeError(
            f"{' and '.join('/'.join(table) for table in logs)}, day {day}: published from different readings of the "
            f"source, since a run was stopped between the two. Make the day again: ukdsl run {logs[0][0]} --days {day}"
        )


def label_audit(cascade: Cascade, workspace: Workspace) -> tuple[dict[str, str], Audit]:
    """Rules and verdicts on how often each task's label is positive."""
    table = (cascade.name, "impressions")
    tasks = [task.name for task in cascade.tasks]

    def audit(day: date, files: Sequence[str]) -> list[GateResult]:
        today = _counts(pl.scan_parquet(list(files)), tasks)
        trailing = [_counts(workspace.lake.scan(table, [each]), tasks) for each in workspace.trailing(table, day)]
        return [label_rate(cascade, task, *today[task], [_rate(*day[task]) for day in trailing]) for task in tasks]

    rules = {f"{task}_label_rate_near_trailing_median": f"{task} is as frequent as the week before." for task in tasks}
    return rules, audit


def _counts(rows: pl.LazyFrame, tasks: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Positive labels and all labels of each task."""
    counts = rows.select(
        *(pl.col(task).sum().cast(pl.Int64).alias(f"{task} positive") for task in tasks),
        *(pl.col(task).count().alias(f"{task} labelled") for task in tasks),
    ).collect()
    return {task: (counts.item(0, f"{task} positive"), counts.item(0, f"{task} labelled")) for task in tasks}


def _rate(positive: int, labelled: int) -> float | None:
    return positive / labelled if labelled else None


def upstream_table(cascade: Cascade, name: str, student: Student | None) -> Table:
    """Where a table that a SQL file names lives in the lake."""
    return (cascade.name, student.teacher, name) if name == "teacher_labels" and student else (cascade.name, name)
