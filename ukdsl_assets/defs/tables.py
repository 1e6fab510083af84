"""Tables made by the SQL models: one asset a file, or one a teacher or student where the file's scope says so."""

from collections.abc import Callable, Sequence
from datetime import date
from hashlib import sha256

import dagster as dg
import polars as pl

from ukdsl_assets.cascade import Cascade, LoggedTeacher, Student
from ukdsl_assets.defs.gates import check_specs, told_plainly
from ukdsl_assets.defs.keys import STUDENTS, TABLES, spec
from ukdsl_assets.defs.lineage import lineage_metadata
from ukdsl_assets.defs.platform import Platform, Table
from ukdsl_assets.defs.publishing import Events, day_of, publish_staged
from ukdsl_assets.gates import GateResult
from ukdsl_assets.sources.drift import label_rate
from ukdsl_assets.sql.audit import audit_model
from ukdsl_assets.sql.context import parameters_for, template_context
from ukdsl_assets.sql.render import render
from ukdsl_assets.sql.run import run_sharded

SQL_GATES = {
    "keys_unique": "The declared keys identify a row.",
    "column_rules": "Every column keeps the rules in the header of its SQL file.",
}
# Judges the files of a staged partition.
Audit = Callable[[date, Sequence[str]], list[GateResult]]


def table_assets(cascade: Cascade, platform: Platform) -> list[dg.AssetsDefinition]:
    """Group 2, the tables that a cascade has once, and in group 4 teacher_augmented of each student."""
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
                assets.append(sql_asset(cascade, platform, model.name, table, STUDENTS, student=student))
    return assets


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
    upstream = {name: _upstream(cascade, name, student) for name in rendered.depends_on}
    described = spec(
        cascade,
        table,
        group,
        model.description,
        owner=model.owner,
        kinds={"duckdb", "sql", "deltalake"},
        deps=[dg.AssetKey(key) for key in upstream.values()],
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
            inputs = {name: platform.live_files(key, day) for name, key in upstream.items()}
            versions = platform.versions(day, *upstream.values())
            values = parameters_for(cascade, day, student, teacher, _teacher_version(versions))
            files = run_sharded(
                rendered,
                inputs,
                values,
                lambda *shard: platform.lake.new_file(table, day, *shard),
                platform.settings.threads,
            )
            results = audit_model(rendered, files, values) + (audit(day, files) if audit else [])
            staged = platform.lake.stage_files(table, day, files)
            metadata = lineage_metadata(platform, rendered, upstream, day)
            told = {name: column.description for name, column in rendered.columns.items()}
            yield from publish_staged(context, platform, table, staged, results, versions, metadata, told)

    return sql_table


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


def _upstream(cascade: Cascade, name: str, student: Student | None) -> Table:
    """Where a table that a SQL file names lives in the lake."""
    return (cascade.name, student.teacher, name) if name == "teacher_labels" and student else (cascade.name, name)


def _teacher_version(versions: dict[str, str]) -> str | None:
    return next((version for name, version in versions.items() if name.endswith("/teacher_labels")), None)
