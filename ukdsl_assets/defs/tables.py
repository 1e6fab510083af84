"""Tables made by the SQL models: one asset a file, or one a teacher or student where the file's scope says so."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.defs.graph.checks import check_specs, errors_as_failures
from ukdsl_assets.defs.graph.keys import TABLES, TEACHERS, asset_key, spec
from ukdsl_assets.defs.graph.lineage import lineage_metadata
from ukdsl_assets.defs.graph.publishing import Events, day_of, publish_staged
from ukdsl_assets.pipeline.tables import (
    TableModel,
    check_models,
    correction_message,
    correction_tables,
    label_rate_audit,
    label_rate_rules,
    stage_table,
    table_model,
)
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.sql.gates import RULES


def table_assets(cascade: Cascade, workspace: Workspace) -> list[dg.AssetsDefinition]:
    """Group 2, the tables that a cascade has once, and in group 3 what the teachers teach each student."""
    check_models(cascade, workspace)
    assets = []
    for model in workspace.models.values():
        if model.scope == "cascade":
            table = table_model(cascade, workspace, model.name, (cascade.name, model.table))
            rules: dict[str, str] = {}
            if model.table == "impressions":
                table, rules = replace(table, audit=label_rate_audit(cascade)), label_rate_rules(cascade)
            assets.append(sql_asset(cascade, workspace, table, TABLES, rules))
        elif model.scope == "student":
            for student in cascade.students:
                key = (cascade.name, student.name, model.table)
                table = table_model(cascade, workspace, model.name, key, student=student)
                assets.append(sql_asset(cascade, workspace, table, TEACHERS))
    return assets


def sql_asset(
    cascade: Cascade, workspace: Workspace, model: TableModel, group: str, rules: Mapping[str, str] | None = None
) -> dg.AssetsDefinition:
    """The asset of one SQL model, published when the header's rules, and `rules` as judged by `model.audit`, hold."""
    rendered, table = model.rendered, model.table
    read = (*model.upstream.values(), *correction_tables(cascade, model.student))
    described = spec(
        cascade,
        table,
        group,
        rendered.model.description,
        owner=rendered.model.owner,
        kinds={"duckdb", "sql", "deltalake"},
        deps=[asset_key(key) for key in read],
        code_version=sha256(rendered.sql.encode()).hexdigest()[:12],
    )
    checks = check_specs(cascade, table, {**RULES, **(rules or {})})

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=checks)
    def sql_table(context: dg.AssetExecutionContext) -> Events:
        with errors_as_failures():
            day = day_of(context, workspace, cascade)
            staged = stage_table(day, model)
            metadata = {**lineage_metadata(day, model), **correction_message(day, model.student)}
            columns = {name: column.description for name, column in rendered.columns.items()}
            yield from publish_staged(
                context, workspace, staged.staged, staged.results, staged.inputs, metadata, columns
            )

    return sql_table
