"""Tables made by the SQL models: one asset a file, or one a teacher or student where the file's scope says so."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256

import dagster as dg
import polars as pl

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.declared_students import Student
from ukdsl_assets.declared_teachers import LoggedTeacher
from ukdsl_assets.defs.gates import check_specs, told_plainly
from ukdsl_assets.defs.keys import TABLES, TEACHERS, spec
from ukdsl_assets.defs.lineage import lineage_metadata
from ukdsl_assets.defs.platform import Platform, Table
from ukdsl_assets.defs.publishing import Events, day_of, publish_staged
from ukdsl_assets.errors import LakeError, SqlModelError
from ukdsl_assets.gates import GateResult
from ukdsl_assets.lake.staging import StagedPartition, removed_on_error
from ukdsl_assets.learning.exploration_audit import correction_of
from ukdsl_assets.sources.drift import label_rate
from ukdsl_assets.sql.audit import audit_model
from ukdsl_assets.sql.context import parameters_for, template_context
from ukdsl_assets.sql.render import RenderedModel, in_order, render
from ukdsl_assets.sql.run import run_sharded

SQL_GATES = {
    "keys_unique": "The declared keys identify a row.",
    "column_rules": "Every column keeps the rules in the header of its SQL file.",
}
# Judges the files of a staged partition.
Audit = Callable[[date, Sequence[str]], list[GateResult]]


def table_assets(cascade: Cascade, platform: Platform) -> list[dg.AssetsDefinition]:
    """Group 2, the tables that a cascade has once, and in group 3 what the teachers teach each student."""
    check_models(cascade, platform)
    assets = []
    table: Table
    for model in platform.models.values():
        if model.scope == "cascade":
            rules, audit = label_audit(cascade, platform) if model.table == "impressions" else ({}, None)
            table = (cascade.name, model.table)
            assets.append(sql_asset(cascade, platform, model.name, table, TABLES, rules=rules, audit=audit))
        elif model.scope == "student":
            for student in cascade.students:
                table = (cascade.name, student.name, model.table)
                assets.append(sql_asset(cascade, platform, model.name, table, TEACHERS, student=student))
    return assets


def check_models(cascade: Cascade, platform: Platform) -> None:
    """Refuse SQL files that read a table which nobody makes, read each other in a circle, or are of no use.

    Raises:
        SqlModelError: names the file and what was expected.
    """
    teacher = next((each for each in cascade.teachers if each.kind == "logged"), None)
    student = next(iter(cascade.students), None)
    rendered = []
    for model in platform.models.values():
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


def sql_asset(
    cascade: Cascade,
    platform: Platform,
    model_name: str,
    table: Table,
    group: str,
    student: Student | None = None,
    teacher: LoggedTeacher | None = None,
    rules: dict[str, str] | None = None,
    audit: Audit | None = None,
) -> dg.AssetsDefinition:
    """The asset of one SQL model, published when the header's rules, and `rules` as judged by `audit`, hold."""
    model = platform.models[model_name]
    rendered = render(model, template_context(cascade, student, teacher))
    upstream = {name: upstream_table(cascade, name, student) for name in rendered.depends_on}
    correction = correction_tables(cascade, student)
    described = spec(
        cascade,
        table,
        group,
        model.description,
        owner=model.owner,
        kinds={"sql", "deltalake"},
        deps=[dg.AssetKey(key) for key in (*upstream.values(), *correction)],
        code_version=sha256(rendered.sql.encode()).hexdigest()[:12],
    )

    @dg.multi_asset(
        name="__".join(table),
        specs=[described],
        check_specs=check_specs(cascade, table, {**SQL_GATES, **(rules or {})}),
    )
    def sql_table(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            day = day_of(context)
            made = make_table(platform, cascade, rendered, table, upstream, day, student, teacher, audit)
            metadata = lineage_metadata(platform, rendered, upstream, day)
            told = {name: column.description for name, column in rendered.columns.items()}
            yield from publish_staged(context, platform, made.staged, made.results, made.inputs, metadata, told)

    return sql_table


@dataclass(frozen=True)
class MadeTable:
    """A staged partition, the verdicts on it, and the data versions of what it was made from."""

    staged: StagedPartition
    results: list[GateResult]
    inputs: dict[str, str]


def make_table(
    platform: Platform,
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
    found = {name: platform.partition(key, day) for name, key in upstream.items()}
    same_reading(platform, [found[name].table for name in ("candidate_log", "event_log") if name in found], day)
    versions = {"/".join(partition.table): partition.data_version for partition in found.values()}
    corrected = platform.versions(day, *correction_tables(cascade, student))
    # What a row was taught by: the labels and, where they are corrected, what they are corrected by.
    taught_by = [found["teacher_labels"].data_version, *corrected.values()] if "teacher_labels" in found else []
    shift = teacher_shift(platform, cascade, student, day) if student else None
    clock = read_at(platform, found["event_log"].table, day) if "event_log" in found else None
    values = parameters_for(cascade, day, student, teacher, "+".join(taught_by) or None, shift, clock)
    inputs = {name: partition.files for name, partition in found.items()}
    lake, threads = platform.lake, platform.settings.threads
    files = run_sharded(rendered, inputs, values, lambda *shard: lake.new_file(table, day, *shard), threads)
    with removed_on_error(files):
        results = audit_model(rendered, files, values) + (audit(day, files) if audit else [])
        return MadeTable(lake.stage_files(table, day, files), results, versions | corrected)


def correction_tables(cascade: Cascade, student: Student | None) -> list[Table]:
    """What a student's rows depend on beside the tables that the SQL names: the audit that corrects its teacher."""
    if student is None or student.correction == "none":
        return []
    return [(cascade.name, student.teacher, "teacher_audit")]


def teacher_shift(platform: Platform, cascade: Cascade, student: Student, day: date) -> float | None:
    """What is added to the teacher's logits on a day; None for a teacher that is taken at its word."""
    tables = correction_tables(cascade, student)
    return correction_of(platform.lake.scan(tables[0], [day]).collect(), student.task) if tables else None


def read_at(platform: Platform, events: Table, day: date) -> datetime:
    """Until when the published event log of a day knows what happened.

    Raises:
        LakeError: when its commit does not say.
    """
    clock = platform.lake.history(events, day)[0].metadata.get("known_until")
    if clock is None:
        raise LakeError(
            f"{'/'.join(events)}, day {day}: its commit has no `known_until`. Make the day again: ukdsl run "
            f"{events[0]} --days {day}"
        )
    return datetime.fromisoformat(clock)


def same_reading(platform: Platform, logs: Sequence[Table], day: date) -> None:
    """Refuse logs of which a killed run has published one and not the other.

    Raises:
        LakeError: when the logs' newest commits are not of one reading.
    """
    readings = {platform.lake.history(table, day)[0].metadata["reading"] for table in logs}
    if len(readings) > 1:
        raise LakeError(
            f"{' and '.join('/'.join(table) for table in logs)}, day {day}: published from different readings of the "
            f"source, since a run was stopped between the two. Make the day again: ukdsl run {logs[0][0]} --days {day}"
        )


def label_audit(cascade: Cascade, platform: Platform) -> tuple[dict[str, str], Audit]:
    """Rules and verdicts on how often each task's label is positive."""
    table = (cascade.name, "impressions")
    tasks = [task.name for task in cascade.tasks]

    def audit(day: date, files: Sequence[str]) -> list[GateResult]:
        today = _counts(pl.scan_parquet(list(files)), tasks)
        trailing = [_counts(platform.lake.scan(table, [each]), tasks) for each in platform.trailing(table, day)]
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
