"""A day of an SQL model: run, judged and staged."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CLOSED_IMPRESSIONS, NO_MODELS_TABLES
from ukdsl_assets.declaration.corrections import KnownRate
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.teachers import LoggedTeacher
from ukdsl_assets.errors import LakeError, SqlModelError
from ukdsl_assets.gates import GateResult, demand
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.lake.tables.reading import PublishedPartition
from ukdsl_assets.lake.tables.staging import StagedPartition
from ukdsl_assets.learning.teachers.exploration import correction_of
from ukdsl_assets.learning.teachers.verdicts import corrections_told
from ukdsl_assets.logs.gates.drift import label_rate
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.shards import discarded_on_error, staged_by_shard, threads_of_a_shard
from ukdsl_assets.pipeline.workspace import Table, Workspace
from ukdsl_assets.sql.context import parameters_for, template_context
from ukdsl_assets.sql.gates import RuleCounts, count_rules, judge_counts
from ukdsl_assets.sql.model import SqlModel
from ukdsl_assets.sql.render import RenderedModel, in_dependency_order, render
from ukdsl_assets.sql.run import run_model, shards_of


@dataclass(frozen=True)
class Audit:
    """Verdicts beyond a header's rules, from what is measured of each file where it was made.

    Attributes:
        measure: (what the file is measured beside, its path) -> what `judge` adds up; picklable.
        judge: verdicts by what was measured, in the order of the shards.
        beside: what each of a day's files, of which there are so many, is measured beside; None for nothing.
    """

    measure: Callable[[Any, str], Any]
    judge: Callable[[Day, Sequence[Any]], list[GateResult]]
    beside: Callable[[Day, int], Sequence[Any]] | None = None


def check_models(cascade: Cascade, workspace: Workspace) -> list[SqlModel]:
    """Refuse SQL files that read a table which nobody makes, read each other in a circle, or are of no use.

    Returns:
        The models that the cascade has a use for, each after those that it reads.

    Raises:
        SqlModelError: names the file and what was expected.
    """
    teacher = next((each for each in cascade.teachers if each.logged), None)
    student = next(iter(cascade.students), None)
    # Their folders of the lake stand side by side.
    taken = dict.fromkeys(NO_MODELS_TABLES, "what no SQL model makes") | {
        each.name: "a teacher or student" for each in (*cascade.teachers, *cascade.students)
    }
    rendered = []
    for model in workspace.models.values():
        if model.scope == "cascade" and model.table in taken:
            raise SqlModelError(
                f"{model.path}: table `{model.table}` has the name of {taken[model.table]} in {cascade.origin}; give "
                "the file, or the `table` of its header, another name"
            )
        if model.scope == "teacher" and model.table != "teacher_labels":
            raise SqlModelError(f"{model.path}: scope: teacher is for the table teacher_labels, saw `{model.table}`")
        if model.scope == "cascade":
            rendered.append(render(model, template_context(cascade)))
        elif model.scope == "teacher" and teacher is not None:
            rendered.append(render(model, template_context(cascade, teacher=teacher)))
        elif model.scope == "student" and student is not None:
            rendered.append(render(model, template_context(cascade, student)))
    given = {"candidate_log", "event_log", "teacher_labels", CLOSED_IMPRESSIONS}
    ordered = in_dependency_order(rendered, given - {each.model.table for each in rendered})
    return [each.model for each in ordered]


@dataclass(frozen=True)
class StagedTable:
    """A staged partition, the verdicts on it, and the data versions of what it was made from."""

    staged: StagedPartition
    results: list[GateResult]
    inputs: dict[str, str]


@dataclass(frozen=True)
class TableModel:
    """A rendered SQL model and the table that it makes.

    Attributes:
        rendered: the SQL and its header.
        table: that it makes.
        upstream: name in the SQL -> table in the lake.
        student, teacher: whose table it is, where the model's scope says so.
        audit: verdicts beyond the header's rules.
    """

    rendered: RenderedModel
    table: Table
    upstream: Mapping[str, Table]
    student: Student | None = None
    teacher: LoggedTeacher | None = None
    audit: Audit | None = None


def table_model(
    cascade: Cascade,
    workspace: Workspace,
    name: str,
    table: Table,
    student: Student | None = None,
    teacher: LoggedTeacher | None = None,
    audit: Audit | None = None,
) -> TableModel:
    """The SQL model of a name, rendered for the table that it makes."""
    rendered = render(workspace.models[name], template_context(cascade, student, teacher))
    upstream = {name: upstream_table(cascade, name, student) for name in rendered.depends_on}
    return TableModel(rendered, table, upstream, student, teacher, audit)


def stage_table(day: Day, model: TableModel) -> StagedTable:
    """Run a model on the day's published inputs, judge the files, and stage them."""
    rendered, table, student, lake = model.rendered, model.table, model.student, day.lake
    inputs = {name: day.partition(key) for name, key in model.upstream.items()}
    same_reading(day, [inputs[name].table for name in ("candidate_log", "event_log") if name in inputs])
    versions = {"/".join(partition.table): partition.data_version for partition in inputs.values()}
    corrected = day.versions(*correction_tables(day.cascade, student))
    # What a row was taught by: the labels and, where they are corrected, what they are corrected by.
    taught_by = [inputs["teacher_labels"].data_version, *corrected.values()] if "teacher_labels" in inputs else []
    shift = teacher_shift(day, student) if student else None
    clock = read_at(day, inputs["event_log"].table) if "event_log" in inputs else None
    values = parameters_for(day.cascade, day.date, student, model.teacher, "+".join(taught_by) or None, shift, clock)
    shards = shards_of(rendered, {name: partition.files for name, partition in inputs.items()})
    parts = [{name: replace(inputs[name], files=tuple(files)) for name, files in shard.items()} for shard in shards]
    audit = model.audit
    beside = audit.beside(day, len(parts)) if audit and audit.beside else [None] * len(parts)
    work = partial(_run, rendered, values, threads_of_a_shard(day), lake, audit.measure if audit else None)
    staged, made = staged_by_shard(day, table, work, list(zip(parts, beside, strict=True)))
    with discarded_on_error(day, staged):
        results = judge_counts(rendered, [counted for counted, _ in made])
        results += audit.judge(day, [measured for _, measured in made]) if audit else []
        return StagedTable(staged, results, versions | corrected)


