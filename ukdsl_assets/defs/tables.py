"""Tables made by the SQL models: one asset a file, or one a teacher or student where the file's scope says so."""

from hashlib import sha256

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.teachers import LoggedTeacher
from ukdsl_assets.defs.graph.checks import check_specs, told_plainly
from ukdsl_assets.defs.graph.keys import TABLES, TEACHERS, spec
from ukdsl_assets.defs.graph.lineage import lineage_metadata
from ukdsl_assets.defs.graph.publishing import Events, day_of, publish_staged
from ukdsl_assets.pipeline.tables import (
    SQL_GATES,
    Audit,
    check_models,
    correction_tables,
    label_audit,
    make_table,
    upstream_table,
)
from ukdsl_assets.pipeline.workspace import Table, Workspace
from ukdsl_assets.sql.context import template_context
from ukdsl_assets.sql.render import render


def table_assets(cascade: Cascade, workspace: Workspace) -> list[dg.AssetsDefinition]:
    """Group 2, the tables that a cascade has once, and in group 3 what the teachers teach each student."""
    check_models(cascade, workspace)
    assets = []
    table: Table
    for model in workspace.models.values():
        if model.scope == "cascade":
            rules, audit = label_audit(cascade, workspace) if model.table == "impressions" else ({}, None)
            table = (cascade.name, model.table)
            assets.append(sql_asset(cascade, workspace, model.name, table, TABLES, rules=rules, audit=audit))
        elif model.scope == "student":
            for student in cascade.students:
                table = (cascade.name, student.name, model.table)
                assets.append(sql_asset(cascade, workspace, model.name, table, TEACHERS, student=student))
    return assets


def sql_asset(
    cascade: Cascade,
    workspace: Workspace,
    model_name: str,
    table: Table,
    group: str,
    student: Student | None = None,
    teacher: LoggedTeacher | None = None,
    rules: dict[str, str] | None = None,
    audit: Audit | None = None,
) -> dg.AssetsDefinition:
    """The asset of one SQL model, published when the header's rules, and `rules` as judged by `audit`, hold."""
    model = workspace.models[model_name]
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
            made = make_table(workspace, cascade, rendered, table, upstream, day, student, teacher, audit)
            metadata = lineage_metadata(workspace, rendered, upstream, day)
            told = {name: column.description for name, column in rendered.columns.items()}
            yield from publish_staged(context, workspace, made.staged, made.results, made.inputs, metadata, told)

    return sql_table