def _run(
    rendered: RenderedModel,
    values: Mapping[str, Any],
    threads: int,
    lake: Lake,
    measure: Callable[[Any, str], Any] | None,
    part: tuple[Mapping[str, PublishedPartition], Any],
    path: str,
) -> tuple[RuleCounts, Any]:
    """Run a model on a shard, and count its file; what is read is verified first, since DuckDB opens files itself."""
    inputs, beside = part
    for partition in inputs.values():
        lake.verify(partition)
    run_model(rendered, {name: partition.files for name, partition in inputs.items()}, values, path, threads)
    return count_rules(rendered, path, values), measure(beside, path) if measure else None


def correction_tables(cascade: Cascade, student: Student | None) -> list[Table]:
    """What a student's rows depend on beside the tables that the SQL names: the audit that corrects its teacher."""
    if student is None or student.correction == "none":
        return []
    return [(cascade.name, student.teacher, "teacher_audit")]


def teacher_shift(day: Day, student: Student) -> float | None:
    """What is added to the teacher's logits on a day; None for a teacher that is taken at its word."""
    tables = correction_tables(day.cascade, student)
    if not tables:
        return None
    rate = student.correction if isinstance(student.correction, KnownRate) else None
    return correction_of(day.lake.scan(tables[0], [day.date]).collect(), student.task, rate)


def correction_message(day: Day, student: Student | None) -> dict[str, str]:
    """Metadata: what was added to the teacher's logits on a day, or why nothing; empty where nothing is declared."""
    tables = correction_tables(day.cascade, student)
    if student is None or not tables:
        return {}
    if isinstance(student.correction, KnownRate):
        shift = teacher_shift(day, student)
        told = f"the mean of all that it labels is made {student.correction.told}: {shift:+.3f} to its logits"
    else:
        told = corrections_told(day.lake.scan(tables[0], [day.date]).collect())[student.task]
    return {"correction": f"{student.teacher}, {student.task}: {told}"}


def read_at(day: Day, events: Table) -> datetime:
    """Until when the published event log of a day knows what happened.

    Raises:
        LakeError: when it is not published, or what is known of its making does not say.
    """
    clock = day.lake.publication(events, day.date).metadata.get("known_until")
    if clock is None:
        raise LakeError(
            f"{'/'.join(events)}, day {day.date}: what is known of it has no `known_until`. Make the day again: "
            f"ukdsl run {events[0]} --days {day.date}"
        )
    return datetime.fromisoformat(clock)


def same_reading(day: Day, logs: Sequence[Table]) -> None:
    """Refuse logs of which a killed run has published one and not the other.

    Raises:
        LakeError: when what is live of the logs is not of one reading, or one is not published.
    """
    readings = {day.lake.publication(table, day.date).metadata.get("reading") for table in logs}
    if len(readings) > 1:
        raise LakeError(
            f"{' and '.join('/'.join(table) for table in logs)}, day {day.date}: published from different readings of "
            f"the source, since a run was stopped between the two. Make the day again: ukdsl run {logs[0][0]} --days "
            f"{day.date}"
        )


def label_rate_rules(cascade: Cascade) -> dict[str, str]:
    """Gates on how often each task's label is positive, and what they demand."""
    names = [task.name for task in cascade.tasks]
    fix = "see whether events were lost, doubled or renamed; where behaviour truly changed, widen gates.label_rate."
    return {
        f"{name}_label_rate_near_trailing_median": demand(f"{name} is as frequent as the week before.", fix)
        for name in names
    }


def label_rate_audit(cascade: Cascade) -> Audit:
    """The verdicts of `label_rate_rules` on the files of a day's impressions."""
    return Audit(partial(_counts_of_file, [task.name for task in cascade.tasks]), _judge_label_rates)


def _judge_label_rates(day: Day, counted: Sequence[Mapping[str, tuple[int, int]]]) -> list[GateResult]:
    table, tasks = day.table("impressions"), [task.name for task in day.cascade.tasks]
    trailing = [_counts(day.lake.scan(table, [each]), tasks) for each in day.trailing(table)]
    results = []
    for task in tasks:
        positive, labelled = (sum(of_file[task][place] for of_file in counted) for place in (0, 1))
        rates = [_rate(*each[task]) for each in trailing]
        results.append(label_rate(day.cascade, task, positive, labelled, rates))
    return results


def _counts_of_file(tasks: Sequence[str], beside: None, file: str) -> dict[str, tuple[int, int]]:
    return _counts(pl.scan_parquet(file, glob=False, hive_partitioning=False), tasks)


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
